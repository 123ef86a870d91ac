// Studies: what a point is, the boundary of stability in closed form, and prediction beside simulation.
#include <catch2/catch.hpp>

#include "analysis/sweep.hpp"
#include "tests/sim/io/recorder_support.hpp"
#include "tests/support.hpp"

using namespace settle;
using namespace settle::analysis;
using settle::test::Simulation;

namespace {

const auto always = [] { return true; };

std::string axis(const std::string& parameter, const std::string& values) {
  return "[[sweep.axes]]\nparameter = \"" + parameter + "\"\n" + values + "\n";
}

// A study with its file, all points run.
struct Studied {
  explicit Studied(const std::string& toml)
      : file(io::parse_toml(toml, "study.toml")),
        study(file, "."),
        writer(folder / "study.h5", study.dimensions(), 1,
               {test::run_info(), io::toml_text(file), ".", {}}, test::solver_options(1), false) {
    for (std::size_t p = 0; p < study.spec().points(); ++p) {
      PointResult result = study.run(p, always);
      INFO(result.failure);
      REQUIRE(result.failure.empty());
      writer.add(p, std::move(result.quantities), std::move(result.numbers));
    }
    writer.flush();
  }

  SweepBoundary boundary() const { return trace_boundary(study, writer, always); }

  test::TemporaryFolder folder;
  core::Value file;
  SweepStudy study;
  io::SweepWriter writer;
};

// A loop of one layer with 2 units whose W B has the eigenvalues a ± ib, τ = 0.5 and τ_u = 2.
std::string complex_loop(double a, double b, const std::string& more) {
  const auto number = [](double x) { return core::number_text(x); };
  return "[model]\nkind = \"dynamic_inversion\"\nlayers = [2, 2]\ntransfer = \"identity\"\n"
         "tau = 0.5\nforward = { init = \"identity\" }\nfeedback = { init = \"values\", values = "
         "[[" +
         number(a) + ", " + number(-b) + "], [" + number(b) + ", " + number(a) +
         "]] }\nsetpoint = 0.1\n[model.controller]\nleak = 0.2\ntau = 2.0\n"
         "[solver]\nduration = 3.0\n[analysis]\nmeasures = [\"verdict\"]\n" +
         more;
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

std::vector<double> values_of(const SweepSpec& spec, std::size_t axis) {
  return spec.axes.at(axis).numbers();
}

}  // namespace

TEST_CASE("axes are spaced as they say, the last one varying fastest", "[analysis][sweep]") {
  const core::Value file = io::parse_toml(
      "[sweep]\naxes = [\n"
      "{ parameter = \"a.leak\", log = [1e-2, 1.0], points = 5 },\n"
      "{ parameter = \"a.layers\", linear = [3, 9], points = 4 },\n"
      "{ parameter = \"b.gains.i\", linear = [0, 1], points = 3 },\n"
      "{ parameters = [\"a.gains.p\", \"b.gains.p\"], values = [1, 2.5] },\n"
      "{ parameter = \"kind\", name = \"what\", values = [\"x\", \"y\"] },\n"
      "{ parameter = \"a.sizes\", values = [[6, 4], [6, 5, 4]] } ]\n",
      "s.toml");
  const SweepSpec spec = read_sweep(*file.find("sweep"));
  CHECK(values_of(spec, 0) ==
        std::vector<double>{0.01, 0.0316227766016838, 0.1, 0.316227766016838, 1});
  CHECK(spec.axes[0].logarithmic);
  CHECK(values_of(spec, 1) == std::vector<double>{3, 5, 7, 9});
  for (const core::Value& value : spec.axes[1].values) CHECK(value.is_integer());
  CHECK(values_of(spec, 2) == std::vector<double>{0, 0.5, 1});
  CHECK_FALSE(spec.axes[2].values[0].is_integer());
  std::vector<std::string> names;
  for (const SweepAxis& one : spec.axes) names.push_back(one.name);
  CHECK(names == std::vector<std::string>{"leak", "layers", "gains_i", "gains_p", "what", "sizes"});
  CHECK(spec.axes[5].labels() == std::vector<std::string>{"[6, 4]", "[6, 5, 4]"});
  CHECK(spec.points() == 5 * 4 * 3 * 2 * 2 * 2);
  CHECK(spec.place(1) == std::vector<std::size_t>{0, 0, 0, 0, 0, 1});
  CHECK(spec.place(spec.points() - 1) == std::vector<std::size_t>{4, 3, 2, 1, 1, 1});
  CHECK(point_text(spec, 9) ==
        "leak = 0.01, layers = 3, gains_i = 0.5, gains_p = 1, what = x, "
        "sizes = [6, 5, 4]");

  const core::Value point = with_point(file, spec, spec.points() - 1);
  CHECK_FALSE(point.find("sweep"));
  CHECK(core::find_path(point, "a.gains.p")->number() == 2.5);
  CHECK(core::find_path(point, "b.gains.p")->number() == 2.5);
  CHECK(core::find_path(point, "a.layers")->integer() == 9);
  CHECK(core::find_path(point, "kind")->text() == "y");
  CHECK(core::find_path(point, "a.sizes")->array().size() == 3);
}

TEST_CASE("names of axes are the shortest endings that differ", "[analysis][sweep]") {
  const auto names = [](const std::vector<std::string>& parameters) {
    std::string toml;
    for (const std::string& parameter : parameters) toml += axis(parameter, "values = [1]");
    const core::Value file = io::parse_toml(toml, "s.toml");
    std::vector<std::string> out;
    for (const SweepAxis& one : read_sweep(*file.find("sweep")).axes) out.push_back(one.name);
    return out;
  };
  using Names = std::vector<std::string>;
  CHECK(names({"controller.a.leak", "controller.b.leak"}) == Names{"a_leak", "b_leak"});
  CHECK(names({"model.controller.gains.i", "model.controller.gains.d"}) ==
        Names{"gains_i", "gains_d"});
  CHECK(names({"seed"}) == Names{"seed"});
  CHECK(names({"projection.hidden->control.gain"}) == Names{"gain"});
  // Taken by a result.
  CHECK(names({"analysis.poles"}) == Names{"analysis_poles"});
}

TEST_CASE("a point has the bits of the single run, whatever the method", "[analysis][sweep]") {
  // cash_karp54 has no dense output: it steps onto the samples, which the file asks for.
  const std::string method = GENERATE("method = \"dopri5\"", "method = \"cash_karp54\"",
                                      "method = \"rk4\"\nstep = 0.07", "method = \"rosenbrock4\"");
  const std::string base =
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [5, 3]\n"
      "forward = { init = \"normal\", std = 0.5 }\nsetpoint = { init = \"normal\", std = 0.3 }\n"
      "trials = 2\n[record]\ninterval = 0.7\n[solver]\nduration = 60.0\nsettled = {}\n" +
      method + "\n";
  const core::Value file =
      io::parse_toml(base + axis("model.controller.leak", "values = [0.05, 0.3]") +
                         axis("model.transfer", "values = [\"tanh\", \"relu\"]"),
                     "study.toml");
  const SweepStudy study(file, ".");
  for (std::size_t p = 0; p < 4; ++p) {
    const PointResult point = study.run(p, always);
    REQUIRE(point.failure.empty());
    CHECK_FALSE(point.trajectories);
    Simulation single(io::toml_text(with_point(file, study.spec(), p)));
    const solve::SolveSummary summary = single.run(0.7);
    const auto measures = single.measure(summary);
    for (Eigen::Index k = 0; k < 2; ++k) {
      const auto& trial = summary.trials[static_cast<std::size_t>(k)];
      CHECK(find(point.quantities, "outcome")->values(0, k) == static_cast<double>(trial.outcome));
      CHECK(same(find(point.quantities, "settled_at")->values(0, k), trial.settled_at));
      CHECK(same(find(point.quantities, "final_residual")->values(0, k), trial.residual));
    }
    CHECK(point.numbers[0].second == static_cast<double>(summary.steps));
    for (const core::Quantity& quantity : measures) {
      INFO(quantity.name);
      const core::Quantity* found = find(point.quantities, quantity.name);
      REQUIRE(found);
      CHECK(found->texts == quantity.texts);
      for (Eigen::Index k = 0; k < quantity.values.size(); ++k)
        CHECK(same(found->values.data()[k], quantity.values.data()[k]));
    }
  }
}

TEST_CASE("a point that cannot be run says why, and one that is told to stop stops",
          "[analysis][sweep]") {
  test::TemporaryFolder folder;
  folder.write("w.csv", "1,0\n0,1\n");
  const core::Value file = io::parse_toml(
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [2, 2]\nsetpoint = 0.1\n"
      "forward = { file = \"w.csv\" }\n[solver]\nduration = 5.0\n" +
          axis("model.layers", "values = [[2, 2], [3, 2]]"),
      "study.toml");
  const SweepStudy study(file, folder.path());
  CHECK(study.run(0, always).failure.empty());
  CHECK_THAT(study.run(1, always).failure, Catch::Contains("2 × 2") && Catch::Contains("2 × 3"));
  CHECK(study.run(0, [] { return false; }).interrupted);
}

TEST_CASE("two populations in one loop lose stability at k σ² = 2(1 + α)²", "[analysis][sweep]") {
  // science.md section 5, SDI with N = 2 and τ = τ_u = 1.
  const Studied studied(
      "seed = 4\n[model]\nkind = \"dynamic_inversion\"\nscheme = \"single_loop\"\n"
      "layers = [4, 4, 3]\ntransfer = \"identity\"\nforward = { init = \"normal\", std = 0.5 }\n"
      "setpoint = 0.1\n[solver]\nduration = 2.0\n[analysis]\nmeasures = [\"verdict\"]\n" +
      axis("model.controller.leak", "log = [0.01, 1.0]\npoints = 4") +
      axis("model.controller.gains.i", "log = [0.1, 30.0]\npoints = 5"));
  Simulation first(io::toml_text(with_point(studied.file, studied.study.spec(), 0)));
  const Eigen::MatrixXd a =
      first.weights("hidden_2->control") * first.weights("hidden_1->hidden_2");
  const double sigma = a.jacobiSvd().singularValues()(0);
  const SweepBoundary boundary = studied.boundary();
  CHECK(boundary.axes == std::vector<std::size_t>{0, 1});
  CHECK(boundary.curves == 1);
  REQUIRE(boundary.points.size() > 20);
  for (const BoundaryPoint& point : boundary.points)  // refined to a relative 1e-10
    CHECK(point.y * sigma * sigma == Approx(2 * std::pow(1 + point.x, 2)).epsilon(1e-8));
  // From one end of the leaks to the other.
  CHECK(std::min(boundary.points.front().x, boundary.points.back().x) == Approx(0.01));
  CHECK(std::max(boundary.points.front().x, boundary.points.back().x) == Approx(1));
}

TEST_CASE("a complex μ bounds stability by the parabola of Routh and Hurwitz",
          "[analysis][sweep]") {
  // (τ_u + ατ)² (α − k a) > τ τ_u k² b², science.md section 5; μ = a ± ib, τ = 0.5, τ_u = 2.
  const double a = GENERATE(-0.4, 0.0, 0.1), b = 1.5;
  const Studied studied(
      complex_loop(a, b,
                   axis("model.controller.leak", "linear = [0.0, 1.0]\npoints = 5") +
                       axis("model.controller.gains.i", "linear = [0.05, 2.0]\npoints = 5")));
  const SweepBoundary boundary = studied.boundary();
  REQUIRE(boundary.points.size() > 10);
  for (const BoundaryPoint& point : boundary.points) {
    const double alpha = point.x, k = point.y, tau = 0.5, tau_u = 2;
    CAPTURE(a, alpha, k);
    const double stable = std::pow(tau_u + alpha * tau, 2) * (alpha - k * a);
    CHECK(stable == Approx(tau * tau_u * k * k * b * b).epsilon(1e-7));
  }
}

TEST_CASE("along one axis the boundary is its places, one for every value of the others",
          "[analysis][sweep]") {
  // B = W⁻¹ μ with real μ > 0: stable for k μ < α.
  const Studied studied(
      complex_loop(0.5, 0,
                   axis("model.controller.gains.i", "log = [0.01, 10.0]\npoints = 4") +
                       axis("model.transfer", "values = [\"identity\", \"tanh\"]") +
                       axis("model.controller.leak", "values = [0.1]")));
  CHECK(studied.study.continuous_axes() == std::vector<std::size_t>{0});
  const SweepBoundary boundary = studied.boundary();
  REQUIRE(boundary.points.size() == 2);
  // A loop with tanh rests at 0 only for a setpoint of 0: about another state its slope is below 1.
  CHECK(boundary.points[0].x == Approx(0.1 / 0.5).epsilon(1e-8));
  CHECK(boundary.points[1].x > 0.2);
  CHECK(studied.study.spec().place(boundary.slices[1])[1] == 1);
  CHECK(boundary.curves == 2);
}

TEST_CASE("axes of whole numbers, of names and out of order have no boundary",
          "[analysis][sweep]") {
  const core::Value file =
      io::parse_toml(complex_loop(-1, 0,
                                  axis("seed", "values = [1, 2]") +
                                      axis("model.controller.leak", "values = [0.3, 0.1, 0.2]") +
                                      axis("model.loop", "values = [\"linear\", \"transfer\"]") +
                                      axis("solver.duration", "values = [3, 2, 1]")),
                     "study.toml");
  CHECK(SweepStudy(file, ".").continuous_axes() == std::vector<std::size_t>{3});
}

TEST_CASE("what the poles predict agrees with what a linear loop does", "[analysis][sweep]") {
  std::string toml =
      complex_loop(-0.3, 1.2, axis("model.controller.gains.i", "values = [0.3, 0.6, 1.2, 2.4]"));
  toml.replace(toml.find("duration = 3.0"), 14, "duration = 400.0\nsettled = {}");
  toml.replace(toml.find("[\"verdict\"]"), 11, "[\"verdict\", \"response\"]");
  const Studied studied(toml);
  const Agreement found = agreement(studied.writer);
  CHECK(found.compared + found.undecided == 4);
  CHECK(found.compared >= 3);
  CHECK(found.differing == 0);
  CHECK(found.differing_points.empty());
  CHECK(found.band == "1 %");
  CHECK(found.times_compared >= 1);
  CHECK(found.times_off == 0);
  CHECK(found.median_ratio == Approx(1).margin(0.4));
  const auto stability = studied.writer.read("predicted_stability");
  const auto outcome = studied.writer.read("outcome");
  CHECK(stability->values(0, 0) == 0);
  CHECK(stability->values(0, 3) == 2);
  CHECK(outcome->values(0, 0) == static_cast<double>(solve::Outcome::settled));
  CHECK(outcome->values(0, 3) == static_cast<double>(solve::Outcome::diverged));
}

TEST_CASE("disagreement is counted by trials and told by points", "[analysis][sweep]") {
  const test::TemporaryFolder folder;
  io::SweepDimension leak;
  leak.name = "leak";
  leak.numbers = {1, 2, 3, 4};
  io::SweepWriter writer(folder / "s.h5", {leak}, 2, {test::run_info(), "", ".", {}},
                         test::solver_options(1), false);
  using solve::Outcome;
  const auto add = [&](std::size_t point, std::vector<Outcome> outcomes,
                       std::vector<double> predicted) {
    core::Quantity outcome = declare("outcome", "1", "outcome");
    core::Quantity stability = declare("predicted_stability", "1", "stability");
    outcome.meanings = solve::outcome_names();
    stability.meanings = {"stable", "neutral", "unstable"};
    outcome.values.resize(1, 2);
    stability.values.resize(1, 2);
    for (Eigen::Index k = 0; k < 2; ++k) {
      outcome.values(0, k) = static_cast<double>(outcomes[static_cast<std::size_t>(k)]);
      stability.values(0, k) = predicted[static_cast<std::size_t>(k)];
    }
    writer.add(point, {outcome, stability}, {});
  };
  add(0, {Outcome::settled, Outcome::settled}, {0, 2});               // as predicted, not
  add(1, {Outcome::diverged, Outcome::oscillating}, {0, 0});          // not, not
  add(2, {Outcome::not_settled, Outcome::diverged}, {0, 2});          // undecided, as predicted
  add(3, {Outcome::settled, Outcome::diverged}, {1, test::missing});  // neutral, no prediction
  writer.flush();
  const Agreement found = agreement(writer);
  CHECK(found.compared == 5);
  CHECK(found.differing == 3);
  CHECK(found.differing_points == std::vector<std::size_t>{0, 1});
  CHECK(found.undecided == 2);
  CHECK(found.times_compared == 0);
}
