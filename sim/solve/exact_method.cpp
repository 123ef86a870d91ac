#include "sim/solve/exact_method.hpp"

#include <limits>

namespace settle::solve {
namespace {

// x(t) itself (closed_form.hpp).
class Exact final : public Method {
 public:
  Control control() const override { return Control::itself; }
  bool is_solution() const override { return true; }
  int order() const override { return std::numeric_limits<int>::max() - 1; }
  bool has_dense_output() const override { return true; }
  const VectorXd& candidate() const override { return none_; }

 private:
  VectorXd none_;
};

}  // namespace

std::vector<core::Entry<Method>> exact_methods() {
  return {{"exact",
           "the solution itself, by modes or matrix exponentials, of circuits that are linear "
           "between breakpoints; dense output; the default for them",
           core::make_entry<Method, Exact>}};
}

}  // namespace settle::solve
