#include "tests/cli/mistakes.hpp"

#include <catch2/catch.hpp>
#include <regex>
#include <span>

#include "analysis/sweep.hpp"
#include "cli/commands.hpp"
#include "sim/io/hdf5.hpp"

namespace settle::test {
namespace {

const std::string model_lines =
    "[model]\n"
    "kind = \"dynamic_inversion\"\n"
    "layers = [6, 4]\n"
    "forward = { init = \"uniform\" }\n"
    "setpoint = 0.1\n";

void write_data(const TemporaryFolder& folder) {
  folder.write("matrix.csv", "1,2\n3,4\n5,6\n");
  folder.write("ragged.csv", "1,2\n3\n");
  folder.write("nan.csv", "1,nan\n3,4\n");
  folder.write("constant.csv", "1,1\n1,1\n");
  io::h5::File file = io::h5::File::create(folder.path() / "matrix.h5");
  const std::vector<double> numbers{1, 2, 3, 4, 5, 6};
  io::h5::Group root = file.group("/");
  root.write_dataset("W", {2, 3}, std::span<const double>(numbers));
  root.write_dataset("V", {6}, std::span<const double>(numbers));
}

}  // namespace

void check(const Mistake& mistake) {
  const TemporaryFolder folder;
  write_data(folder);
  const std::filesystem::path file = folder.write("config.toml", mistake.toml);
  INFO(mistake.name << "\n" << mistake.toml.substr(0, 2000));
  try {
    const cli::Prepared ready = cli::prepare(file, mistake.set);
    if (ready.sweep) analysis::SweepStudy(ready.file.value, folder.path());
    FAIL_CHECK("nothing was found wrong");
  } catch (const core::InputError& error) {
    const std::string message = error.what();
    UNSCOPED_INFO(message);
    if (mistake.line > 0) {
      const std::string place = file.string() + ":" + std::to_string(mistake.line) + ":";
      CHECK_THAT(error.where, Catch::StartsWith(place));
      const std::string rest = error.where.substr(std::min(place.size(), error.where.size()));
      CHECK(std::regex_search(rest, std::regex("^[1-9][0-9]*")));
    } else {
      CHECK_THAT(error.where, Catch::StartsWith(mistake.where));
    }
    for (const std::string& fragment : mistake.fragments)
      CHECK_THAT(message, Catch::Contains(fragment));
  } catch (const std::exception& other) {
    FAIL_CHECK("no InputError but: " << other.what());
  }
}

std::string model(const std::string& more) { return model_lines + more; }

std::string model_with(const std::string& part, const std::string& by) {
  std::string text = model_lines;
  return text.replace(text.find(part), part.size(), by);
}

std::string population(const std::string& more) {
  return "[[population]]\nname = \"a\"\nsize = 2\n" + more;
}

std::string controlled(const std::string& more) {
  return population("[[controller]]\nname = \"c\"\nsize = 2\n" + more);
}

}  // namespace settle::test
