#include <zlib.h>

#include <Eigen/Dense>
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>

#include "learning/data.hpp"
#include "sim/core/random.hpp"
#include "sim/io/hdf5.hpp"
#include "sim/io/toml.hpp"
#include "tests/support.hpp"
#include "tests/temporary_folder.hpp"

namespace settle::learning {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using Eigen::VectorXd;
using test::error_of;
using Labels = std::vector<int>;

core::Value table(const std::string& toml) {
  return *io::parse_toml("data = { " + toml + " }", "f.toml").find("data");
}

Data source(const std::string& toml) { return read_data_source(table(toml), "data"); }

DataSet load(const std::string& toml, const DataRequest& request = {}) {
  return source(toml)->load(request);
}

std::string big_endian(std::uint32_t number) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift & 0xFF);
  return out;
}

std::string idx(const std::vector<std::uint32_t>& shape, const std::string& bytes,
                unsigned char type = 0x08) {
  std::string out =
      big_endian(static_cast<std::uint32_t>(type) << 8 | static_cast<std::uint32_t>(shape.size()));
  for (const std::uint32_t extent : shape) out += big_endian(extent);
  return out + bytes;
}

// n images of 2 × 2 pixels, image k having 10·k, 10·k + 1, …; the labels are k mod 3.
std::string images(unsigned n) {
  std::string pixels;
  for (unsigned k = 0; k < n; ++k)
    for (unsigned i = 0; i < 4; ++i) pixels += static_cast<char>(10 * k + i);
  return idx({n, 2, 2}, pixels);
}
std::string labels(unsigned n) {
  std::string out;
  for (unsigned k = 0; k < n; ++k) out += static_cast<char>(k % 3);
  return idx({n}, out);
}

const std::string train_images = "train-images-idx3-ubyte",
                  train_labels = "train-labels-idx1-ubyte", test_images = "t10k-images-idx3-ubyte",
                  test_labels = "t10k-labels-idx1-ubyte";

