// Where the circuits come to rest, against closed forms and Newton solutions. Source: science.md 4
// and 6.
#include <catch2/catch.hpp>

#include "sim/core/linalg.hpp"
#include "tests/support.hpp"

using namespace settle;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using settle::test::relative;
using settle::test::Simulation;

namespace {

// The settled criterion bounds ‖Tẋ‖∞/‖x‖∞ by 1e-10; the state is then off by at most that times the
// condition of the loop, which is below 1e3 in all the circuits here.
const std::string tight =
    "[solver]\nrtol = 1e-9\natol = 1e-12\nduration = 20000.0\nsettled = { tolerance = 1e-8 }\n";
constexpr double small = 1e-5;

std::string model(const std::string& scheme, const std::string& layers, const std::string& transfer,
                  const std::string& more) {
  return "seed = 11\n" + tight + "[model]\nkind = \"dynamic_inversion\"\nscheme = \"" + scheme +
         "\"\nlayers = " + layers + "\ntransfer = \"" + transfer +
         "\"\nforward = { init = \"normal\", std = 0.3 }\nsetpoint = { init = \"normal\", std = "
         "0.2 }\n" +
         more;
}

// δ_{l−1} = B (W B − I/G)⁻¹ δ_l, or the push-through form for an expanding layer.
MatrixXd ndi(const MatrixXd& w, const MatrixXd& b, double g, const MatrixXd& delta) {
  if (w.rows() <= w.cols())
    return b * (w * b - MatrixXd::Identity(w.rows(), w.rows()) / g).lu().solve(delta);
  return (b * w - MatrixXd::Identity(w.cols(), w.cols()) / g).lu().solve(b * delta);
}

const std::vector<std::string> shapes{"[12, 8]", "[9, 9]", "[7, 11]"};

}  // namespace

TEST_CASE("one linear loop rests at B (W B - I/G)^-1 y, contracting, square and expanding") {
  for (const auto& shape : shapes)
    for (const auto& gains :
         {std::string("{ i = 1.0 }"), std::string("{ p = 0.7, i = 0.5 }"),
          std::string("{ p = 2.0, i = 0.0 }"), std::string("{ p = 0.3, i = 1.0, d = 0.2 }")}) {
      CAPTURE(shape, gains);
      Simulation s(model("sequential", shape, "identity",
                         "[model.controller]\nleak = 0.1\ngains = " + gains));
      const auto summary = s.run(100);
      REQUIRE(summary.outcome() == solve::Outcome::settled);
      const auto& c = s.circuit().controllers[0];
      const double g = c.gain_i / c.leak + c.gain_p;
      CHECK(relative(s.part("hidden", summary.final_state),
                     ndi(s.weights("hidden->control"), s.weights("control->hidden"), g,
                         s.setpoint("control"))) < small);
    }
}

TEST_CASE("sequential and simultaneous loops rest at the chain of closed forms") {
  for (const auto& layers : {std::string("[12, 9, 6]"), std::string("[8, 8, 8]"),
                             std::string("[6, 9, 11]"), std::string("[10, 8, 8, 11]")}) {
    MatrixXd bottom[2];
    int which = 0;
    for (const auto& scheme : {std::string("sequential"), std::string("simultaneous")}) {
      CAPTURE(layers, scheme);
      Simulation s(model(scheme, layers, "identity", "[model.controller]\nleak = [0.2]"));
      const auto summary = s.run(100);
      REQUIRE(summary.outcome() == solve::Outcome::settled);
      const int n = static_cast<int>(s.circuit().controllers.size());
      MatrixXd delta = s.setpoint("control_" + std::to_string(n));
      for (int k = n; k >= 1; --k) {
        const std::string r = "hidden_" + std::to_string(k), u = "control_" + std::to_string(k);
        delta = ndi(s.weights(r + "->" + u), s.weights(u + "->" + r), 1 / 0.2, delta);
        CHECK(relative(s.part(r, summary.final_state), delta) < small * 10);
      }
      bottom[which++] = s.part("hidden_1", summary.final_state);
    }
    CHECK(relative(bottom[0], bottom[1]) < small * 10);
  }
}

TEST_CASE("about a rest state of tanh loops, sequential and simultaneous end at the same place") {
  MatrixXd ends[2];
  int which = 0;
  for (const auto& scheme : {std::string("sequential"), std::string("simultaneous")}) {
    Simulation s(model(scheme, "[14, 10, 6]", "tanh", "[model.controller]\nleak = 0.2"));
    const auto summary = s.run(100);
    REQUIRE(summary.outcome() == solve::Outcome::settled);
    ends[which++] = s.part("hidden_1", summary.final_state);
  }
  CHECK(relative(ends[0], ends[1]) < small * 10);
}

