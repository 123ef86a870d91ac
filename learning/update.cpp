#include "learning/update.hpp"

#include <cmath>

namespace settle::learning {
namespace {

// W ← keep W + c post preᵀ of one column each, in one pass over W.
template <class S>
void add_outer(Matrix<S>& w, S keep, S c, const Matrix<S>& post, const Matrix<S>& pre) {
  for (Index j = 0; j < w.cols(); ++j) {
    const S factor = c * pre(j, 0);
    if (keep != S(1))
      w.col(j) = keep * w.col(j) + factor * post.col(0);
    else if (factor != S(0))
      w.col(j) += factor * post.col(0);
  }
}

void visit(StateVisitor& visitor, const std::string& name, auto& m) {
  using S = typename std::remove_reference_t<decltype(m)>::Scalar;
  if (m.size() == 0) return;
  Matrix<S> copy = m;
  visitor.matrix(name, copy);
  m = copy;
}

}  // namespace

template <class S>
double update_product(const Matrix<S>& post_a, const Matrix<S>& pre_a, const Matrix<S>& post_b,
                      const Matrix<S>& pre_b, bool has_biases) {
  const auto gram = [](const Matrix<S>& x, const Matrix<S>& y) {
    return MatrixXd(x.template cast<double>().transpose() * y.template cast<double>());
  };
  MatrixXd terms = gram(pre_a, pre_b);
  if (has_biases) terms.array() += 1;
  terms = terms.cwiseProduct(gram(post_a, post_b)).eval();
  constexpr double cancelled = 1e-6;  // beyond which less than ten digits are left
  if (!(std::abs(terms.sum()) < cancelled * terms.cwiseAbs().sum())) return terms.sum();
  const auto sum = [](const Matrix<S>& post, const Matrix<S>& pre) {
    return MatrixXd(post.template cast<double>() * pre.template cast<double>().transpose());
  };
  double out = sum(post_a, pre_a).cwiseProduct(sum(post_b, pre_b)).sum();
  if (has_biases)
    out += post_a.template cast<double>().rowwise().sum().dot(
        post_b.template cast<double>().rowwise().sum());
  return out;
}

template <class S>
double update_norm(const Matrix<S>& post, const Matrix<S>& pre) {
  if (post.cols() == 1) return static_cast<double>(post.norm()) * static_cast<double>(pre.norm());
  return std::sqrt(std::max(0.0, update_product(post, pre, post, pre, false)));
}

template <class S>
Updater<S>::Updater(const LearningSpec& spec, const Network<S>& network) : spec_(spec) {
  for (std::size_t l = 0; l < network.weights.size(); ++l) {
    remember(network.weights[l], weights_);
    remember(network.biases[l], biases_);
    if (!network.is_normalised()) continue;
    remember(network.normalisations[l].scale, scales_);
    remember(network.normalisations[l].shift, shifts_);
  }
}

template <class S>
template <class M>
void Updater<S>::remember(const M& parameter, std::vector<Moments<M>>& moments) const {
  Moments<M>& own = moments.emplace_back();
  if (spec_.optimiser != "sgd") own.mean = M::Zero(parameter.rows(), parameter.cols());
  if (spec_.optimiser == "adam") own.square = own.mean;
}

template <class S>
void Updater<S>::clip(Credit<S>& credit) const {
  if (spec_.clip.empty()) return;
  const std::size_t last = credit.post.size() - 1;
  for (std::size_t l = 1; l <= last; ++l) {
    if (spec_.clip.size() == 1 && l == last) continue;  // δ_L is the error itself
    const S most = static_cast<S>(spec_.clip.size() == 1 ? spec_.clip[0] : spec_.clip[l - 1]);
    Matrix<S>& post = credit.post[l];
    for (Index c = 0; c < post.cols(); ++c)
      if (const S norm = post.col(c).norm(); norm > most) post.col(c) *= most / norm;
  }
}

// The optimiser's step of a parameter along a sum.
template <class S>
template <class M>
void Updater<S>::step(M& parameter, const M& sum, Moments<M>& moments, double decay) const {
  const S keep = static_cast<S>(1 - decay), eta = static_cast<S>(spec_.learning_rate);
  if (spec_.optimiser == "sgd") {
    parameter = keep * parameter + eta * sum;
  } else if (spec_.optimiser == "momentum") {
    moments.mean = static_cast<S>(spec_.momentum) * moments.mean + sum;
    parameter = keep * parameter + eta * moments.mean;
  } else {
    const double t = static_cast<double>(steps_);
    const S one = static_cast<S>(1 / (1 - std::pow(spec_.beta_1, t)));
    const S two = static_cast<S>(1 / (1 - std::pow(spec_.beta_2, t)));
    moments.mean += static_cast<S>(1 - spec_.beta_1) * (sum - moments.mean);
    moments.square += static_cast<S>(1 - spec_.beta_2) * (sum.cwiseAbs2() - moments.square);
    parameter.array() = keep * parameter.array() + eta * one * moments.mean.array() /
                                                       ((two * moments.square.array()).sqrt() +
                                                        static_cast<S>(spec_.adam_epsilon));
  }
}

template <class S>
void Updater<S>::move(Network<S>& network, const Activity<S>& activity, const Credit<S>& credit) {
  ++steps_;
  const S keep = static_cast<S>(1 - spec_.decay);
  const S share = static_cast<S>(this->share(activity.count()));
  const S eta = static_cast<S>(spec_.learning_rate) * share;
  const bool is_plain = spec_.optimiser == "sgd";
  for (Index l = 1; l <= network.depth(); ++l) {
    const auto k = static_cast<std::size_t>(l);
    const Matrix<S>&post = credit.post[k], &pre = credit.pre_of(l, activity);
    Matrix<S>& w = network.weights[k];
    if (is_plain && post.cols() == 1) {
      add_outer(w, keep, eta, post, pre);
    } else if (is_plain) {
      if (keep != S(1)) w *= keep;
      w.noalias() += (eta * post) * pre.transpose();
    } else {
      const Matrix<S> sum = (share * post) * pre.transpose();
      step(w, sum, weights_[k], spec_.decay);
    }
    if (network.has_biases()) {
      const Vector<S> sum = share * post.rowwise().sum();
      step(network.biases[k], sum, biases_[k], spec_.decay);
    }
    if (!network.is_normalised() || l == network.depth()) continue;
    // The credit of the normalised a_l, before the statistics' own share.
    Matrix<S> own = activity.credit[k].size() > 0 ? activity.credit[k] : post;
    for (Index i = 0; i < own.rows(); ++i)
      own.row(i) *= activity.gain[k][i] == S(0) ? S(0) : S(1) / activity.gain[k][i];
    const Vector<S> scale = share * own.cwiseProduct(activity.spread[k]).rowwise().sum();
    const Vector<S> shift = share * own.rowwise().sum();
    step(network.normalisations[k].scale, scale, scales_[k], 0);
    step(network.normalisations[k].shift, shift, shifts_[k], 0);
  }
}

template <class S>
void Updater<S>::state(StateVisitor& visitor) {
  visitor.integer("steps", steps_);
  const auto all = [&](const std::string& name, auto& moments) {
    for (std::size_t l = 0; l < moments.size(); ++l) {
      visit(visitor, name + "_mean_" + std::to_string(l), moments[l].mean);
      visit(visitor, name + "_square_" + std::to_string(l), moments[l].square);
    }
  };
  all("weights", weights_);
  all("biases", biases_);
  all("scales", scales_);
  all("shifts", shifts_);
}

template double update_product<double>(const Matrix<double>&, const Matrix<double>&,
                                       const Matrix<double>&, const Matrix<double>&, bool);
template double update_norm<double>(const Matrix<double>&, const Matrix<double>&);
template double update_product<float>(const Matrix<float>&, const Matrix<float>&,
                                      const Matrix<float>&, const Matrix<float>&, bool);
template double update_norm<float>(const Matrix<float>&, const Matrix<float>&);
template class Updater<double>;
template class Updater<float>;

}  // namespace settle::learning
