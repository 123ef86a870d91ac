#include "learning/network.hpp"

#include <cmath>
#include <type_traits>

#include "models/each.hpp"

namespace settle::learning {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// Columns that go through the network at a time where nobody looks inside.
constexpr Index columns_at_once = 256;

// φ or φ′ of every number; transfer functions are of doubles.
template <class S, class Apply>
void elementwise(const Matrix<S>& in, Matrix<S>& out, const Apply& apply) {
  out.resize(in.rows(), in.cols());
  if constexpr (std::is_same_v<S, double>) {
    apply(in.data(), out.data(), in.size());
  } else {
    const MatrixXd wide = in.template cast<double>();
    MatrixXd result(in.rows(), in.cols());
    apply(wide.data(), result.data(), in.size());
    out = result.template cast<S>();
  }
}

template <class S>
void softmax(const Matrix<S>& a, Matrix<S>& y) {
  y.resize(a.rows(), a.cols());
  for (Index c = 0; c < a.cols(); ++c) {
    y.col(c) = (a.col(c).array() - a.col(c).maxCoeff()).exp();
    y.col(c) /= y.col(c).sum();
  }
}

}  // namespace

template <class S>
void transfer_value(const core::TransferFunction& phi, const Matrix<S>& x, Matrix<S>& r) {
  elementwise(x, r, [&](const double* in, double* out, Index n) { phi.value(in, out, n); });
}

template <class S>
void transfer_slope(const core::TransferFunction& phi, const Matrix<S>& x, Matrix<S>& d) {
  elementwise(x, d, [&](const double* in, double* out, Index n) { phi.slope(in, out, n); });
}

template <class S>
void output_of(typename Network<S>::Output kind, const Matrix<S>& a, Matrix<S>& y) {
  using Output = typename Network<S>::Output;
  if (kind == Output::linear)
    y = a;
  else if (kind == Output::softmax)
    softmax(a, y);
  else
    transfer_value(*core::transfer("logistic"), a, y);
}

void NetworkSpec::fields(core::Fields& f) {
  f.integers({"layers", "1", "sizes from the input to the output", true}, layers, 1, 100'000'000);
  f.custom({"transfer", "", "φ of the hidden layers"}, models::transfers_form(transfer));
  f.choice({"output", "", "what is made of the last layer"}, output,
           {"linear", "softmax", "logistic"});
  f.boolean({"bias", "", "whether every layer has a bias that learns"}, bias);
  f.custom({"weights", "1", "W of each layer"}, models::inits_form(weights));
  f.custom({"biases", "1", "b of each layer"}, models::inits_form(biases));
  f.boolean({"batch_normalisation", "", "of the hidden layers, before φ"}, batch_normalisation);
  f.number({"normalisation_momentum", "1", "share of a batch in the running statistics"},
           normalisation_momentum, {.low = 0, .high = 1, .low_open = true});
  f.choice({"precision", "", "of the network, and of rules in closed form"}, precision,
           {"float64", "float32"});
}

void NetworkSpec::check() const {
  if (layers.size() < 2)
    place.fail("layers", "a list of " + std::to_string(layers.size()),
               "at least two sizes: the input's and the output's");
  for (std::size_t l = 1; l <= depth(); ++l) {
    models::one_each(weights, l - 1, depth(), place, "weights", "one for each layer");
    models::one_each(biases, l - 1, depth(), place, "biases", "one for each layer");
    if (l < depth())
      models::one_each(transfer, l - 1, depth() - 1, place, "transfer",
                       "one for each hidden layer");
  }
}

template <class S>
Vector<S> Normalisation<S>::folded_gain() const {
  return scale.array() / (variance.array() + S(epsilon)).sqrt();
}

template <class S>
bool Network<S>::is_linear() const {
  for (Index l = 1; l < depth(); ++l)
    if (!transfers[at(l)]->is_identity()) return false;
  return kind == Output::linear;
}

template <class S>
void Network<S>::forward(const Eigen::Ref<const Matrix<S>>& inputs, Activity<S>& activity,
                         bool by_batch) const {
  begin(inputs, activity, by_batch);
  for (Index l = 1; l <= depth(); ++l) step(l, activity);
}

template <class S>
void Network<S>::begin(const Eigen::Ref<const Matrix<S>>& inputs, Activity<S>& activity,
                       bool by_batch) const {
  const std::size_t layers = weights.size();
  activity.a.resize(layers);
  activity.h.resize(layers);
  activity.slope.resize(layers);
  activity.spread.resize(layers);
  activity.gain.resize(layers);
  activity.credit.assign(layers, {});
  activity.by_batch = by_batch && is_normalised();
  activity.h[0] = inputs;
}

