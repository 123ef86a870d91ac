// What rules cost.
#include <catch2/catch.hpp>
#include <cmath>

#include "learning/multiplications.hpp"
#include "tests/learning/courses.hpp"

namespace settle::learning {

TEST_CASE("multiplications of a step are those of its equations", "[training]") {
  const std::string head =
      "[network]\n"
      "layers = [6, 5, 3]\n"
      "[data]\n"
      "kind = 'tanh_teacher'\n"
      "examples = 16\n"
      "[learning]\n"
      "batch = 4\n"
      "epochs = 2\n"
      "evaluate_every = 16\n"
      "compare = false\n";
  const auto counted = [&](const std::string& rule) {
    const Setting setting(head + "[[rule]]\n" + rule);
    const auto course = setting.course();
    const std::atomic<bool> pauses = false;
    std::vector<double> out;
    for (int step = 0; step < 3; ++step) {
      course->advance(pauses);
      const Values values = course->evaluate();
      for (std::size_t v = 0; v < values.size(); ++v)
        if (course_variables()[v].name == "multiplications") out.push_back(values[v][0]);
    }
    CHECK(std::isnan(out[0]));
    return std::vector<double>(out.begin() + 1, out.end());
  };
  const auto each = [](double n) { return std::vector<double>{n, n}; };
  // W_1 is 5 × 6, W_2 3 × 5. Forward and update take a product with both; credit one with W_2.
  const double both = 6 * 5 + 5 * 3, upper = 5 * 3;
  CHECK(counted("kind = 'bp'") == each(3 * both - 6 * 5));
  CHECK(counted("kind = 'fa'") == each(2 * both + upper));
  CHECK(counted("kind = 'dfa'") == each(2 * both + upper));
  CHECK(counted("kind = 'kolen_pollack'") == each(2 * both + 2 * upper));
  // W B (3 × 5 by 5 × 3) and its factors once a batch of 4, then 3² and B's 5 × 3 an example.
  CHECK(counted("kind = 'ndi'") == each(2 * both + (3 * 3 * 5 + 27 / 3) / 4.0 + 3 * 3 + upper));
  // Factors of each example's own.
  CHECK(counted("kind = 'ndi'\ninverse_gain = 'gauss_newton'") ==
        each(2 * both + 3 * 3 * 5 / 4.0 + 27 / 3 + 3 * 3 + upper));
  CHECK(counted("kind = 'pbp'") == each(2 * both + (10 * 27 + 4 * 9 * 5) / 4.0 + upper));
  // Two inversions, and in the noise phase up, down and the step of V.
  CHECK(counted("kind = 'target_propagation'") == each(2 * both + 2 * upper + 3 * upper));
  // Noise after each step of 4 examples: W ξ and ξ (W ξ)ᵀ, and before the first one for 16 examples.
  CHECK(counted("kind = 'weight_mirror'\nnoise_examples = 8\nnoise_before = 32") ==
        std::vector<double>{2 * both + upper + (8 / 4.0 + 32 / 16.0) * 2 * upper,
                            2 * both + upper + 8 / 4.0 * 2 * upper});
}

TEST_CASE("every rule tells of more multiplications than forward pass and update take",
          "[training]") {
  for (const auto& entry : rules().entries()) {
    INFO(entry.name);
    const Setting setting(
        "[network]\nlayers = [6, 5, 4, 3]\n[data]\nkind = 'tanh_teacher'\nexamples = 8\n"
        "[learning]\nbatch = 4\ncompare = false\nevaluate_every = 8\n[[rule]]\nkind = '" +
        entry.name + "'\n");
    const auto course = setting.course();
    const std::atomic<bool> pauses = false;
    course->evaluate();
    course->advance(pauses);
    const Values values = course->evaluate();
    for (std::size_t v = 0; v < values.size(); ++v)
      if (course_variables()[v].name == "multiplications")
        CHECK(values[v][0] > 2 * (6 * 5 + 5 * 4 + 4 * 3));
  }
}

}  // namespace settle::learning
