#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <map>

#include "models/initialisation.hpp"
#include "models/stabilise.hpp"
#include "sim/core/error.hpp"
#include "tests/support.hpp"
#include "tests/temporary_folder.hpp"

using namespace settle;
using namespace settle::models;
using Catch::Contains;
using core::Array;
using core::Value;
using system::Weights;
using test::error_of;

namespace {

Value table(std::initializer_list<std::pair<const char*, Value>> members) {
  Value out;
  out.position = {"circuit.toml", 3, 11};
  for (const auto& [key, value] : members) out.set(key, value).position = out.position;
  return out;
}

Init init(const char* name, std::initializer_list<std::pair<const char*, Value>> members = {}) {
  Value out = table(members);
  out.set("init", name).position = out.position;
  return read_init(out, "projection[0].weights");
}

Value list(std::initializer_list<Value> items) { return Array(items); }

InitContext context(Index rows, Index cols, const std::string& stream = "hidden->control") {
  InitContext out;
  out.rows = rows;
  out.cols = cols;
  out.stream = stream;
  return out;
}

// A context that knows these projections.
InitContext with_projections(Index rows, Index cols, std::map<std::string, Weights> known) {
  InitContext out = context(rows, cols);
  auto shared = std::make_shared<std::map<std::string, Weights>>(std::move(known));
  out.weights_of = [shared](const std::string& name, const Value& at,
                            const std::string& path) -> const Weights& {
    const auto found = shared->find(name);
    if (found == shared->end())
      core::fail(at, path, "no projection is called \"" + name + "\"", "");
    return found->second;
  };
  return out;
}

MatrixXd dense(const Init& what, const InitContext& where) {
  return make_weights(what, where)->dense();
}

MatrixXd random_dense(Index rows, Index cols, const char* stream) {
  return dense(init("uniform", {{"low", -1}, {"high", 1}}), context(rows, cols, stream));
}

// An example of every member of the family, with what has no default filled in.
Value example(const std::string& name) {
  Value out = table({{"init", name}});
  if (name == "values") out.set("values", list({list({1, 2}), list({3, 4.5})}));
  if (name == "file") out.set("file", "w.csv");
  if (name == "product") {
    out.set("factors", list({table({{"init", "normal"}}), 2}));
    out.set("inner", list({4}));
  }
  return out;
}

}  // namespace

TEST_CASE("every initialisation is written as it is read", "[initialisation]") {
  for (const auto& entry : initialisations().entries()) {
    INFO(entry.name);
    CHECK_FALSE(entry.summary.empty());
    const Init first = read_init(example(entry.name), "w");
    CHECK(first->name() == entry.name);
    CHECK(first->clone()->name() == entry.name);
    const Init second = read_init(write_init(first), "w");
    CHECK(second->name() == entry.name);
    CHECK(write_init(second) == write_init(first));
  }
}

TEST_CASE("short forms are read and written short", "[initialisation]") {
  CHECK(write_init(read_init(0.5, "w")) == Value(0.5));
  CHECK(write_init(constant_init(2)) == Value(2.0));
  CHECK(write_init(read_init(list({1, 2}), "w")) == list({1, 2}));
  CHECK(write_init(read_init(table({{"values", list({list({1}), list({2})})}}), "w")) ==
        list({list({1}), list({2})}));
  const Value file = table({{"file", "w.h5"}, {"dataset", "/W"}});
  CHECK(write_init(read_init(file, "w")) == file);
  Init target;
  CHECK_FALSE(init_form(target).write());
  init_form(target).read(3, "w");
  CHECK(*init_form(target).write() == Value(3.0));
}