template <class S>
void Network<S>::step(Index layer, Activity<S>& activity) const {
  const std::size_t l = at(layer);
  Matrix<S>& a = activity.a[l];
  a.resize(weights[l].rows(), activity.count());
  a.noalias() = weights[l] * activity.h[l - 1];
  if (has_biases()) a.colwise() += biases[l];
  if (layer == depth()) return output_of<S>(kind, a, activity.h[l]);
  if (!is_normalised()) {
    transfer_value(*transfers[l], a, activity.h[l]);
    transfer_slope(*transfers[l], a, activity.slope[l]);
    return;
  }
  const Normalisation<S>& normal = normalisations[l];
  Vector<S> mean = normal.mean, variance = normal.variance;
  if (activity.by_batch) {
    mean = a.rowwise().mean();
    variance = (a.colwise() - mean).array().square().rowwise().mean();
  }
  const Vector<S> inverse = (variance.array() + S(Normalisation<S>::epsilon)).sqrt().inverse();
  activity.spread[l] = inverse.asDiagonal() * (a.colwise() - mean);
  const Matrix<S> normalised = argument(layer, activity);
  transfer_value(*transfers[l], normalised, activity.h[l]);
  transfer_slope(*transfers[l], normalised, activity.slope[l]);
  activity.gain[l] = normal.scale.cwiseProduct(inverse);
  activity.slope[l] = activity.gain[l].asDiagonal() * activity.slope[l];
}

template <class S>
Matrix<S> Network<S>::argument(Index l, const Activity<S>& activity) const {
  if (!is_normalised()) return activity.a[at(l)];
  const Normalisation<S>& normal = normalisations[at(l)];
  Matrix<S> out = normal.scale.asDiagonal() * activity.spread[at(l)];
  out.colwise() += normal.shift;
  return out;
}

template <class S>
Activity<S> Network<S>::about_rest(Activity<S> activity) const {
  for (Index l = 1; l < depth(); ++l) {
    Matrix<S> slope;
    transfer_slope<S>(*transfers[at(l)], Matrix<S>::Zero(size(l), activity.count()), slope);
    if (is_normalised()) slope = normalisations[at(l)].folded_gain().asDiagonal() * slope;
    activity.slope[at(l)] = slope;
  }
  return activity;
}

template <class S>
void Network<S>::layer(Index l, const Matrix<S>& in, Matrix<S>& a, Matrix<S>& h) const {
  a.noalias() = w(l) * in;
  if (has_biases()) a.colwise() += biases[at(l)];
  if (l == depth()) return output_of<S>(kind, a, h);
  if (is_normalised()) {
    const Normalisation<S>& normal = normalisations[at(l)];
    a = normal.folded_gain().asDiagonal() * (a.colwise() - normal.mean);
    a.colwise() += normal.shift;
  }
  transfer_value(*transfers[at(l)], a, h);
}

template <class S>
Matrix<S> Network<S>::outputs(const Eigen::Ref<const Matrix<S>>& inputs) const {
  Matrix<S> out(size(depth()), inputs.cols());
  Matrix<S> in, a, h;
  for (Index first = 0; first < inputs.cols(); first += columns_at_once) {
    const Index count = std::min(columns_at_once, inputs.cols() - first);
    h = inputs.middleCols(first, count);
    for (Index l = 1; l <= depth(); ++l) {
      in.swap(h);
      layer(l, in, a, h);
    }
    out.middleCols(first, count) = h;
  }
  return out;
}

template <class S>
void Network<S>::pull_back(Index layer, const Activity<S>& activity, Matrix<S>& m) const {
  const std::size_t l = at(layer);
  m.array() *= activity.slope[l].array();
  if (!activity.by_batch) return;
  activity.credit[l] = m;
  // The batch's mean and variance move with every one of its columns.
  const Matrix<S>& spread = activity.spread[l];
  const S count = static_cast<S>(m.cols());
  const Vector<S> mean = m.rowwise().sum() / count;
  const Vector<S> along = m.cwiseProduct(spread).rowwise().sum() / count;
  m.colwise() -= mean;
  m.noalias() -= along.asDiagonal() * spread;
}

template <class S>
void Network<S>::note_statistics(const Activity<S>& activity, double momentum) {
  const S share = static_cast<S>(momentum);
  for (std::size_t l = 1; l + 1 < weights.size(); ++l) {
    Normalisation<S>& normal = normalisations[l];
    const Vector<S> mean = activity.a[l].rowwise().mean();
    const Vector<S> variance = (activity.a[l].colwise() - mean).array().square().rowwise().mean();
    normal.mean += share * (mean - normal.mean);
    normal.variance += share * (variance - normal.variance);
  }
}

template <class S>
template <class T>
Network<T> Network<S>::cast() const {
  Network<T> out;
  for (const Matrix<S>& w : weights) out.weights.push_back(w.template cast<T>());
  for (const Vector<S>& b : biases) out.biases.push_back(b.template cast<T>());
  out.transfers = transfers;
  for (const Normalisation<S>& normal : normalisations)
    out.normalisations.push_back({normal.scale.template cast<T>(), normal.shift.template cast<T>(),
                                  normal.mean.template cast<T>(),
                                  normal.variance.template cast<T>()});
  out.kind = static_cast<typename Network<T>::Output>(kind);
  return out;
}

