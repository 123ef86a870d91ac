#include "analysis/plot_data.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/io/toml.hpp"

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

bool is_trajectory(const io::ResultFile& result, const std::string& name) {
  return std::any_of(result.trajectories().begin(), result.trajectories().end(),
                     [&](const io::VariableInfo& variable) { return variable.name == name; });
}

std::string dataset_name(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

MatrixXd matrix(const io::h5::Dataset& dataset) {
  const io::h5::Numbers numbers = dataset.read_numbers();
  const auto rows = static_cast<Index>(numbers.shape.at(0));
  const auto cols = static_cast<Index>(numbers.shape.at(1));
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<const RowMajor>(numbers.values.data(), rows, cols);
}

/// The setpoint y(t) of one controller as the file tells it; empty where it does not tell all of
/// it.
class Setpoint {
 public:
  Setpoint(const io::ResultFile& result, const std::string& controller) : result_(result) {
    if (!result.file().is_group("circuit") || has_source(controller)) return;
    const io::h5::Group circuit = result.file().group("circuit");
    known_ = circuit.is_dataset("setpoint_" + controller);
    if (!known_) return;
    constant_ = matrix(circuit.dataset("setpoint_" + controller));
    const std::string sign = controller + "_error_sign";
    const double error_sign = circuit.has_attribute(sign) ? circuit.number_attribute(sign) : 1;
    for (const std::string& name : circuit.names()) {
      if (!name.starts_with("weights_") || !name.ends_with("_to_" + controller + "_setpoint"))
        continue;
      const io::h5::Dataset weights = circuit.dataset(name);
      const std::string from = dataset_name(weights.text_attribute("from"));
      if (weights.shape().size() != 2 || circuit.exists("gate_" + name.substr(8))) {
        known_ = false;
        return;
      }
      const std::string transfer =
          weights.has_attribute("transfer") ? weights.text_attribute("transfer") : "identity";
      const std::string own = "transfer_" + from;
      std::string sent = from;
      if (transfer != "identity")
        sent = circuit.has_attribute(own) && circuit.text_attribute(own) == transfer
                   ? from + "_rate"
                   : "";
      known_ = is_trajectory(result, sent);
      if (!known_) return;
      // The comparator takes the setpoint with the other sign.
      terms_.push_back({sent, -error_sign * weights.number_attribute("gain"), matrix(weights)});
    }
  }

  bool known() const { return known_; }

  /// ‖y(t)‖ of one trial.
  VectorXd norm(std::size_t trial) const {
    const Index row = constant_.rows() == 1 ? 0 : static_cast<Index>(trial);
    MatrixXd y = constant_.row(row).replicate(result_.time().size(), 1);
    for (const Term& term : terms_)
      y += term.gain * result_.trajectory(term.variable, trial) * term.weights.transpose();
    return y.rowwise().norm();
  }

 private:
  struct Term {
    std::string variable;
    double gain;
    MatrixXd weights;
  };

  // Whether a source drives the setpoint; what it did is not in the file.
  bool has_source(const std::string& controller) const {
    const std::string text = result_.config_expanded();
    if (text.empty()) return false;
    const core::Value config = io::parse_toml(text, "config_expanded");
    const core::Value* sources = config.find("source");
    if (!sources || !sources->is_array()) return false;
    return std::any_of(sources->array().begin(), sources->array().end(), [&](const auto& source) {
      const core::Value* to = source.find("to");
      return to && to->is_text() && dataset_name(to->text()) == controller + "_setpoint";
    });
  }

  const io::ResultFile& result_;
  bool known_ = false;
  MatrixXd constant_;  // trials × units
  std::vector<Term> terms_;
};

}  // namespace

std::vector<Index> evenly_chosen(Index n, Index count) {
  std::vector<Index> out;
  const Index m = std::min(n, count);
  for (Index k = 0; k < m; ++k)
    out.push_back(m == 1 ? 0
                         : static_cast<Index>(
                               std::llround(static_cast<double>(k) * static_cast<double>(n - 1) /
                                            static_cast<double>(m - 1))));
  return out;
}

std::vector<PlotPoint> thinned(const VectorXd& x, const VectorXd& y, std::size_t most, bool log_x) {
  const auto value = [&](Index k) { return std::isfinite(y[k]) ? y[k] : nan; };
  std::vector<PlotPoint> out;
  if (static_cast<std::size_t>(x.size()) <= most) {
    for (Index k = 0; k < x.size(); ++k) out.push_back({x[k], value(k)});
    return out;
  }
  // A stretch's two extremes, and a gap where something is missing; the first and last point
  // besides.
  const auto stretches = static_cast<double>((most - 2) / (y.allFinite() ? 2 : 3));
  const auto place = [&](double at) { return log_x ? std::log(at) : at; };
  const double start = place(x[0]), width = place(x[x.size() - 1]) - start;
  out.push_back({x[0], value(0)});
  for (Index k = 1; k + 1 < x.size();) {
    const double stretch = std::floor((place(x[k]) - start) / width * stretches);
    Index low = -1, high = -1;
    bool gap = false;
    const Index begin = k;
    for (; k + 1 < x.size() && std::floor((place(x[k]) - start) / width * stretches) == stretch;
         ++k) {
      if (!std::isfinite(y[k])) {
        gap = true;
        continue;
      }
      if (low < 0 || y[k] < y[low]) low = k;
      if (high < 0 || y[k] > y[high]) high = k;
    }
    if (low < 0) {
      out.push_back({x[begin], nan});
      continue;
    }
    const auto [first, second] = std::minmax(low, high);
    out.push_back({x[first], y[first]});
    if (second != first) out.push_back({x[second], y[second]});
    if (gap) out.push_back({x[second], nan});
  }
  out.push_back({x[x.size() - 1], value(x.size() - 1)});
  return out;
}

std::vector<std::string> controllers_of(const io::ResultFile& result) {
  std::vector<std::string> out;
  if (!result.file().is_group("circuit")) return out;
  const std::string ending = "_error_sign";
  for (const std::string& name : result.file().group("circuit").attribute_names())
    if (name.ends_with(ending)) out.push_back(name.substr(0, name.size() - ending.size()));
  return out;
}

std::vector<ErrorSeries> error_series(const io::ResultFile& result,
                                      const std::vector<std::size_t>& trials) {
  std::vector<ErrorSeries> out;
  for (const std::string& controller : controllers_of(result)) {
    if (!is_trajectory(result, controller + "_error")) continue;
    const Setpoint setpoint(result, controller);
    ErrorSeries series{controller, setpoint.known(), trials,
                       MatrixXd(result.time().size(), static_cast<Index>(trials.size()))};
    VectorXd largest = VectorXd::Zero(static_cast<Index>(trials.size()));
    MatrixXd norms(series.values.rows(), series.values.cols());
    for (std::size_t k = 0; k < trials.size(); ++k) {
      const auto column = static_cast<Index>(k);
      series.values.col(column) =
          result.trajectory(controller + "_error", trials[k]).rowwise().norm();
      if (!setpoint.known()) continue;
      norms.col(column) = setpoint.norm(trials[k]);
      largest[column] = norms.col(column).array().isNaN().select(0, norms.col(column)).maxCoeff();
    }
    // A setpoint that is zero throughout measures nothing.
    if (series.relative && (largest.array() == 0).all()) series.relative = false;
    if (series.relative)
      series.values = (norms.array() > 0).select(series.values.cwiseQuotient(norms), nan);
    out.push_back(std::move(series));
  }
  return out;
}

}  // namespace settle::analysis
