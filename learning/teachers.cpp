// Data sets that a random network makes.
#include <algorithm>
#include <cmath>

#include "learning/data_kinds.hpp"
#include "models/each.hpp"
#include "models/model.hpp"

namespace settle::learning {
namespace {

using core::Value;
using Eigen::VectorXd;
using models::Init;

Init random_init(const char* name, const char* first, double a, const char* second, double b) {
  Value table;
  table.set("init", name);
  table.set(first, a);
  table.set(second, b);
  return models::read_init(table, "");
}

/// h_0 = x, h_l = φ(W_l h_{l−1} + b_l), and y = W_L h_{L−1} + b_L without a φ.
///
/// x is n_0 × N, y is n_L × N, W_l is n_l × n_{l−1} and b_l has n_l entries. Parameters: `layers`, n_0
/// to n_L (default: the network's, or of a linear teacher its first and last); `weights`, any
/// initialisation, or one a layer (default U(−1, 1) for a linear teacher, else U(−0.5, 0.5)), drawn from
/// "data.teacher.weights_l"; `bias` likewise (default 0: none), from "data.teacher.bias_l"; `inputs`, any
/// random initialisation of vectors (default N(0, 1)); `output_variance` > 0, unless given y as it is,
/// else the last layer is moved and scaled row by row, so that every output has mean 0 and this
/// variance. Those of the teacher itself are estimated from 2000 further examples
/// ("data.calibration"), so that one example does not depend on the number of others.
///
/// @throws InputError  for layers that are not known, an output that does not vary where its variance is
///                     asked for, and one that is not finite
/// Source: science.md section 8.
class Teacher final : public GeneratedData {
 public:
  explicit Teacher(const char* transfer)
      : GeneratedData("regression", "none"), transfer_(core::transfer(transfer)) {
    const double high = transfer_->is_identity() ? 1 : 0.5;
    weights_ = {random_init("uniform", "low", -high, "high", high)};
  }

  std::string name() const override {
    return (transfer_->is_identity() ? "linear" : transfer_->name()) + "_teacher";
  }

  void fields(core::Fields& f) override {
    f.integers({"layers", "1",
                transfer_->is_identity() ? "its sizes; the network's first and last unless given"
                                         : "its sizes; the network's unless given"},
               layers_, 1, 100'000'000);
    f.custom({"weights", "1", "W of each layer"}, models::inits_form(weights_));
    f.custom({"bias", "1", "b of each layer"}, models::inits_form(bias_));
    f.custom({"inputs", "1", "x, drawn for each example"}, models::init_form(inputs_));
    f.number({"output_variance", "1",
              "of each output, whose mean is then 0; as the teacher has them unless given"},
             output_variance_, core::positive());
    GeneratedData::fields(f);
  }

  void check() const override {
    if (layers_.size() == 1) place.fail("layers", "one layer", "at least two: inputs and outputs");
    if (!inputs_->is_random())
      place.fail("inputs", "\"" + inputs_->name() + "\", the same for every example",
                 "\"uniform\" or \"normal\"");
  }

 private:
  struct Layer {
    MatrixXd weights;
    VectorXd bias;
  };
  using Network = std::vector<Layer>;

  Draw prepare(const DataRequest& request) const override {
    Network made = make_network(request);
    if (output_variance_) scale_outputs(made, request);
    return [this, network = std::move(made), request](Index count, const std::string& stream) {
      Examples out;
      out.inputs = inputs(network, count, stream, request);
      out.targets = outputs(network, out.inputs);
      if (!out.targets.allFinite())
        place.fail("weights", "a teacher whose outputs are not finite", "smaller weights");
      return out;
    };
  }

  std::vector<std::int64_t> sizes(const DataRequest& request) const {
    if (!layers_.empty()) return layers_;
    if (request.layers.size() < 2)
      place.fail("layers", "\"layers\" is missing",
                 "the teacher's sizes, such as layers = [30, 10]");
    if (transfer_->is_identity()) return {request.layers.front(), request.layers.back()};
    return request.layers;
  }