template <class S>
Network<S> make_network(const NetworkSpec& spec, std::uint64_t seed,
                        const std::filesystem::path& base) {
  spec.check();
  const std::size_t depth = spec.depth();
  Network<double> network;
  network.weights.resize(depth + 1);
  network.biases.resize(depth + 1);
  network.transfers.resize(depth + 1);
  using Output = Network<double>::Output;
  network.kind = spec.output == "softmax"    ? Output::softmax
                 : spec.output == "logistic" ? Output::logistic
                                             : Output::linear;
  for (std::size_t l = 1; l <= depth; ++l) {
    const Index rows = spec.layers[l], cols = spec.layers[l - 1];
    const std::string number = std::to_string(l);
    const auto of = [&](const auto& list) { return list.size() == 1 ? list[0] : list[l - 1]; };
    models::InitContext context{.rows = rows,
                                .cols = cols,
                                .seed = seed,
                                .stream = "W_" + number,
                                .base = base,
                                .weights_of = {}};
    network.weights[l] = models::make_weights(of(spec.weights), context)->dense();
    context.stream = "b_" + number;
    if (spec.bias)
      network.biases[l] = models::make_columns(of(spec.biases), rows, 1, false, context);
    if (l < depth) network.transfers[l] = of(spec.transfer);
  }
  if (spec.batch_normalisation) {
    network.normalisations.resize(depth + 1);
    for (std::size_t l = 1; l < depth; ++l) {
      const Index n = spec.layers[l];
      network.normalisations[l] = {VectorXd::Ones(n), VectorXd::Zero(n), VectorXd::Zero(n),
                                   VectorXd::Ones(n)};
    }
  }
  if constexpr (std::is_same_v<S, double>)
    return network;
  else
    return network.cast<S>();
}

template <class S>
double total_loss(Loss loss, typename Network<S>::Output kind, const Matrix<S>& outputs,
                  const Eigen::Ref<const Matrix<S>>& targets) {
  const auto y = outputs.template cast<double>().array();
  const auto t = targets.template cast<double>().array();
  if (loss == Loss::squared_error) return 0.5 * (y - t).square().sum();
  // What is 0 · log 0 counts as 0, and log 0 is that of the smallest number.
  constexpr double least = std::numeric_limits<double>::min();
  double sum = -(t * y.max(least).log()).sum();
  if (kind == Network<S>::Output::logistic) sum -= ((1 - t) * (1 - y).max(least).log()).sum();
  return sum;
}

template <class S>
void output_error(Loss loss, typename Network<S>::Output kind, const Matrix<S>& outputs,
                  const Eigen::Ref<const Matrix<S>>& targets, Matrix<S>& error) {
  using Output = typename Network<S>::Output;
  error = targets - outputs;
  const bool is_plain = (loss == Loss::squared_error) == (kind == Output::linear);
  if (is_plain) return;
  if (loss == Loss::cross_entropy)  // of a linear output: there is none
    throw std::invalid_argument("the cross-entropy of a linear output");
  if (kind == Output::logistic) {
    error.array() *= outputs.array() * (1 - outputs.array());
    return;
  }
  for (Index c = 0; c < error.cols(); ++c) {
    const S along = outputs.col(c).dot(error.col(c));
    error.col(c) = outputs.col(c).array() * (error.col(c).array() - along);
  }
}

template void transfer_value<double>(const core::TransferFunction&, const MatrixXd&, MatrixXd&);
template void transfer_value<float>(const core::TransferFunction&, const Matrix<float>&,
                                    Matrix<float>&);
template void transfer_slope<double>(const core::TransferFunction&, const MatrixXd&, MatrixXd&);
template void transfer_slope<float>(const core::TransferFunction&, const Matrix<float>&,
                                    Matrix<float>&);
template struct Normalisation<double>;
template struct Normalisation<float>;
template class Network<double>;
template class Network<float>;
template Network<float> Network<double>::cast<float>() const;
template Network<double> Network<float>::cast<double>() const;
template Network<double> make_network<double>(const NetworkSpec&, std::uint64_t,
                                              const std::filesystem::path&);
template Network<float> make_network<float>(const NetworkSpec&, std::uint64_t,
                                            const std::filesystem::path&);
template void output_of<double>(Network<double>::Output, const Matrix<double>&, Matrix<double>&);
template void output_of<float>(Network<float>::Output, const Matrix<float>&, Matrix<float>&);
template double total_loss<double>(Loss, Network<double>::Output, const Matrix<double>&,
                                   const Eigen::Ref<const Matrix<double>>&);
template double total_loss<float>(Loss, Network<float>::Output, const Matrix<float>&,
                                  const Eigen::Ref<const Matrix<float>>&);
template void output_error<double>(Loss, Network<double>::Output, const Matrix<double>&,
                                   const Eigen::Ref<const Matrix<double>>&, Matrix<double>&);
template void output_error<float>(Loss, Network<float>::Output, const Matrix<float>&,
                                  const Eigen::Ref<const Matrix<float>>&, Matrix<float>&);

}  // namespace settle::learning
