// The states that a run passed through, thinned where they would take too much memory.
#include <catch2/catch.hpp>

#include "sim/solve/trajectory.hpp"

using namespace settle;
using solve::Index;
using solve::Trajectory;
using solve::VectorXd;

namespace {

VectorXd state(double t) { return VectorXd::Constant(6, t); }

constexpr std::size_t one = 6 * sizeof(double);

}  // namespace

TEST_CASE("a trajectory within its memory keeps every state", "[solve][trajectory]") {
  Trajectory trajectory(6, 100 * one);
  for (int k = 0; k < 100; ++k) trajectory.add(k / 50, k, state(k));
  REQUIRE(trajectory.size() == 100);
  for (std::size_t k = 0; k < 100; ++k) {
    CHECK(trajectory.time(k) == static_cast<double>(k));
    CHECK(trajectory.state(k) == state(static_cast<double>(k)));
  }
  CHECK(trajectory.of_phase(0) == std::pair<std::size_t, std::size_t>(0, 50));
  CHECK(trajectory.of_phase(1) == std::pair<std::size_t, std::size_t>(50, 100));
  CHECK(trajectory.of_phase(2).first == trajectory.of_phase(2).second);
}

TEST_CASE("a long trajectory is thinned evenly and keeps the ends of every phase",
          "[solve][trajectory]") {
  constexpr std::size_t most = 64;
  const int length = GENERATE(1, 2, 3, 63, 64, 65, 66, 129, 1000, 4097);
  Trajectory trajectory(6, most * one);
  for (int phase = 0; phase < 3; ++phase)
    for (int k = 0; k < length; ++k) {
      const double t = phase * length + k;
      trajectory.add(phase, t, state(t));
      CHECK(trajectory.size() <= most);
      // What was added last is always there.
      REQUIRE(trajectory.time(trajectory.size() - 1) == t);
    }
  for (int phase = 0; phase < 3; ++phase) {
    const auto [first, last] = trajectory.of_phase(phase);
    REQUIRE(last > first);
    CHECK(trajectory.time(first) == phase * length);
    CHECK(trajectory.time(last - 1) == phase * length + length - 1);
  }
  for (std::size_t k = 0; k < trajectory.size(); ++k) {
    CHECK(trajectory.state(k) == state(trajectory.time(k)));
    if (k > 0) CHECK(trajectory.time(k) > trajectory.time(k - 1));
  }
  // No gap is longer than what the memory asks for, with a factor of 2 for halving and one for the phases
  // before, which are thinned as often.
  const double gap = std::max(1.0, 4.0 * 3 * length / most);
  for (std::size_t k = 1; k < trajectory.size(); ++k)
    CHECK(trajectory.time(k) - trajectory.time(k - 1) <= gap);
}
