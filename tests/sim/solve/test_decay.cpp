// Bounds of how linear trials decay, and what is measured of them by those modes that are still alive.
#include <catch2/catch.hpp>

#include "sim/solve/decay.hpp"
#include "sim/solve/linear_flow.hpp"
#include "tests/random_circuits.hpp"
#include "tests/support.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using solve::Decay;
using solve::LinearFlow;

namespace {

// The flow of a circuit's first segment, from random circuits that are linear in it.
struct Flow {
  explicit Flow(const test::RandomCircuit& random)
      : system(system::compile(random.circuit)), workspace(system.make_workspace()) {
    if (!system::why_not_linear(system, 0).empty()) return;
    is_linear = true;
    const system::Segment segment{0, 0, 1};
    system.begin(segment, workspace);
    flow.begin(segment, system.initial_state(), workspace);
  }
  // x and ẋ.
  std::pair<VectorXd, VectorXd> at(Index trial, double t) {
    MatrixXd x(system.dimension(), 1), rate(system.dimension(), 1);
    const LinearFlow::Instant instant{trial, t};
    flow.evaluate({&instant, 1}, x, rate, scratch);
    return {x, rate};
  }

  system::OdeSystem system;
  system::Workspace workspace;
  LinearFlow flow{system, {}};
  LinearFlow::Scratch scratch;
  bool is_linear = false;
};

double largest(const VectorXd& x) { return x.size() > 0 ? x.cwiseAbs().maxCoeff() : 0; }

}  // namespace

TEST_CASE("speed and distance of decaying trials are bounded, from every time on") {
  int decaying = 0, falling = 0, tight = 0;
  for (unsigned seed = 0; seed < 400; ++seed) {
    Flow flow(test::random_circuit(seed));
    if (!flow.is_linear) continue;
    for (Index trial = 0; trial < flow.system.trials(); ++trial) {
      const auto decay = flow.flow.decay(trial);
      if (!decay || decay->rates.size() == 0) continue;
      CAPTURE(seed, trial);
      ++decaying;
      const double slowest = decay->rates.minCoeff();
      const VectorXd rest = flow.at(trial, 60 / slowest).first;
      const double rounding = 1e-12 * (1 + largest(rest) + decay->speed(0) + decay->distance(0));
      std::vector<double> taus, speeds;
      for (int k = 0; k <= 30; ++k) {
        const double tau = 0.3 * k / slowest;
        const auto [x, rate] = flow.at(trial, tau);
        CHECK(largest(rate) <= decay->speed(tau) + rounding);
        CHECK(largest(rest - x) <= decay->distance(tau) + rounding);
        taus.push_back(tau);
        speeds.push_back(largest(rate));
        tight += largest(rate) > 0.3 * decay->speed(tau);
      }
      for (const double share : {0.5, 1e-3, 1e-9}) {
        const double limit = share * decay->speed(0);
        CHECK(decay->speed(decay->time_to_slow_to(limit)) <= limit * (1 + 1e-9));
      }
      // What bounds say to fall does.
      const std::span<const double> late(taus.data() + 15, 16);
      if (speeds.back() > 1e3 * rounding && decay->falls(late, speeds.back())) {
        ++falling;
        for (std::size_t k = 16; k < speeds.size(); ++k) CHECK(speeds[k] < 0.99 * speeds[k - 1]);
      }
    }
  }
  CHECK(decaying > 50);
  CHECK(falling > 5);
  CHECK(tight > 100);
}

TEST_CASE("norms are measured as those of the vectors themselves") {
  int measured = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    Flow flow(test::random_circuit(seed));
    if (!flow.is_linear) continue;
    const Index n = flow.system.dimension();
    VectorXd of_rate = VectorXd::LinSpaced(n, 0.5, 2), of_state = VectorXd::LinSpaced(n, 3, 1);
    of_rate[0] = 0;
    // Units that are held are not looked at.
    const std::vector<Index> moving = flow.system.moving_rows({0, 0, 1});
    std::vector<Decay> decays;
    for (Index trial = 0; trial < flow.system.trials(); ++trial)
      if (auto decay = flow.flow.decay(trial)) decays.push_back(*decay);
    std::vector<LinearFlow::Approach> approaches;
    std::vector<VectorXd> ends;
    ends.reserve(decays.size());
    for (const Decay& decay : decays) {
      ends.push_back(flow.at(decay.trial, 50).first);
      const double limit = decay.speed(20);
      approaches.push_back({&decay, 20, 1.5, 7, limit, ends.back().data(), 50});
      approaches.push_back({&decay, 10, 0, 1, limit});
    }
    std::vector<LinearFlow::Norms> norms;
    flow.flow.measure(approaches, of_rate, of_state, norms, flow.scratch);
    std::size_t place = 0;
    for (const LinearFlow::Approach& approach : approaches)
      for (Index k = 0; k < approach.count; ++k, ++place) {
        CAPTURE(seed, approach.decay->trial, k);
        const double t = approach.t - static_cast<double>(k) * approach.step;
        const auto [x, rate] = flow.at(approach.decay->trial, t);
        const VectorXd rates = of_rate.cwiseProduct(rate)(moving),
                       states = of_state.cwiseProduct(x)(moving);
        CHECK(norms[place].rate == Approx(largest(rates)).epsilon(1e-8).margin(1e-12));
        if (approach.end)
          CHECK(norms[place].state == Approx(largest(states)).epsilon(1e-10).margin(1e-12));
        ++measured;
      }
  }
  CHECK(measured > 300);
}