  models::InitContext context(const DataRequest& request, const std::string& stream) const {
    models::InitContext out;
    out.seed = request.seed;
    out.stream = stream;
    out.base = request.base;
    out.weights_of = [](const std::string& of, const Value& at,
                        const std::string& path) -> const system::Weights& {
      core::fail(at, path, "\"" + of + "\"", "no projection: a teacher's layers stand alone");
    };
    return out;
  }

  Network make_network(const DataRequest& request) const {
    const std::vector<std::int64_t> n = sizes(request);
    const std::size_t layers = n.size() - 1;
    Network out;
    for (std::size_t l = 0; l < layers; ++l) {
      const std::string number = std::to_string(l + 1);
      const auto own = [&](const std::vector<Init>& inits, const char* key) {
        return models::one_each(inits, l, layers, place, key, "one for each layer");
      };
      models::InitContext where = context(request, "data.teacher.weights_" + number);
      where.rows = n[l + 1];
      where.cols = n[l];
      Layer layer;
      layer.weights = models::make_weights(own(weights_, "weights"), where)->dense();
      layer.bias = models::make_columns(own(bias_, "bias"), n[l + 1], 1, false,
                                        context(request, "data.teacher.bias_" + number));
      out.push_back(std::move(layer));
    }
    return out;
  }

  MatrixXd inputs(const Network& network, Index count, const std::string& stream,
                  const DataRequest& request) const {
    return models::make_columns(inputs_, network.front().weights.cols(), count, true,
                                context(request, stream));
  }

  MatrixXd outputs(const Network& network, const MatrixXd& x) const {
    // In blocks of one width, so that a column's bits do not depend on the number of columns.
    constexpr Index width = 256;
    MatrixXd y(network.back().weights.rows(), x.cols());
    for (Index first = 0; first < x.cols(); first += width) {
      const Index n = std::min(width, x.cols() - first);
      MatrixXd h = MatrixXd::Zero(x.rows(), width);
      h.leftCols(n) = x.middleCols(first, n);
      for (const Layer& layer : network) {
        const MatrixXd a = (layer.weights * h).colwise() + layer.bias;
        h = a;
        if (&layer != &network.back()) transfer_->value(a.data(), h.data(), a.size());
      }
      y.middleCols(first, n) = h.leftCols(n);
    }
    return y;
  }

  void scale_outputs(Network& network, const DataRequest& request) const {
    const MatrixXd y = outputs(network, inputs(network, 2000, "data.calibration", request));
    Layer& last = network.back();
    for (Index i = 0; i < y.rows(); ++i) {
      const double mean = y.row(i).mean();
      const double deviation = std::sqrt((y.row(i).array() - mean).square().mean());
      // Below this the variance is rounding of the mean.
      if (!(deviation > 1e-12 * std::abs(mean)) || !std::isfinite(deviation))
        place.fail("output_variance",
                   "output " + std::to_string(i) + " of the teacher has deviation " +
                       core::brief(deviation) + " about its mean " + core::brief(mean),
                   "outputs that vary with the input");
      const double factor = std::sqrt(*output_variance_) / deviation;
      last.weights.row(i) *= factor;
      last.bias[i] = factor * (last.bias[i] - mean);
    }
  }

  core::Transfer transfer_;
  std::vector<std::int64_t> layers_;
  std::vector<Init> weights_;
  std::vector<Init> bias_{models::constant_init(0)};
  Init inputs_ = random_init("normal", "mean", 0, "std", 1);
  std::optional<double> output_variance_;
};

}  // namespace

std::unique_ptr<DataSource> make_linear_teacher() { return std::make_unique<Teacher>("identity"); }
std::unique_ptr<DataSource> make_tanh_teacher() { return std::make_unique<Teacher>("tanh"); }
std::unique_ptr<DataSource> make_relu_teacher() { return std::make_unique<Teacher>("relu"); }

}  // namespace settle::learning
