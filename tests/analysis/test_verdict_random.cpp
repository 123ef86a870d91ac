// Verdicts of fifty random circuits, confirmed by longer and tighter runs with other solvers.
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <random>

#include "sim/core/linalg.hpp"
#include "tests/analysis/measured.hpp"

using namespace settle;
using settle::test::Index;
using settle::test::MatrixXd;
using settle::test::Measured;
using settle::test::number;
using settle::test::VectorXd;
using solve::Outcome;

namespace {

constexpr double first_duration = 80;

class RandomCircuit {
 public:
  explicit RandomCircuit(unsigned seed) : random_(seed), seed_(seed) {}

  // All but [solver].
  std::string toml() {
    const bool is_single = seed_ % 7 == 3, is_chain = seed_ % 7 == 5;
    const std::vector<const char*> transfers = {"identity", "tanh", "tanh", "leaky_relu",
                                                "softplus"};
    std::string text = "seed = " + std::to_string(seed_) +
                       "\n[model]\nkind = \"dynamic_inversion\"\ntransfer = \"" +
                       transfers[seed_ % transfers.size()] + "\"\n";
    text += is_single || is_chain ? deep(is_single) : layer();
    text += "setpoint = { init = \"normal\", std = " + number(uniform(0.1, 0.6)) + " }\n";
    return text + controller();
  }

 private:
  double uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random_);
  }
  double log_uniform(double low, double high) {
    return std::exp(uniform(std::log(low), std::log(high)));
  }
  Index size() { return static_cast<Index>(uniform(1, 6.999)); }
  MatrixXd normal(Index rows, Index cols) {
    std::normal_distribution<double> draw;
    return MatrixXd::NullaryExpr(rows, cols, [&] { return draw(random_); });
  }

  // One layer under -W', a turned -W', random feedback or signs.
  std::string layer() {
    const Index above = size(), below = size();
    const MatrixXd w = uniform(0.3, 1.0) * normal(above, below);
    MatrixXd b = -w.transpose();
    switch (seed_ % 4) {
      case 0:
        break;
      case 1: {  // by a rotation of the controls
        const double angle = uniform(1.0, 2.5);
        const MatrixXd skew = normal(above, above);
        b = b * core::exponential(angle * (skew - skew.transpose()) / 2);
        break;
      }
      case 2:
        b = uniform(0.3, 1.5) * normal(below, above);
        break;
      default:
        b = -0.5 * w.transpose().array().sign().matrix();
    }
    return "layers = [" + std::to_string(below) + ", " + std::to_string(above) +
           "]\nforward = { values = " + test::rows(w) +
           " }\nfeedback = { values = " + test::rows(b) + " }\n";
  }

  std::string deep(bool is_single) {
    return std::string("scheme = \"") + (is_single ? "single_loop" : "simultaneous") +
           "\"\nlayers = [" + std::to_string(size()) + ", " + std::to_string(size()) + ", " +
           std::to_string(size()) +
           "]\nforward = { init = \"normal\", std = " + number(uniform(0.3, 0.9)) + " }\n";
  }

  std::string controller() {
    const double p = uniform(0, 1) < 0.3 ? uniform(0.1, 1.0) : 0;
    const double d = uniform(0, 1) < 0.2 ? uniform(0.05, 0.3) : 0;
    const double leak = uniform(0, 1) < 0.1 ? 0 : log_uniform(0.003, 0.5);
    return "[model.controller]\nleak = " + number(leak) + "\ngains = { p = " + number(p) +
           ", i = " + number(log_uniform(0.3, 4)) + ", d = " + number(d) + " }\n";
  }

  std::mt19937 random_;
  unsigned seed_;
};

std::string run_with(const std::string& circuit, const std::string& solver) {
  return circuit + "[solver]\n" + solver;
}

double number_after(const std::string& text, const std::string& words) {
  const auto at = text.find(words);
  return at == std::string::npos ? std::nan("") : std::stod(text.substr(at + words.size()));
}

}  // namespace