// A folder of small files; `load` looks for them there.
struct Folder : test::TemporaryFolder {
  void write_packed(const std::string& name, const std::string& bytes) const {
    const gzFile file = gzopen((path() / name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
  }
  void write_mnist() const {
    write(train_images, images(6));
    write(train_labels, labels(6));
    write(test_images, images(3));
    write(test_labels, labels(3));
  }
  DataRequest request() const {
    DataRequest out;
    out.base = path();
    return out;
  }
  DataSet load(const std::string& toml) const { return learning::load(toml, request()); }
  std::string error(const std::string& toml) const {
    return error_of([&] { load(toml); });
  }
};

// A table of every kind, with what has no default filled in.
std::string example(const std::string& kind) {
  const bool has_file = kind == "csv" || kind == "hdf5";
  return "kind = '" + kind + "'" + (has_file ? ", file = 'data'" : "");
}

bool same(const Examples& a, const Examples& b) {
  return a.inputs == b.inputs && a.targets == b.targets && a.labels == b.labels;
}

Examples first_of(const Examples& all, Index n) {
  Examples out{all.inputs.leftCols(n), all.targets.leftCols(n), {}};
  if (!all.labels.empty()) out.labels.assign(all.labels.begin(), all.labels.begin() + n);
  return out;
}

// The share of labels that the linear map fitted to the training examples gets right.
double linear_accuracy(const DataSet& set) {
  const auto with_one = [](const MatrixXd& x) {
    MatrixXd out(x.rows() + 1, x.cols());
    out << x, Eigen::RowVectorXd::Ones(x.cols());
    return out;
  };
  const MatrixXd x = with_one(set.training.inputs);
  const MatrixXd gram = x * x.transpose() + MatrixXd::Identity(x.rows(), x.rows());
  const MatrixXd w = gram.ldlt().solve(x * set.training.targets.transpose()).transpose();
  const MatrixXd y = w * with_one(set.held_out.inputs);
  int right = 0;
  for (Index k = 0; k < y.cols(); ++k) {
    Index best = 0;
    y.col(k).maxCoeff(&best);
    right += best == set.held_out.labels[static_cast<std::size_t>(k)];
  }
  return right / static_cast<double>(y.cols());
}

}  // namespace

// ---- The family ----

TEST_CASE("every data set's parameters are written as they were read", "[data]") {
  for (const auto& entry : data_sources().entries()) {
    INFO(entry.name);
    CHECK_FALSE(entry.summary.empty());
    const Data first = source(example(entry.name));
    CHECK(first->name() == entry.name);
    const core::Value written = write_data_source(first);
    CHECK(write_data_source(read_data_source(written, "data")) == written);
    core::Documenter documenter;
    entry.make()->fields(documenter);
    CHECK(documenter.result.size() >= 3);
  }
  const std::string full =
      "kind = 'tanh_teacher', layers = [3, 2], weights = [{ init = 'normal', std = 0.2 }], "
      "bias = { init = 'uniform', low = -1.0, high = 1.0 }, inputs = { init = 'uniform', low = "
      "0.0, high = 2.0 }, output_variance = 1.0, examples = 7, held_out = 0, standardise = "
      "'zscore'";
  const core::Value written = write_data_source(source(full));
  CHECK(write_data_source(read_data_source(written, "data")) == written);
  CHECK(written.find("examples")->integer() == 7);
  CHECK(*write_data_source(source("kind = 'idx', examples = 5")).find("examples") ==
        core::Value(5));
  CHECK(*write_data_source(source("kind = 'idx'")).find("examples") == core::Value("all"));
  Data target;
  CHECK_FALSE(data_source_form(target).write());
  data_source_form(target).read(table("kind = 'digits'"), "data");
  CHECK(data_source_form(target).write()->find("kind")->text() == "digits");
}

TEST_CASE("a wrong data table is an error that says where and what would do", "[data]") {
  const auto error = [](const std::string& toml) { return error_of([&] { source(toml); }); };
  CHECK_THAT(error("kind = 'digit'"),
             Contains("f.toml:1:17: data.kind") && Contains("did you mean \"digits\""));
  CHECK_THAT(error("examples = 3"), Contains("\"kind\" is missing") && Contains("linear_teacher"));
  CHECK_THAT(error("kind = 'digits', exampels = 3"), Contains("did you mean \"examples\""));
  CHECK_THAT(error("kind = 'digits', examples = 0"), Contains("data.examples"));
  CHECK_THAT(error("kind = 'digits', standardise = 'unit'"), Contains("data.standardise"));
  CHECK_THAT(error("kind = 'linear_teacher', task = 'classification'"), Contains("unknown key"));
  CHECK_THAT(error("kind = 'idx', task = 'regression'"), Contains("data.task"));
  CHECK_THAT(error("kind = 'idx', examples = 0"), Contains(">= 1, or \"all\""));
  CHECK_THAT(error("kind = 'idx', examples = 'al'"), Contains("data.examples"));
  CHECK_THAT(error("kind = 'idx', training_labels = ''"), Contains("data.training_labels"));
  CHECK_THAT(error("kind = 'csv'"), Contains("\"file\" is missing"));
  CHECK_THAT(error("kind = 'csv', file = 'a', held_out_file = 'b', held_out_fraction = 0.5"),
             Contains("data.held_out_fraction"));
  CHECK_THAT(error("kind = 'csv', file = 'a', held_out_fraction = 1.0"), Contains("[0, 1)"));
  CHECK_THAT(error("kind = 'csv', file = 'a', task = 'classification', targets = [0, 1]"),
             Contains("2 columns"));
  CHECK_THAT(error("kind = 'hdf5', file = 'a', held_out_targets = '/y'"),
             Contains("targets of no inputs"));
  CHECK_THAT(error("kind = 'tanh_teacher', layers = [3]"), Contains("at least two"));
  CHECK_THAT(error("kind = 'tanh_teacher', inputs = 1.0"), Contains("the same for every example"));
  CHECK_THAT(error("kind = 'tanh_teacher', output_variance = 0.0"), Contains("> 0"));
  CHECK_THAT(error("kind = 'digits', thinnest = 2.0"), Contains("thinnest <= thickest"));
}

TEST_CASE("an example depends on seed, stream and its number, and on nothing else", "[data]") {
  const std::vector<std::string> generated = {
      "kind = 'linear_teacher'", "kind = 'tanh_teacher', output_variance = 2.0",
      "kind = 'relu_teacher', bias = { init = 'uniform' }", "kind = 'digits', side = 6"};
  for (const std::string& toml : generated) {
    INFO(toml);
    DataRequest request;
    request.layers = {36, 8, 10};
    request.examples = 5;
    request.held_out = 300;
    const DataSet few = load(toml, request);
    request.examples = 600;
    request.held_out = 7;
    const DataSet many = load(toml, request);
    CHECK(few.training.count() == 5);
    CHECK(few.held_out.count() == 300);
    CHECK(same(few.training, first_of(many.training, 5)));
    CHECK(same(many.held_out, first_of(few.held_out, 7)));
    CHECK(few.training.inputs != few.held_out.inputs.leftCols(5));
    CHECK(same(few.training, load(toml + ", examples = 5", {.layers = {36, 8, 10}}).training));
    request.seed = 2;
    CHECK(many.training.inputs != load(toml, request).training.inputs);
    CHECK(many.training.targets != load(toml, request).training.targets);
    request.limit = 4;
    CHECK(load(toml, request).training.count() == 4);
    CHECK(load(toml, request).held_out.count() == 4);
  }
}

TEST_CASE("sizes that are not the network's are an error", "[data]") {
  const auto error = [](const std::string& toml, std::vector<std::int64_t> layers) {
    return error_of([&] { load(toml, {.layers = std::move(layers)}); });
  };
  CHECK_THAT(error("kind = 'linear_teacher', layers = [3, 2]", {4, 2}),
             Contains("3 inputs an example") && Contains("4, the size of the network's first"));
  CHECK_THAT(error("kind = 'tanh_teacher', layers = [3, 2]", {3, 5}),
             Contains("2 targets an example") && Contains("5, the size of the network's last"));
  CHECK_THAT(error("kind = 'digits'", {144, 20, 9}), Contains("10 classes"));
  CHECK_THAT(error("kind = 'digits', task = 'autoencoder'", {144, 10}),
             Contains("144 targets an example"));
  CHECK_THAT(error("kind = 'digits', side = 7", {144, 10}), Contains("49 inputs"));
  CHECK_THAT(error("kind = 'relu_teacher'", {}), Contains("\"layers\" is missing"));
}

TEST_CASE("one mean and deviation of the training inputs standardise all inputs", "[data]") {
  const std::string digits = "kind = 'digits', examples = 50, held_out = 20";
  const DataSet raw = load(digits), one = load(digits + ", standardise = 'zscore'"),
                each = load(digits + ", standardise = 'zscore_features'");
  // 1e-12: rounding of sums of 7200 numbers of order 1.
  CHECK(std::abs(one.training.inputs.mean()) < 1e-12);
  CHECK(one.training.inputs.array().square().mean() == Approx(1).epsilon(1e-12));
  const double mean = raw.training.inputs.mean();
  const double deviation = std::sqrt((raw.training.inputs.array() - mean).square().mean());
  CHECK((one.held_out.inputs.array() * deviation + mean - raw.held_out.inputs.array())
            .abs()
            .maxCoeff() < 1e-12);
  CHECK_THAT(one.description, Contains("mean " + core::brief(mean)));
  for (Index i = 0; i < each.training.inputs.rows(); ++i) {
    CHECK(std::abs(each.training.inputs.row(i).mean()) < 1e-12);
    CHECK(each.training.inputs.row(i).squaredNorm() / 50 == Approx(1).epsilon(1e-12));
  }
  CHECK(same({raw.training.inputs, raw.training.targets, raw.training.labels},
             {raw.training.inputs, one.training.targets, one.training.labels}));

  const Folder folder;
  folder.write("constant.csv", "1,5,0\n2,5,0\n3,5,1\n");
  folder.write("equal.csv", "5,5,0\n5,5,1\n");
  const DataSet constant =
      folder.load("kind = 'csv', file = 'constant.csv', standardise = 'zscore_features'");
  CHECK(constant.training.inputs.row(1).isZero(0));
  CHECK(constant.training.inputs(0, 2) == Approx(std::sqrt(1.5)).epsilon(1e-14));
  CHECK_THAT(folder.error("kind = 'csv', file = 'equal.csv', standardise = 'zscore'"),
             Contains("data.standardise") && Contains("all equal"));
}

// ---- Teachers ----

TEST_CASE("a linear teacher is one matrix, uniform within 1 unless said", "[data]") {
  const DataSet set = load("kind = 'linear_teacher', examples = 200", {.layers = {6, 50, 4}});
  REQUIRE(set.training.inputs.rows() == 6);
  REQUIRE(set.training.targets.rows() == 4);
  CHECK(set.task == "regression");
  CHECK(set.classes == 0);
  CHECK(set.training.labels.empty());
  const MatrixXd t = set.training.inputs.transpose()
                         .colPivHouseholderQr()
                         .solve(set.training.targets.transpose())
                         .transpose();
  // 1e-12: rounding of a well-conditioned fit.
  CHECK((t * set.held_out.inputs - set.held_out.targets).norm() < 1e-12 * 100);
  CHECK(t.cwiseAbs().maxCoeff() <= 1);
  CHECK(t.cwiseAbs().maxCoeff() > 0.5);
  // Entry (i, j) of T is number 6 i + j of its stream.
  const core::RandomStream stream(1, "data.teacher.weights_1");
  CHECK(t(2, 3) == Approx(2 * stream.uniform(15) - 1).margin(1e-12));
  // 1200 inputs N(0, 1): 5 standard errors.
  CHECK(std::abs(set.training.inputs.mean()) < 5 / std::sqrt(1200.0));
  CHECK(std::abs(set.training.inputs.array().square().mean() - 1) < 5 * std::sqrt(2 / 1200.0));
  CHECK(set.description ==
        "linear_teacher: 200 training and 1000 held-out examples, 6 inputs, 4 targets");
}

TEST_CASE("a teacher's outputs are its layers' in turn, the last one linear", "[data]") {
  const std::string layers =
      ", layers = [2, 3, 1], weights = [{ values = [[1, -1], [2, 0], [0.5, 0.5]] }, { values = "
      "[[1, -2, 3]] }], bias = [{ values = [0.1, -0.2, 0] }, { init = 'constant', value = 4 }], "
      "inputs = { init = 'uniform', low = -1, high = 1 }, examples = 50";
  MatrixXd w1(3, 2), w2(1, 3);
  w1 << 1, -1, 2, 0, 0.5, 0.5;
  w2 << 1, -2, 3;
  const VectorXd b1 = Eigen::Vector3d(0.1, -0.2, 0);
  for (const std::string kind : {"tanh", "relu"}) {
    INFO(kind);
    const DataSet set = load("kind = '" + kind + "_teacher'" + layers);
    const Eigen::ArrayXXd a = (w1 * set.training.inputs).colwise() + b1;
    const MatrixXd h = kind == "tanh" ? MatrixXd(a.tanh()) : MatrixXd(a.max(0));
    const MatrixXd y = (w2 * h).array() + 4;
    CHECK((y - set.training.targets).norm() < 1e-13 * y.norm());  // roundings
    CHECK(set.training.inputs.cwiseAbs().maxCoeff() <= 1);
    CHECK(set.training.inputs.minCoeff() < -0.9);
  }
}

TEST_CASE("a teacher of a chosen variance has outputs of mean 0 and that variance", "[data]") {
  const DataSet set = load(
      "kind = 'tanh_teacher', output_variance = 4.0, weights = { init = 'uniform', low = -0.01, "
      "high = 0.01 }, bias = { init = 'uniform', low = -0.01, high = 0.01 }, examples = 5000",
      {.layers = {30, 20, 10, 10}});
  for (Index i = 0; i < 10; ++i) {
    const auto y = set.training.targets.row(i).array();
    // Estimated from 2000 examples and measured on 5000: 5 standard errors of each, near normal.
    CHECK(std::abs(y.mean()) < 5 * 2 * std::sqrt(1 / 2000.0 + 1 / 5000.0));
    const double variance = (y - y.mean()).square().mean();
    CHECK(std::abs(variance / 4 - 1) < 5 * std::sqrt(2 / 2000.0 + 2 / 5000.0));
  }
  CHECK_THAT(
      error_of([] {
        load("kind = 'relu_teacher', layers = [2, 2, 1], weights = 0, output_variance = 1.0");
      }),
      Contains("data.output_variance") && Contains("output 0"));
}

TEST_CASE("a teacher that cannot be made is an error at its parameter", "[data]") {
  const auto error = [](const std::string& more) {
    return error_of([&] { load("kind = 'relu_teacher', layers = [2, 3, 1], " + more); });
  };
  CHECK_THAT(error("weights = { values = [[1, 2]] }"), Contains("data.weights"));
  CHECK_THAT(error("weights = [{ init = 'normal' }, { init = 'normal' }, { init = 'normal' }]"),
             Contains("data.weights") && Contains("2 of them: one for each layer"));
  CHECK_THAT(error("weights = { init = 'transpose' }"), Contains("\"of\" is missing"));
  CHECK_THAT(error("weights = { init = 'transpose', of = 'a' }"), Contains("no projection"));
  CHECK_THAT(error("weights = 1e200"), Contains("not finite"));
  CHECK_THAT(error("bias = [1, 2]"), Contains("data.bias"));
}

// ---- Digits ----

TEST_CASE("drawn digits are images in [0, 1] of ten classes that a linear map tells apart",
          "[data]") {
  const DataSet set = load("kind = 'digits'");
  CHECK(set.classes == 10);
  CHECK(set.training.count() == 2000);
  CHECK(set.held_out.count() == 1000);
  CHECK(set.training.inputs.rows() == 144);
  CHECK(set.training.inputs.minCoeff() == 0);
  CHECK(set.training.inputs.maxCoeff() == 1);
  for (int digit = 0; digit < 10; ++digit) {
    const auto n = std::count(set.training.labels.begin(), set.training.labels.end(), digit);
    CHECK(std::abs(static_cast<double>(n) - 200) < 5 * std::sqrt(180.0));  // binomial
  }
  for (Index k = 0; k < 2000; ++k) {
    CHECK(set.training.targets.col(k).sum() == 1);
    CHECK(set.training.targets(set.training.labels[static_cast<std::size_t>(k)], k) == 1);
  }
  // A guess is right once in ten; what a line does not part, a hidden layer can.
  CHECK(linear_accuracy(set) > 0.9);
}

TEST_CASE("an eight has all the ink, and a one that of its right side alone", "[data]") {
  const DataSet set =
      load("kind = 'digits', side = 20, noise = 0.0, shift = 0.0, thinnest = 1, thickest = 1");
  std::vector<VectorXd> image(10);
  for (std::size_t k = 0; k < set.training.labels.size(); ++k) {
    VectorXd& known = image[static_cast<std::size_t>(set.training.labels[k])];
    if (known.size() > 0) CHECK(known == set.training.inputs.col(static_cast<Index>(k)));
    known = set.training.inputs.col(static_cast<Index>(k));
  }
  for (const VectorXd& x : image) CHECK((x.array() <= image[8].array()).all());
  const auto pixels = image[1].reshaped<Eigen::RowMajor>(20, 20);
  CHECK(pixels.leftCols(11).isZero(0));
  CHECK(pixels.rightCols(9).sum() ==
        Approx(2 * 0.3 * 20).epsilon(0.2));  // a stroke 12 long, 1 wide
}

TEST_CASE("an autoencoder's targets are its inputs, as they are standardised", "[data]") {
  for (const std::string more : {"", ", standardise = 'zscore'"}) {
    const DataSet set =
        load("kind = 'digits', side = 8, task = 'autoencoder'" + more, {.layers = {64, 5, 64}});
    CHECK(set.training.targets == set.training.inputs);
    CHECK(set.held_out.targets == set.held_out.inputs);
    CHECK(set.training.labels.size() == 2000);
    CHECK(set.classes == 10);
  }
}

// ---- IDX ----

TEST_CASE("IDX files are found by MNIST's names, plain or gzipped", "[data]") {
  const Folder plain, packed;
  plain.write_mnist();
  packed.write_packed(train_images + ".gz", images(6));
  packed.write_packed(train_labels + ".gz", labels(6));
  packed.write_packed(test_images + ".gz", images(3));
  packed.write(test_labels, labels(3));
  const DataSet set = plain.load("kind = 'idx', path = '.', standardise = 'none'");
  REQUIRE(set.training.inputs.rows() == 4);
  REQUIRE(set.training.count() == 6);
  REQUIRE(set.held_out.count() == 3);
  CHECK(set.training.inputs(1, 2) == 21);
  CHECK(set.training.labels == Labels{0, 1, 2, 0, 1, 2});
  CHECK(set.classes == 3);
  CHECK(set.training.targets.col(1) == Eigen::Vector3d(0, 1, 0));
  CHECK(set.held_out.labels == Labels{0, 1, 2});
  REQUIRE(set.files.size() == 4);
  CHECK_THAT(set.files[0], Contains("  ") && Catch::EndsWith(train_labels));
  CHECK(set.files[0].find("  ") == 64);

  ::setenv("SETTLE_DATA", packed.path().c_str(), 1);
  const DataSet other = load("kind = 'idx', standardise = 'none'");
  CHECK(same(set.training, other.training));
  CHECK(same(set.held_out, other.held_out));
  const DataSet named =
      load("kind = 'idx', standardise = 'none', held_out_images = '', training_images = '" +
           train_images + ".gz', training_labels = '" + train_labels + ".gz'");
  CHECK(same(set.training, named.training));
  CHECK(named.held_out.count() == 0);
  CHECK(named.held_out.inputs.rows() == 4);
  CHECK(named.held_out.targets.rows() == 3);
  ::unsetenv("SETTLE_DATA");
  CHECK_THAT(error_of([] { load("kind = 'idx'"); }),
             Contains("variable SETTLE_DATA is not set") && Contains("the folder that holds"));
}

TEST_CASE("IDX images are z-scored by the training pixels unless said", "[data]") {
  const Folder folder;
  folder.write_mnist();
  const DataSet raw = folder.load("kind = 'idx', path = '.', standardise = 'none'");
  const double mean = raw.training.inputs.mean();
  const double deviation = std::sqrt((raw.training.inputs.array() - mean).square().mean());
  const DataSet set = folder.load("kind = 'idx', path = '.'");
  CHECK(set.held_out.inputs(3, 2) == Approx((23 - mean) / deviation).epsilon(1e-14));
  const DataSet unit =
      folder.load("kind = 'idx', path = '.', standardise = 'unit', task = 'autoencoder'");
  CHECK(unit.training.inputs(3, 5) == 53 / 255.0);
  CHECK(unit.held_out.targets(3, 2) == 23 / 255.0);
  folder.write(train_images, idx({1, 1}, big_endian(0x3F800000), 0x0D));  // the float 1
  folder.write(train_labels, labels(1));
  CHECK(folder.load("kind = 'idx', path = '.', standardise = 'none', held_out_images = ''")
            .training.inputs(0, 0) == 1);
  CHECK_THAT(folder.error("kind = 'idx', path = '.', standardise = 'unit'"),
             Contains("no integers"));
}

TEST_CASE("the first examples of an IDX file are those asked for", "[data]") {
  const Folder folder;
  folder.write_mnist();
  const std::string toml = "kind = 'idx', path = '.', standardise = 'none'";
  const DataSet all = folder.load(toml);
  const DataSet some = folder.load(toml + ", examples = 2, held_out = 0");
  CHECK(some.classes == 3);
  CHECK(same(some.training, first_of(all.training, 2)));
  CHECK(some.held_out.count() == 0);
  DataRequest request = folder.request();
  request.examples = 4;
  request.limit = 5;
  CHECK(load(toml, request).training.count() == 4);
  CHECK(load(toml, request).held_out.count() == 3);
  request.examples = 7;
  CHECK_THAT(error_of([&] { load(toml, request); }), Contains("data.examples") &&
                                                         Contains("7 examples asked for") &&
                                                         Contains("at most 6"));
  CHECK_THAT(folder.error(toml + ", held_out = 4"), Contains("data.held_out: 4 examples"));
  CHECK_THAT(folder.error(toml + ", held_out_images = '', held_out = 1"), Contains("at most 0"));
}

TEST_CASE("IDX files that are damaged or don't fit are errors", "[data]") {
  const Folder folder;
  const std::string toml = "kind = 'idx', path = '.'";
  // The error with one of the four files replaced.
  const auto error = [&](const std::string& name, const std::string& bytes,
                         const std::string& more = "") {
    folder.write_mnist();
    folder.write(name, bytes);
    return folder.error(toml + more);
  };
  CHECK(error("other", "") == "no error");
  const std::string good = images(6);
  CHECK_THAT(error(train_images, "\x89PNG\r\n\x1a\n"),
             Contains(train_images) && Contains("the magic number 0x89504e47"));
  CHECK_THAT(error(train_images, "1,2,3\n"), Contains("the magic number 0x312c322c"));
  CHECK_THAT(error(train_images, big_endian(0x00000703)), Contains("0x00000703"));
  CHECK_THAT(error(train_images, big_endian(0x00000800)), Contains("0x00000800"));
  CHECK_THAT(error(train_images, ""), Contains("cut short"));
  CHECK_THAT(error(train_images, good.substr(0, 3)), Contains("cut short"));
  CHECK_THAT(error(train_images, good.substr(0, 10)), Contains("cut short"));
  CHECK_THAT(error(train_images, good.substr(0, good.size() - 1)), Contains("cut short"));
  CHECK_THAT(error(train_images, good + "x"), Contains("goes on after its last number"));
  CHECK_THAT(error(train_labels, labels(6) + "x"), Contains("goes on after its last number"));
  CHECK_THAT(error(train_labels, labels(5)),
             Contains("data.training_images") && Contains("6 images and 5 labels"));
  CHECK_THAT(error(train_labels, labels(5), ", examples = 2"), Contains("6 images and 5 labels"));
  CHECK_THAT(error(test_images, images(4)), Contains("4 images and 3 labels"));
  CHECK_THAT(error(train_labels, good), Contains("data.training_labels") && Contains("0x00000801"));
  CHECK_THAT(error(train_images, labels(6)),
             Contains("data.training_images") && Contains("0x00000803"));
  CHECK_THAT(error(test_images, idx({3, 3}, "123456789")),
             Contains("3 pixels an image") && Contains("4, as those for training"));
  CHECK_THAT(error(test_labels, idx({3}, std::string("\0\3\1", 3))),
             Contains("data.held_out_labels") && Contains("the label 3 of example 1") &&
                 Contains("0 to 2"));
  CHECK_THAT(error("other", "", ", classes = 2"), Contains("the label 2 of example 2"));
  CHECK_THAT(error(train_labels, idx({6}, std::string("\0\1\2\xFF\1\2", 6), 0x09)),
             Contains("the label -1 of example 3"));
  CHECK_THAT(error(train_images, idx({1, 1}, big_endian(0x7FC00000), 0x0D)),
             Contains("the entry [0, 0] is nan"));
  CHECK_THAT(error(train_images, idx({0, 2, 2}, "")), Contains("no entries"));

  folder.write_mnist();
  CHECK_THAT(error_of([&] {
               DataRequest request = folder.request();
               request.layers = {4, 10};
               load(toml, request);
             }),
             Contains("3 classes") && Contains("10, the size of the network's last"));
  fs::remove(folder / train_labels);
  CHECK_THAT(folder.error(toml), Contains("no such file") && Contains(train_labels));
  CHECK(folder.error(toml + ", task = 'autoencoder', training_labels = ''") == "no error");
  folder.write_mnist();
  fs::remove(folder / train_images);
  std::string pixels;  // that don't pack well
  for (unsigned k = 0; k < 4000; ++k) pixels += static_cast<char>((k * 2654435761U) >> 13 & 0xFF);
  folder.write(train_labels, labels(1000));
  folder.write_packed(train_images + ".gz", idx({1000, 2, 2}, pixels));
  CHECK(folder.error(toml) == "no error");
  fs::resize_file(folder / (train_images + ".gz"),
                  fs::file_size(folder / (train_images + ".gz")) / 2);
  CHECK_THAT(folder.error(toml), Contains("cut short"));
}

// ---- CSV and HDF5 ----

TEST_CASE("the last columns of a text are the targets unless others are named", "[data]") {
  const Folder folder;
  folder.write("a.csv", "u,v,y\n1,2,0\n3,4,2\n5,6,1\n");
  const std::string toml = "kind = 'csv', file = 'a.csv'";
  const DataSet numbers = folder.load(toml);
  MatrixXd x(2, 3), xy(3, 3);
  x << 1, 3, 5, 2, 4, 6;
  xy << x, Eigen::RowVector3d(0, 2, 1);
  CHECK(numbers.training.inputs == x);
  CHECK(numbers.training.targets == xy.row(2));
  CHECK(numbers.held_out.count() == 0);
  CHECK(numbers.held_out.targets.rows() == 1);
  CHECK(numbers.files.size() == 1);

  const DataSet classes = folder.load(toml + ", task = 'classification'");
  CHECK(classes.training.labels == Labels{0, 2, 1});
  CHECK(classes.classes == 3);
  CHECK(classes.training.targets.col(1) == Eigen::Vector3d(0, 0, 1));
  CHECK(folder.load(toml + ", task = 'classification', classes = 5").training.targets.rows() == 5);
  CHECK(folder.load(toml + ", task = 'autoencoder'").training.targets == xy);
  CHECK(folder.load(toml + ", task = 'autoencoder', targets = [-1]").training.targets == x);
  const DataSet turned = folder.load(toml + ", targets = [-1, 0]");
  CHECK(turned.training.inputs == xy.row(1));
  CHECK(turned.training.targets.row(0) == xy.row(2));
  CHECK(turned.training.targets.row(1) == xy.row(0));
  DataRequest request = folder.request();
  request.layers = {1, 7, 2};
  CHECK(load(toml, request).training.targets == xy.bottomRows(2));
  request.layers = {1, 1};
  CHECK_THAT(error_of([&] { load(toml, request); }), Contains("2 inputs an example"));
}

TEST_CASE("held-out rows come from a file of their own, or are drawn by the seed", "[data]") {
  const Folder folder;
  std::string rows;
  for (int k = 0; k < 20; ++k) rows += std::to_string(k) + "," + std::to_string(-k) + "\n";
  folder.write("a.csv", rows);
  folder.write("b.csv", "7,8\n");
  const std::string toml = "kind = 'csv', file = 'a.csv'";
  const DataSet apart = folder.load(toml + ", held_out_file = 'b.csv'");
  CHECK(apart.training.count() == 20);
  CHECK(apart.held_out.inputs(0, 0) == 7);
  CHECK(apart.held_out.targets(0, 0) == 8);
  CHECK(apart.files.size() == 2);

  const DataSet split = folder.load(toml + ", held_out_fraction = 0.25");
  REQUIRE(split.training.count() == 15);
  REQUIRE(split.held_out.count() == 5);
  CHECK(split.training.targets == -split.training.inputs);
  std::vector<double> all(split.training.inputs.data(), split.training.inputs.data() + 15);
  CHECK(std::is_sorted(all.begin(), all.end()));
  all.insert(all.end(), split.held_out.inputs.data(), split.held_out.inputs.data() + 5);
  std::sort(all.begin(), all.end());
  for (int k = 0; k < 20; ++k) CHECK(all[static_cast<std::size_t>(k)] == k);
  CHECK(same(split.training, folder.load(toml + ", held_out_fraction = 0.25").training));
  DataRequest request = folder.request();
  request.seed = 2;
  CHECK(load(toml + ", held_out_fraction = 0.25", request).held_out.inputs !=
        split.held_out.inputs);
  CHECK_THAT(folder.error(toml + ", held_out_fraction = 0.99"), Contains("left for training"));
}

TEST_CASE("a text that is no data set is an error", "[data]") {
  const Folder folder;
  const auto error = [&](const std::string& text, const std::string& more = "") {
    folder.write("a.csv", text);
    return folder.error("kind = 'csv', file = 'a.csv'" + more);
  };
  CHECK_THAT(error("1,2\n3,x4\n"), Catch::StartsWith("f.toml:1:31: data.file: ") &&
                                       Contains("a.csv:2:3: \"x4\" is no number"));
  CHECK_THAT(error("1,nan\n"), Contains("the number nan"));
  CHECK_THAT(error("1,2\n3\n"), Contains("a row of 1 cells"));
  CHECK_THAT(error("1\n2\n"), Contains("data.targets") || Contains("left as inputs"));
  CHECK_THAT(error("1,2\n", ", targets = [2]"), Contains("column 2 of 2"));
  CHECK_THAT(error("1,2\n", ", targets = [-3]"), Contains("column -3 of 2"));
  CHECK_THAT(error("1,2,3\n", ", targets = [2, -1]"), Contains("column -1 twice"));
  CHECK_THAT(error("1,2\n", ", examples = 2"), Contains("2 examples asked for"));
  CHECK_THAT(error("1,0.5\n", ", task = 'classification'"), Contains("the label 0.5 of example 0"));
  CHECK_THAT(error("1,-1\n", ", task = 'classification'"), Contains("the label -1 of example 0"));
  CHECK_THAT(error("1,1e9\n", ", task = 'classification'"), Contains("0 to 65535"));
  folder.write("b.csv", "1,2,3\n");
  CHECK_THAT(error("1,2\n", ", held_out_file = 'b.csv'"), Contains("2 inputs and 1 targets"));
  CHECK_THAT(error("1,2\n", ", held_out_file = 'c.csv'"),
             Contains("data.held_out_file") && Contains("no such file"));
  CHECK_THAT(folder.error("kind = 'csv', file = 'a.cvs'"), Contains("did you mean \"a.csv\""));
}

TEST_CASE("datasets of an HDF5 file are inputs and targets", "[data]") {
  const Folder folder;
  {
    io::h5::File file = io::h5::File::create(folder / "a.h5");
    file.write_dataset("inputs", {3, 2}, std::vector<double>{0, 1, 2, 3, 4, 5});
    file.write_dataset("targets", {3, 1}, std::vector<double>{6, 7, 8});
    file.write_dataset("labels", {3}, std::vector<std::int64_t>{1, 0, 1});
    file.write_dataset("images", {2, 1, 2}, std::vector<std::int64_t>{1, 2, 3, 4});
    file.write_dataset("few", {2}, std::vector<double>{1, 0});
    file.write_dataset("bad", {3, 2}, std::vector<double>{0, 1, 2, std::nan(""), 4, 5});
  }
  const std::string toml = "kind = 'hdf5', file = 'a.h5'";
  const DataSet set = folder.load(toml);
  CHECK(set.training.inputs.col(1) == Eigen::Vector2d(2, 3));
  CHECK(set.training.targets == Eigen::RowVector3d(6, 7, 8));
  CHECK(set.files.size() == 1);
  const DataSet classes =
      folder.load(toml +
                  ", task = 'classification', targets = '/labels', held_out_inputs = "
                  "'/images', held_out_targets = '/few'");
  CHECK(classes.training.labels == Labels{1, 0, 1});
  CHECK(classes.held_out.labels == Labels{1, 0});
  CHECK(classes.held_out.inputs.col(1) == Eigen::Vector2d(3, 4));
  CHECK(classes.files.size() == 1);
  fs::copy_file(folder / "a.h5", folder / "b.h5");
  CHECK(folder.load(toml + ", held_out_file = 'b.h5'").held_out.count() == 3);
  CHECK(folder.load(toml + ", held_out_fraction = 0.34").held_out.count() == 1);
  CHECK(folder.load(toml + ", task = 'autoencoder', targets = ''").training.targets.rows() == 2);
  CHECK_THAT(folder.error(toml + ", targets = '/few'"),
             Contains("data.targets") && Contains("3 rows of inputs and 2 of targets"));
  CHECK_THAT(folder.error(toml + ", targets = '/inputs', task = 'classification'"),
             Contains("2 numbers an example"));
  CHECK_THAT(folder.error(toml + ", inputs = '/bad'"),
             Contains("data.inputs") && Contains("the entry [1, 1] is nan"));
  CHECK_THAT(folder.error(toml + ", inputs = '/input'"),
             Contains("did you mean \"/inputs\"") || Contains("did you mean \"inputs\""));
  CHECK_THAT(folder.error(toml + ", held_out_inputs = '/images', held_out_targets = '/labels'"),
             Contains("data.held_out_targets"));
  CHECK_THAT(folder.error(toml + ", examples = 4"), Contains("4 examples asked for"));
  CHECK_THAT(folder.error("kind = 'hdf5', file = 'c.h5'"), Contains("no such file"));
  folder.write("a.csv", "1\n");
  CHECK_THAT(folder.error("kind = 'hdf5', file = 'a.csv'"), Contains("no HDF5 file"));
}

}  // namespace settle::learning