TEST_CASE("a wrong initialisation is an error that says where and what would do",
          "[initialisation]") {
  const auto reads = [](const Value& value) { return error_of([&] { read_init(value, "w"); }); };
  CHECK_THAT(reads(table({{"init", "unifrom"}})), Contains("did you mean \"uniform\""));
  CHECK_THAT(reads(table({{"init", "unifrom"}})), Contains("w.init"));
  CHECK_THAT(reads(table({{"init", "uniform"}, {"hihg", 1}})), Contains("did you mean \"high\""));
  CHECK_THAT(reads(table({{"inti", "uniform"}})), Contains("did you mean \"init\""));
  CHECK_THAT(reads(table({})), Contains("circuit.toml:3:11") && Contains("empty table"));
  CHECK_THAT(reads("uniform"), Contains("{ init = \"uniform\" }"));
  CHECK_THAT(reads(true), Contains("true"));
  CHECK_THAT(reads(Array{}), Contains("an empty list"));
  CHECK_THAT(reads(list({1, "a"})), Contains("w[1]"));
  CHECK_THAT(reads(list({list({1, 2}), list({3})})), Contains("w[1]") && Contains("a list of 2"));
  CHECK_THAT(reads(list({1, std::nan("")})), Contains("finite"));
  CHECK_THAT(reads(std::numeric_limits<double>::infinity()), Contains("finite"));
  CHECK_THAT(reads(table({{"init", "uniform"}, {"low", 1}, {"high", 0}})), Contains("low < high"));
  CHECK_THAT(reads(table({{"init", "sparse"}, {"density", 1.5}})), Contains("[0, 1]"));
  CHECK_THAT(reads(table({{"init", "normal"}, {"std", -1}})), Contains(">= 0"));
  CHECK_THAT(reads(table({{"init", "transpose"}, {"of", Array{}}})), Contains("a projection"));
}

TEST_CASE("numbers depend on seed and name, and on nothing else", "[initialisation]") {
  for (const char* name : {"uniform", "normal", "orthogonal", "sparse"}) {
    INFO(name);
    const Init what = init(name);
    const MatrixXd first = dense(what, context(7, 5));
    CHECK(first == dense(what, context(7, 5)));
    CHECK(first != dense(what, context(7, 5, "control->hidden")));
    InitContext other_seed = context(7, 5);
    other_seed.seed = 2;
    CHECK(first != dense(what, other_seed));
  }
}

TEST_CASE("a trial's column does not depend on the number of trials", "[initialisation]") {
  for (const char* name : {"uniform", "normal"}) {
    const Init what = init(name);
    const MatrixXd few = make_columns(what, 6, 3, true, context(0, 0));
    const MatrixXd many = make_columns(what, 6, 10, true, context(0, 0));
    REQUIRE(few.cols() == 3);
    REQUIRE(many.cols() == 10);
    CHECK(few == many.leftCols(3));
    CHECK(few.col(0) != few.col(1));
    CHECK(make_columns(what, 6, 10, false, context(0, 0)) == few.leftCols(1));
  }
}

TEST_CASE("random entries have the moments of their distribution", "[initialisation]") {
  // n independent entries; each mean within 5 standard errors of it.
  const double n = 400 * 300;
  const auto within = [&](const Eigen::ArrayXXd& x, double mean, double deviation) {
    INFO(x.mean());
    CHECK(std::abs(x.mean() - mean) < 5 * deviation / std::sqrt(n));
  };
  const Eigen::ArrayXXd u =
      dense(init("uniform", {{"low", -1}, {"high", 3}}), context(400, 300)).array();
  CHECK(u.minCoeff() >= -1);
  CHECK(u.maxCoeff() < 3);
  within(u, 1, 4 / std::sqrt(12.0));
  // (x − 1)² of U(−1, 3) has mean 4/3 and variance 16/5 − 16/9.
  within((u - 1).square(), 4.0 / 3, std::sqrt(16.0 / 5 - 16.0 / 9));

  const Eigen::ArrayXXd z =
      (dense(init("normal", {{"mean", 2}, {"std", 0.5}}), context(400, 300)).array() - 2) / 0.5;
  within(z, 0, 1);
  within(z.square(), 1, std::sqrt(2.0));
  within(z.pow(4), 3, std::sqrt(96.0));
}

TEST_CASE("an orthogonal matrix has orthonormal columns or rows", "[initialisation]") {
  // 1e-12: a few hundred roundings of 1e-16.
  const MatrixXd tall = dense(init("orthogonal"), context(20, 8));
  CHECK((tall.transpose() * tall - MatrixXd::Identity(8, 8)).norm() < 1e-12);
  const MatrixXd wide = dense(init("orthogonal", {{"gain", 2}}), context(8, 20));
  CHECK((wide * wide.transpose() / 4 - MatrixXd::Identity(8, 8)).norm() < 1e-12);
}

TEST_CASE("an identity takes no memory where it is square", "[initialisation]") {
  CHECK(make_weights(init("identity"), context(5, 5))->is_identity());
  const auto scaled = make_weights(init("identity", {{"scale", -2}}), context(5, 5));
  CHECK(std::string(scaled->form()) == "diagonal");
  CHECK(scaled->dense() == -2 * MatrixXd::Identity(5, 5));
  CHECK(dense(init("identity", {{"scale", 3}}), context(2, 4)) == 3 * MatrixXd::Identity(2, 4));
}