TEST_CASE("fifty random circuits: a longer, tighter run with another solver says the same") {
  std::map<std::string, int> seen;
  for (unsigned seed = 0; seed < 50; ++seed) {
    const std::string circuit = RandomCircuit(seed).toml();
    const Measured first(
        run_with(circuit, "duration = " + number(first_duration) + "\nsettled = {}\n"),
        {"verdict", "slowest_pole", "feasibility"});
    const std::string kind = first.meaning("verdict"), text = first.text("verdict_text");
    const double pole = first.value("slowest_pole");
    ++seen[kind];
    INFO("seed " << seed << ": " << kind << ": " << text << "\n" << circuit);

    const auto again = [&](const std::string& method, double duration, double tolerance) {
      return Measured(
          run_with(circuit, "method = \"" + method +
                                "\"\nrtol = 1e-10\natol = 1e-13\nduration = " + number(duration) +
                                "\nsettled = { tolerance = " + number(tolerance) + " }\n"),
          {"verdict"});
    };
    const double longer = 10 * first_duration;

    if (first.summary.outcome() == Outcome::settled) {
      const Measured second = again("rosenbrock4", longer, 1e-8);
      CHECK(second.summary.outcome() == Outcome::settled);
      CHECK(second.meaning("verdict") == kind);
      // At rest to the residual's 1e-5, it is that over the slowest rate away; non-normal loops
      // are some times farther.
      const VectorXd a = first.summary.final_state.col(0), b = second.summary.final_state.col(0);
      REQUIRE(pole < 0);
      CHECK((a - b).cwiseAbs().maxCoeff() < 20 * 1e-5 * a.cwiseAbs().maxCoeff() / -pole);
    } else if (kind == "slow" || kind == "slowly_damped" || kind == "infeasible" ||
               kind == "saturated") {
      if (text.find("only integrates") != std::string::npos ||
          text.find("no state of rest was found") != std::string::npos) {
        CHECK(again("cvode_bdf", longer, 1e-5).summary.outcome() != Outcome::settled);
        continue;
      }
      const double more = number_after(text, ", about ");
      if (std::isnan(more)) {  // it has almost settled
        CHECK(again("rosenbrock4", longer, 1e-5).summary.outcome() == Outcome::settled);
        continue;
      }
      // Exact for a linear circuit, but for its four digits, for a step, and for the slack of a swing.
      const double slack = first.simulation.system.is_linear() ? 1.02 : 1.1;
      const Measured second = again("rosenbrock4", first_duration + slack * more + 1, 1e-5);
      CHECK(second.summary.outcome() == Outcome::settled);
      CHECK(second.summary.trials[0].settled_at > first_duration);
    } else if (kind == "limit_cycle") {
      const Measured second = again("cvode_bdf", 3 * first_duration, 1e-5);
      CHECK(second.meaning("verdict") == "limit_cycle");
      CHECK(number_after(text, "angular frequency ") ==
            Approx(number_after(second.text("verdict_text"), "angular frequency ")).epsilon(0.01));
    } else if (kind == "diverged") {
      CHECK(again("rosenbrock4", longer, 1e-5).meaning("verdict") == "diverged");
    } else if (kind == "integrating") {
      CHECK(std::abs(pole) < 1e-9);
      CHECK(again("cvode_bdf", longer, 1e-5).summary.outcome() != Outcome::settled);
    } else if (kind == "leaving") {
      CHECK(pole > 0);
      // It does not come back to what it leaves.
      const auto& system = first.simulation.system;
      const solve::Equilibrium left = solve::find_equilibrium(
          {system, first.run().whole(), first.summary.t_end}, first.summary.final_state.col(0));
      const VectorXd end = again("cvode_bdf", longer, 1e-5).summary.final_state.col(0);
      if (left.converged) CHECK(!((end - left.x).norm() < 1e-3 * left.x.norm()));
    } else if (kind == "tolerance_limited") {
      CHECK(again("rosenbrock4", longer, 1e-5).summary.outcome() == Outcome::settled);
    } else if (kind == "undecided") {
      // A longer run tells, or there is no state of rest.
      const std::string later = again("rosenbrock4", longer, 1e-5).meaning("verdict");
      const bool rests = text.find("no state of rest was found") == std::string::npos;
      if (rests) CHECK((later != "undecided" && later != "failed"));
    } else {
      FAIL_CHECK("a verdict that no run can confirm");
    }
  }
  std::string tally;
  for (const auto& [kind, count] : seen) tally += kind + " " + std::to_string(count) + ", ";
  INFO(tally);
  // The fifty are of many kinds.
  for (const char* kind : {"settled", "slow", "limit_cycle", "diverged"}) {
    INFO(kind);
    CHECK(seen[kind] >= 2);
  }
}
