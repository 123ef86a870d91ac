// The paper's scheme: Euler's with a fixed step of half a time unit, the controller first and the
// population with the new control, on OpenBLAS; all columns in one product.
#include <cblas.h>

#include <cmath>

#include "bench/contender.hpp"

namespace settle::bench {
namespace {

// out = M x for one column, or for many.
void multiply(const MatrixXd& m, const MatrixXd& x, MatrixXd& out) {
  const auto rows = static_cast<blasint>(m.rows()), inner = static_cast<blasint>(m.cols());
  if (x.cols() == 1)
    cblas_dgemv(CblasColMajor, CblasNoTrans, rows, inner, 1, m.data(), rows, x.data(), 1, 0,
                out.data(), 1);
  else
    cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, rows, static_cast<blasint>(x.cols()),
                inner, 1, m.data(), rows, x.data(), inner, 0, out.data(), rows);
}

}  // namespace

std::vector<Contender> euler_contenders() {
  Contender out;
  out.name = "Euler";
  out.about = "the paper's semi-implicit scheme, dt = 0.5, OpenBLAS, std::tanh";
  out.columns = Contender::Columns::together;
  out.prepare = [](const Workload& work) -> Runner {
    return [&work]() -> Result {
      constexpr double dt = 0.5;
      const auto steps = static_cast<Index>(std::llround(work.duration / dt));
      const Index n = work.inputs(), m = work.outputs(), columns = work.columns();
      const Stopwatch watch;
      MatrixXd r = MatrixXd::Zero(n, columns), xi = MatrixXd::Zero(m, columns);
      MatrixXd rates(n, columns), control(m, columns), drive(n, columns), output(m, columns);
      for (Index step = 0; step < steps; ++step) {
        if (work.tanh) rates = r.unaryExpr([](double a) { return std::tanh(a); });
        multiply(work.w, work.tanh ? rates : r, output);
        xi += dt * (output - work.setpoints - xi * work.leaks.asDiagonal());
        control = xi * work.gains.asDiagonal();
        multiply(work.b, control, drive);
        r += dt * (drive - r);
      }
      Result result;
      result.states.resize(n + m, columns);
      result.states << r, xi;
      result.seconds = watch.seconds();
      result.evaluations = static_cast<double>(steps);
      return result;
    };
  };
  return {out};
}

}  // namespace settle::bench