TEST_CASE("a sparse matrix has the density that is asked for", "[initialisation]") {
  for (const double density : {0.01, 0.3}) {
    const auto w =
        make_weights(init("sparse", {{"density", density}, {"std", 2}}), context(1000, 700));
    CHECK(std::string(w->form()) == "sparse");
    const double n = 1000 * 700;
    // Binomial: 5 standard deviations.
    CHECK(std::abs(static_cast<double>(w->parameters()) - n * density) <
          5 * std::sqrt(n * density * (1 - density)));
    // The entries' variance 4, with standard error 4·√(2/entries); absent ones add nothing.
    const double entries = static_cast<double>(w->parameters());
    CHECK(std::abs(w->dense().squaredNorm() / entries - 4) < 5 * 4 * std::sqrt(2 / entries));
    // No column is favoured: the first and second half of the columns, 5 standard deviations.
    const double left = static_cast<double>((w->dense().leftCols(350).array() != 0).count());
    CHECK(std::abs(left - n * density / 2) < 5 * std::sqrt(n / 2 * density * (1 - density)));
  }
  CHECK(make_weights(init("sparse", {{"density", 0}}), context(10, 10))->parameters() == 0);
  CHECK(make_weights(init("sparse", {{"density", 1}}), context(10, 10))->parameters() == 100);
  // A row depends on its own draws alone.
  CHECK(dense(init("sparse"), context(20, 30)).topRows(10) ==
        dense(init("sparse"), context(10, 30)));
}

