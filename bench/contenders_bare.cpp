// The physical limit: one evaluation's products (and tanh), and nothing else.
#include <cblas.h>

#include "bench/contender.hpp"
#include "sim/core/transfer.hpp"

namespace settle::bench {
namespace {

Contender products(const char* library, bool openblas) {
  Contender out;
  out.name = std::string("bare ") + library;
  out.about =
      std::string("the products and tanh of as many evaluations as settle dopri5's, ") + library;
  out.columns = Contender::Columns::all;
  out.per_evaluation = true;
  out.prepare = [openblas](const Workload& work) -> Runner {
    const Index n = work.inputs(), m = work.outputs(), columns = work.columns();
    return [&work, openblas, n, m, columns, tanh = core::transfer("tanh"),
            r = MatrixXd::Constant(n, columns, 0.1).eval(),
            u = MatrixXd::Constant(m, columns, 0.1).eval(), rates = MatrixXd(n, columns),
            drive = MatrixXd(n, columns), output = MatrixXd(m, columns)]() mutable -> Result {
      const auto rows = static_cast<blasint>(m), inner = static_cast<blasint>(n),
                 width = static_cast<blasint>(columns);
      // As many as make the clock's own time small.
      const Index repeats = 1 + 2'000'000 / (n * m * columns);
      const Stopwatch watch;
      for (Index k = 0; k < repeats; ++k) {
        if (work.tanh) tanh->value(r.data(), rates.data(), r.size());
        const MatrixXd& sent = work.tanh ? rates : r;
        if (!openblas && columns == 1) {
          output.col(0).noalias() = work.w * sent.col(0);
          drive.col(0).noalias() = work.b * u.col(0);
        } else if (!openblas) {
          output.noalias() = work.w * sent;
          drive.noalias() = work.b * u;
        } else if (columns == 1) {
          cblas_dgemv(CblasColMajor, CblasNoTrans, rows, inner, 1, work.w.data(), rows, sent.data(),
                      1, 0, output.data(), 1);
          cblas_dgemv(CblasColMajor, CblasNoTrans, inner, rows, 1, work.b.data(), inner, u.data(),
                      1, 0, drive.data(), 1);
        } else {
          cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, rows, width, inner, 1,
                      work.w.data(), rows, sent.data(), inner, 0, output.data(), rows);
          cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, inner, width, rows, 1,
                      work.b.data(), inner, u.data(), rows, 0, drive.data(), inner);
        }
      }
      return {.seconds = watch.seconds() / static_cast<double>(repeats), .evaluations = 1};
    };
  };
  return out;
}

}  // namespace

std::vector<Contender> bare_contenders() {
  return {products("Eigen", false), products("OpenBLAS", true)};
}

std::vector<Contender> all_contenders() {
  std::vector<Contender> out;
  for (const auto& family : {settle_contenders(), odeint_contenders(), cvode_contenders(),
                             euler_contenders(), scipy_contenders(), bare_contenders()})
    out.insert(out.end(), family.begin(), family.end());
  return out;
}

}  // namespace settle::bench