TEST_CASE("a single linear loop rests at delta_1 = B (A B - I/G)^-1 delta_L, carried up by W") {
  for (const auto& layers :
       {std::string("[12, 9, 6]"), std::string("[8, 8, 8]"), std::string("[6, 9, 11]")}) {
    CAPTURE(layers);
    Simulation s(model("single_loop", layers, "identity",
                       "[model.controller]\nleak = 0.2\ngains = { p = 0.05, i = 0.1 }"));
    const auto summary = s.run(100);
    REQUIRE(summary.outcome() == solve::Outcome::settled);
    const MatrixXd w1 = s.weights("hidden_1->hidden_2"), w2 = s.weights("hidden_2->control");
    const MatrixXd b = s.weights("control->hidden_1"), a = w2 * w1;
    CHECK(relative(b, -a.transpose()) < 1e-14);
    const MatrixXd x1 = ndi(a, b, 0.1 / 0.2 + 0.05, s.setpoint("control"));
    CHECK(relative(s.part("hidden_1", summary.final_state), x1) < small);
    CHECK(relative(s.part("hidden_2", summary.final_state), w1 * x1) < small);
  }
}

TEST_CASE("a tanh loop rests where Newton's method finds W phi(r) - y = u/G, r = B u") {
  for (const auto& shape : shapes) {
    CAPTURE(shape);
    Simulation s(model("sequential", shape, "tanh",
                       "[model.controller]\nleak = 0.05\ngains = { p = 0.5, i = 1.0 }"));
    const auto summary = s.run(100);
    REQUIRE(summary.outcome() == solve::Outcome::settled);
    const MatrixXd w = s.weights("hidden->control"), b = s.weights("control->hidden");
    const VectorXd y = s.setpoint("control");
    const double g = 1 / 0.05 + 0.5;
    VectorXd u = VectorXd::Zero(y.size());
    for (int i = 0; i < 200; ++i) {
      const VectorXd r = b * u, phi = r.array().tanh();
      const VectorXd f = w * phi - y - u / g;
      const MatrixXd slope = (1 - phi.array().square()).matrix().asDiagonal();
      const MatrixXd j = w * slope * b - MatrixXd::Identity(u.size(), u.size()) / g;
      u -= j.lu().solve(f);
    }
    REQUIRE((w * (b * u).array().tanh().matrix() - y - u / g).norm() < 1e-10);
    CHECK(relative(s.part("hidden", summary.final_state), b * u) < small);
  }
}

TEST_CASE("in each singular direction the error at rest is 1/(1 + G sigma^2) of the setpoint") {
  for (const auto& [p, i] : {std::pair{0.0, 1.0}, std::pair{1.5, 0.0}, std::pair{0.8, 0.4}}) {
    CAPTURE(p, i);
    Simulation s(model("sequential", "[10, 7]", "identity",
                       "[model.controller]\nleak = 0.05\ngains = { p = " + core::number_text(p) +
                           ", i = " + core::number_text(i) + " }"));
    const auto summary = s.run(100);
    REQUIRE(summary.outcome() == solve::Outcome::settled);
    const MatrixXd w = s.weights("hidden->control");
    const auto parts = core::svd(w);
    const VectorXd y = s.setpoint("control");
    const VectorXd e = w * s.part("hidden", summary.final_state) - y;
    const double g = i / 0.05 + p;
    for (Eigen::Index k = 0; k < parts.s.size(); ++k) {
      const double error = parts.u.col(k).dot(e), wanted = parts.u.col(k).dot(y);
      CHECK(-error / wanted == Approx(1 / (1 + g * parts.s[k] * parts.s[k])).epsilon(1e-4));
    }
  }
}

TEST_CASE("a setpoint outside the range of W phi winds the integrator up to |xi| = |e|/alpha") {
  // W tanh(r) has entries below the row sums of |W|; 10 is beyond them.
  Simulation s(tight +
               "[model]\nkind = \"dynamic_inversion\"\nlayers = [6, 4]\ntransfer = \"tanh\"\n"
               "forward = { init = \"uniform\", low = -0.5, high = 0.5 }\nsetpoint = 10.0\n"
               "[model.controller]\nleak = 0.05\n");
  const auto summary = s.run(100);
  REQUIRE(summary.outcome() == solve::Outcome::settled);
  const VectorXd r = s.part("hidden", summary.final_state);
  const VectorXd xi = s.part("control.integral", summary.final_state);
  const VectorXd e =
      s.weights("hidden->control") * r.array().tanh().matrix() - VectorXd::Constant(4, 10);
  CHECK(e.cwiseAbs().minCoeff() > 5);
  CHECK(relative(xi, e / 0.05) < small);
}

TEST_CASE(
    "without a leak an expanding layer's rates settle to (B W)^-1 B y while its control drifts") {
  Simulation s(
      "seed = 3\n[solver]\nrtol = 1e-8\nduration = 300.0\n"
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [5, 9]\ntransfer = \"identity\"\n"
      "forward = { init = \"normal\", std = 0.5 }\nsetpoint = { init = \"normal\", std = 0.2 }\n"
      "[model.controller]\nleak = 0.0\n");
  const auto summary = s.run(1);
  CHECK(summary.outcome() == solve::Outcome::not_settled);
  const MatrixXd w = s.weights("hidden->control"), b = s.weights("control->hidden");
  const VectorXd rest = (b * w).lu().solve(b * s.setpoint("control"));
  CHECK(relative(s.part("hidden", summary.final_state), rest) < 1e-5);
  // u grows by the constant error: twice as far after twice the time.
  const auto drift = [&](std::size_t sample) {
    return s.part("control.integral", s.samples.states[sample]).norm();
  };
  CHECK(drift(300) - drift(200) == Approx(drift(200) - drift(100)).epsilon(1e-3));
}