TEST_CASE("a large sparse matrix is made in the time of its entries", "[initialisation]") {
  const auto w = make_weights(init("sparse", {{"density", 1e-6}}), context(300'000, 1'000'000));
  CHECK(std::abs(static_cast<double>(w->parameters()) - 3e5) < 5 * std::sqrt(3e5));
}

TEST_CASE("functions of another projection are what they say", "[initialisation]") {
  const MatrixXd w = random_dense(3, 5, "w");
  const InitContext where = with_projections(5, 3, {{"w", Weights(w)}});
  CHECK(dense(init("transpose", {{"of", "w"}}), where) == w.transpose());
  CHECK(dense(init("negative_transpose", {{"of", "w"}, {"scale", 2}}), where) ==
        -2 * w.transpose());
  CHECK(dense(init("sign_symmetric", {{"of", "w"}, {"scale", 0.5}}), where) ==
        -0.5 * MatrixXd(w.transpose().array().sign()));
  // −W⁺ of a wide matrix of full rank is a right inverse; rounding of a well-conditioned 3 × 3.
  const MatrixXd b = dense(init("negative_pseudoinverse", {{"of", "w"}}), where);
  CHECK((w * b + MatrixXd::Identity(3, 3)).norm() < 1e-12);
}

TEST_CASE("a rotated feedback has the angle to −W' that is asked for, and W's length",
          "[initialisation]") {
  const MatrixXd w = random_dense(4, 7, "w"), back = -w.transpose();
  InitContext where = with_projections(7, 4, {{"w", Weights(w)}});
  const auto rotated = [&](double degrees, const char* from = "negative_transpose") {
    return dense(init("rotated", {{"of", "w"}, {"degrees", degrees}, {"from", from}}), where);
  };
  for (const double degrees : {1e-3, 30.0, 90.0, 135.0, 179.0}) {
    const MatrixXd b = rotated(degrees);
    const double cosine = b.cwiseProduct(back).sum() / (b.norm() * back.norm());
    // Rounding of sums of 28 numbers.
    CHECK(std::abs(cosine - std::cos(degrees * std::acos(-1) / 180)) < 1e-14);
    CHECK(std::abs(b.norm() / w.norm() - 1) < 1e-14);
    // Feedback of a rule that has the opposite sign can be the same.
    CHECK(rotated(degrees, "transpose") == -b);
  }
  CHECK(rotated(0) == back);
  CHECK(rotated(0, "transpose") == w.transpose());
  CHECK(rotated(180) == w.transpose());
  const MatrixXd across = rotated(90);
  CHECK(across == rotated(90));
  where.seed = 2;
  CHECK(across != rotated(90));

  const MatrixXd one = MatrixXd::Constant(1, 1, 2);
  const InitContext scalar = with_projections(1, 1, {{"w", Weights(one)}});
  CHECK(dense(init("rotated", {{"of", "w"}}), scalar) == -one);
  CHECK_THAT(error_of([&] {
               dense(init("rotated", {{"of", "w"}, {"degrees", 10}}), scalar);
             }),
             Contains("weights.degrees") && Contains("0 or 180"));
  CHECK_THAT(error_of([&] { init("rotated", {{"degrees", 181}}); }), Contains("[0, 180]"));
  const MatrixXd zero = MatrixXd::Zero(4, 7);
  CHECK(dense(init("rotated", {{"of", "w"}, {"degrees", 45}}),
              with_projections(7, 4, {{"w", Weights(zero)}})) == zero.transpose());
}

TEST_CASE("a transpose keeps the form of what it transposes", "[initialisation]") {
  const auto sparse = make_weights(init("sparse"), context(40, 30));
  const auto form = [](const Init& what, const Weights& of) {
    return std::string(
        make_weights(what, with_projections(of.cols(), of.rows(), {{"w", of}}))->form());
  };
  const Weights identity{Weights::Identity{4}};
  const Init transpose = init("transpose", {{"of", "w"}});
  const Init negative = init("negative_transpose", {{"of", "w"}});
  const Init sign = init("sign_symmetric", {{"of", "w"}});
  CHECK(form(transpose, *sparse) == "sparse");
  CHECK(form(negative, *sparse) == "sparse");
  CHECK(form(sign, *sparse) == "sparse");
  CHECK(form(transpose, identity) == "identity");
  CHECK(form(negative, identity) == "diagonal");
  CHECK(form(sign, identity) == "diagonal");
}

TEST_CASE("a product of projections stays a product where that is cheaper", "[initialisation]") {
  const MatrixXd narrow_a = random_dense(30, 2, "a"), narrow_b = random_dense(2, 20, "b");
  const MatrixXd wide_a = random_dense(3, 20, "a"), wide_b = random_dense(20, 4, "b");
  const Init product = init("negative_transpose", {{"of", list({"a", "b"})}});
  // 1e-13: sums of at most 20 products of order 1.
  const auto low_rank = make_weights(
      product, with_projections(20, 30, {{"a", Weights(narrow_a)}, {"b", Weights(narrow_b)}}));
  CHECK(std::string(low_rank->form()) == "low rank");
  CHECK((low_rank->dense() + (narrow_a * narrow_b).transpose()).norm() < 1e-13);
  const auto full = make_weights(
      product, with_projections(4, 3, {{"a", Weights(wide_a)}, {"b", Weights(wide_b)}}));
  CHECK(std::string(full->form()) == "dense");
  CHECK((full->dense() + (wide_a * wide_b).transpose()).norm() < 1e-13);
}

TEST_CASE("a product of initialisations draws each factor from a stream of its own",
          "[initialisation]") {
  const Value normal = table({{"init", "normal"}});
  const Init product =
      init("product", {{"factors", list({normal, normal})}, {"inner", list({3})}, {"scale", -2}});
  const MatrixXd first = dense(read_init(normal, "w"), context(6, 3, "control->hidden.factor_1"));
  const MatrixXd second = dense(read_init(normal, "w"), context(3, 5, "control->hidden.factor_2"));
  // 1e-14: sums of three products of order 0.01.
  CHECK((dense(product, context(6, 5, "control->hidden")) + 2 * first * second).norm() < 1e-14);
  CHECK_THAT(error_of([&] {
               init("product", {{"factors", list({1, 2})}, {"inner", list({3, 4})}});
             }),
             Contains("2 sizes for 2 factors"));
}

TEST_CASE("a product with a diagonal or sparse factor is that product", "[initialisation]") {
  const VectorXd entries = random_dense(6, 1, "d");
  const Weights diagonal(Weights::Diagonal{entries});
  const Weights identity{Weights::Identity{6}};
  const Weights sparse = *make_weights(init("sparse", {{"density", 0.4}}), context(6, 6));
  const Weights full(random_dense(6, 6, "f"));
  const Weights low_rank(Weights::LowRank{{random_dense(6, 1, "l"), random_dense(1, 6, "r")}});
  const std::vector<Weights> all{diagonal, identity, sparse, full, low_rank};
  for (const Weights& a : all)
    for (const Weights& b : all) {
      INFO(a.form() << " times " << b.form());
      const InitContext where = with_projections(6, 6, {{"a", a}, {"b", b}, {"c", full}});
      const MatrixXd two = dense(init("transpose", {{"of", list({"a", "b"})}}), where);
      CHECK((two - (a.dense() * b.dense()).transpose()).norm() < 1e-13);
      const MatrixXd three = dense(init("transpose", {{"of", list({"b", "c", "a"})}}), where);
      CHECK((three - (b.dense() * full.dense() * a.dense()).transpose()).norm() < 1e-13);
    }
}

TEST_CASE("a missing, unknown or unfit projection is an error", "[initialisation]") {
  const InitContext where = with_projections(
      5, 3, {{"w", Weights(random_dense(3, 5, "w"))}, {"v", Weights(random_dense(3, 5, "v"))}});
  const auto makes = [&](const Init& what) { return error_of([&] { make_weights(what, where); }); };
  CHECK_THAT(makes(init("negative_transpose")), Contains("\"of\" is missing"));
  CHECK_THAT(makes(init("ssa", {{"of", "x"}})),
             Contains("no projection is called \"x\"") && Contains("projection[0].weights.of"));
  CHECK_THAT(makes(init("transpose", {{"of", list({"w", "v"})}})),
             Contains("5 columns") && Contains("3 rows"));
}

TEST_CASE("a model fills in what was not given, and only that", "[initialisation]") {
  const Init bare = init("negative_transpose");
  CHECK(needs_of(bare));
  CHECK_FALSE(needs_of(init("uniform")));
  const Init filled = with_of(bare, {"a", "b"});
  CHECK_FALSE(needs_of(filled));
  CHECK(*write_init(filled).find("of") == Value(Array{Value("a"), Value("b")}));
  CHECK(needs_of(bare));
  CHECK(write_init(with_of(filled, {"c"})) == write_init(filled));
  CHECK(write_init(with_of(constant_init(1), {"c"})) == Value(1.0));

  const Init ssa = with_loop(init("ssa", {{"leak", 0.2}}), {.tau = 3, .leak = 0.1});
  CHECK(*write_init(ssa).find("leak") == Value(0.2));
  CHECK(*write_init(ssa).find("tau") == Value(3.0));
  CHECK_FALSE(write_init(init("ssa")).find("tau"));
}

TEST_CASE("a matrix of another shape is an error that says both shapes", "[initialisation]") {
  const Value two_by_three = list({list({1, 2, 3}), list({4, 5, 6})});
  const auto makes = [](const Value& value, Index rows, Index cols) {
    return error_of([&] { make_weights(read_init(value, "w"), context(rows, cols)); });
  };
  CHECK(dense(read_init(two_by_three, "w"), context(2, 3))(1, 0) == 4);
  CHECK_THAT(makes(two_by_three, 3, 2),
             Contains("2 × 3") && Contains("3 × 2") && Contains("its transpose would fit"));
  CHECK_THAT(makes(two_by_three, 2, 4),
             Contains("2 × 3") && Contains("2 × 4") && !Contains("transpose"));
  CHECK_THAT(makes(list({1, 2, 3}), 2, 3), Contains("a list of 3"));
  CHECK(dense(read_init(list({1, 2, 3}), "w"), context(3, 1)).rows() == 3);
  CHECK(dense(read_init(list({1, 2, 3}), "w"), context(1, 3)).cols() == 3);

  const InitContext where = with_projections(3, 5, {{"w", Weights(random_dense(3, 5, "w"))}});
  CHECK_THAT(error_of([&] {
               make_weights(init("transpose", {{"of", "w"}}), where);
             }),
             Contains("5 × 3") && Contains("3 × 5") && Contains("its transpose would fit"));
}

TEST_CASE("vector quantities take a number, a list, or one row a trial", "[initialisation]") {
  const auto columns = [](const Value& value, Index n, Index trials) {
    return make_columns(read_init(value, "setpoint"), n, trials, true, context(0, 0));
  };
  CHECK(columns(2, 3, 4) == MatrixXd::Constant(3, 1, 2));
  CHECK(columns(list({0.5}), 3, 4) == MatrixXd::Constant(3, 1, 0.5));
  CHECK(columns(list({1, 2, 3}), 3, 4) == Eigen::Vector3d(1, 2, 3));
  const Value rows = list({list({1, 2, 3}), list({4, 5, 6})});
  CHECK(read_init(rows, "setpoint")->rows_given({}) == 2);
  CHECK_FALSE(read_init(list({1, 2, 3}), "setpoint")->rows_given({}));
  CHECK_FALSE(init("normal")->rows_given({}));
  const MatrixXd two = columns(rows, 3, 2);
  REQUIRE(two.cols() == 2);
  CHECK(two.col(1) == Eigen::Vector3d(4, 5, 6));
  CHECK_THAT(error_of([&] { columns(rows, 3, 5); }), Contains("2 × 3") && Contains("5 rows"));
  CHECK_THAT(error_of([&] { columns(rows, 2, 3); }), Contains("its transpose would fit"));
  CHECK_THAT(error_of([&] {
               columns(list({1, 2}), 3, 1);
             }),
             Contains("a list of 2") && Contains("a list of 3"));
}

TEST_CASE("what makes a matrix makes no vector", "[initialisation]") {
  for (const auto& entry : initialisations().entries()) {
    INFO(entry.name);
    const Init what = read_init(example(entry.name), "bias");
    if (what->makes_vectors()) continue;
    CHECK_THAT(error_of([&] { make_columns(what, 3, 1, true, context(0, 0)); }),
               Contains("makes a matrix, not a vector") && Contains("circuit.toml:3:11"));
  }
  CHECK_FALSE(init("identity")->makes_vectors());
  CHECK_FALSE(init("sparse")->makes_vectors());
  CHECK_FALSE(init("ssa")->makes_vectors());
  CHECK(init("normal")->makes_vectors());
}

TEST_CASE("a matrix beyond the machine's memory is refused before it is allocated",
          "[initialisation]") {
  const Index absurd = 50'000'000;
  for (const char* name : {"uniform", "normal", "orthogonal", "constant"})
    CHECK_THAT(error_of([&] { make_weights(init(name), context(absurd, absurd)); }),
               Contains("GiB") && Contains("50000000 × 50000000"));
  CHECK_THAT(error_of([&] { make_weights(init("sparse"), context(absurd, absurd)); }),
             Contains("GiB"));
  CHECK(make_weights(init("identity"), context(absurd, absurd))->is_identity());
  CHECK_THAT(error_of([&] { make_columns(init("normal"), absurd, absurd, true, context(0, 0)); }),
             Contains("GiB"));
}

TEST_CASE("numbers come from a file, found from any folder", "[initialisation]") {
  const test::TemporaryFolder temporary;
  const std::filesystem::path& folder = temporary.path();
  std::ofstream(folder / "w.csv") << "1,2,3\n4,5,6\n";
  const Init file = read_init(table({{"file", "w.csv"}}), "w");
  InitContext where = context(2, 3);
  where.base = folder;
  CHECK(dense(file, where)(1, 2) == 6);
  CHECK(file->rows_given(folder) == 2);
  CHECK(make_columns(file, 3, 2, false, where).col(1) == Eigen::Vector3d(4, 5, 6));
  where.base = "/";
  CHECK(dense(with_absolute_paths(file, folder), where)(1, 2) == 6);
  CHECK_THAT(error_of([&] { make_weights(file, where); }), Contains("circuit.toml:3:11"));
}

TEST_CASE("feedback by SSA is stable with its layer, or an error that says why",
          "[initialisation]") {
  const MatrixXd w = random_dense(10, 20, "w");
  const MatrixXd b =
      dense(init("ssa", {{"of", "w"}}), with_projections(20, 10, {{"w", Weights(w)}}));
  CHECK(core::spectral_abscissa(loop_matrix(w, b, {})) < 0);

  const MatrixXd up = w.transpose();
  const InitContext expanding = with_projections(10, 20, {{"w", Weights(up)}});
  CHECK_THAT(error_of([&] {
               make_weights(init("ssa", {{"of", "w"}}), expanding);
             }),
             Contains("circuit.toml:3:11") && Contains("only leak") && Contains("a leak > 0"));
  CHECK(core::spectral_abscissa(loop_matrix(
            up, dense(init("ssa", {{"of", "w"}, {"leak", 0.1}}), expanding), {.leak = 0.1})) < 0);
  CHECK_THAT(error_of([&] {
               make_weights(
                   init("ssa", {{"of", "w"}, {"iterations", 0}, {"margin", 0.05}, {"leak", 0.01}}),
                   with_projections(20, 10, {{"w", Weights(w)}}));
             }),
             Contains("0 iterations"));
  CHECK_THAT(
      error_of([&] {
        make_weights(init("ssa", {{"of", "w"}}), with_projections(20, 10, {{"w", Weights(up)}}));
      }),
      Contains("20 × 10") && Contains("10 × 20"));
}
