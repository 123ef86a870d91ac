// Numbers of several units and columns, and the two ways in which they lie in memory.
#pragma once

#include <Eigen/Core>

namespace settle::system {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using ConstBlock = Eigen::Ref<const MatrixXd, 0, Eigen::OuterStride<>>;
using Block = Eigen::Ref<MatrixXd, 0, Eigen::OuterStride<>>;

/// A quantity of several columns (units × columns) in one of two layouts: a column after the other
/// (Eigen::ColMajor), or in lanes (Eigen::RowMajor), a unit after the other, so that a vector
/// instruction takes the same unit of neighbouring columns.
template <int Order>
using Panel = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Order>;
/// A panel, or rows and columns of one, that lie elsewhere. (Eigen's own Ref is dear to make.)
template <class Panel>
class PanelView : public Eigen::Map<Panel, 0, Eigen::OuterStride<>> {
 public:
  using Base = Eigen::Map<Panel, 0, Eigen::OuterStride<>>;
  PanelView(typename Base::PointerArgType data, Index rows, Index columns, Index outer_stride)
      : Base(data, rows, columns, Eigen::OuterStride<>(outer_stride)) {}
  PanelView(const PanelView&) = default;
  template <class Derived>
  PanelView(const Eigen::MatrixBase<Derived>& m)
      : PanelView(const_cast<typename Base::PointerArgType>(m.derived().data()), m.rows(), m.cols(),
                  m.derived().outerStride()) {
    static_assert(Derived::IsVectorAtCompileTime ||
                  static_cast<bool>(Derived::IsRowMajor) == static_cast<bool>(Base::IsRowMajor));
  }
  using Base::operator=;
  PanelView& operator=(const PanelView& other) {
    Base::operator=(other);
    return *this;
  }
};
template <int Order>
using PanelRef = PanelView<Panel<Order>>;
template <int Order>
using ConstPanelRef = PanelView<const Panel<Order>>;
/// Columns that one vector instruction takes: a batch has a multiple of them.
constexpr Index lane_width = 8;
/// So many columns, and some more that nobody looks at, to a multiple of lane_width.
inline Index padded(Index columns) { return (columns + lane_width - 1) / lane_width * lane_width; }

/// Whether all numbers are zero; soon known where the first are not.
inline bool is_zero(const ConstBlock& x) {
  for (Index c = 0; c < x.cols(); ++c)
    if (x.rows() > 0 && (x(0, c) != 0 || x.col(c).cwiseAbs().sum() != 0)) return false;
  return true;
}

/// Column c of a quantity that is shared by all trials (n × 1) or has one column a trial.
inline Index column(const MatrixXd& m, Index trial) { return m.cols() == 1 ? 0 : trial; }

/// `rows` rows of a panel with the columns first … first + columns, of `all` columns that it has.
template <int Order>
PanelRef<Order> part(VectorXd& panel, Index rows, Index all, Index first, Index columns) {
  if constexpr (Order == Eigen::RowMajor)
    return {panel.data() + first, rows, columns, all};
  else
    return {panel.data() + first * rows, rows, columns, rows};
}
template <int Order>
ConstPanelRef<Order> part(const VectorXd& panel, Index rows, Index all, Index first,
                          Index columns) {
  return part<Order>(const_cast<VectorXd&>(panel), rows, all, first, columns);
}

/// f(from, to, n) over stretches of memory without a gap.
template <int Order, class F>
void over_stretches(const ConstPanelRef<Order>& from, PanelRef<Order> to, const F& f) {
  const Index inner = from.innerSize();
  if (from.outerStride() == inner && to.outerStride() == inner)
    return f(from.data(), to.data(), from.size());
  for (Index k = 0; k < from.outerSize(); ++k)
    f(from.data() + k * from.outerStride(), to.data() + k * to.outerStride(), inner);
}

}  // namespace settle::system
