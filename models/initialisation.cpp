#include "models/initialisation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "models/initialisation_kinds.hpp"
#include "sim/core/machine.hpp"

namespace settle::models {

using core::Value;
using system::Weights;

namespace {

std::string shape_text(const std::vector<Index>& shape) {
  if (shape.size() == 1) return "a list of " + std::to_string(shape[0]);
  std::string text;
  for (const Index extent : shape) text += (text.empty() ? "" : " × ") + std::to_string(extent);
  return text + " numbers";
}

std::string shape_text(Index rows, Index cols) {
  return std::to_string(rows) + " × " + std::to_string(cols);
}

// Rows and entries a row, all but the first extent as one.
std::pair<Index, Index> as_rows(const GivenNumbers& given) {
  const Index rows = given.shape.size() > 1 ? given.shape[0] : 1;
  const Index count = static_cast<Index>(given.values.size());
  return {rows, rows > 0 ? count / rows : 0};
}

Value with_init_key(const Initialisation& init) {
  core::Writer writer;
  std::string name = init.name();
  writer.text({"init", "", ""}, name);
  const_cast<Initialisation&>(init).fields(writer);  // a Writer only reads
  return std::move(writer.result);
}

std::unique_ptr<Initialisation> make_named(const std::string& name, const Value& value,
                                           const std::string& path) {
  std::unique_ptr<Initialisation> made = initialisations().find(name)->make();
  made->at = value;
  made->path = path;
  return made;
}

// The initialisation that a table asks for: by `init`, or by the key that only one of them has.
std::string asked_for(const Value& table, const std::string& path) {
  if (const Value* kind = table.find("init"))
    return initialisations().at(*kind, path + ".init").name;
  if (table.find("file")) return "file";
  if (table.find("values")) return "values";
  const std::string found =
      table.table().empty() ? "an empty table" : "a table without \"init\", \"file\" or \"values\"";
  const std::string hint = table.table().empty() ? ""
                                                 : core::did_you_mean(table.table().front().key,
                                                                      {"init", "file", "values"});
  core::fail(table, path, found,
             "{ init = \"…\", … }, { file = \"…\" } or { values = […] }" + hint);
}

}  // namespace

VectorXd Initialisation::column(const InitContext&, std::uint64_t) const {
  fail("init", "\"" + name() + "\", which makes a matrix, not a vector",
       "a number, a list, a file, \"constant\", \"uniform\" or \"normal\"");
}

std::optional<GivenNumbers> Initialisation::given(const std::filesystem::path&) const {
  return std::nullopt;
}

std::optional<Index> Initialisation::rows_given(const std::filesystem::path& base) const {
  const std::optional<GivenNumbers> numbers = given(base);
  if (!numbers || numbers->shape.size() < 2) return std::nullopt;
  return numbers->shape[0];
}

void Initialisation::fail(const std::string& key, const std::string& found,
                          const std::string& expected) const {
  const Value* value = at.find(key);
  core::fail(value ? *value : at, value ? path + "." + key : path, found, expected);
}

void Initialisation::require_memory(double numbers, const std::string& what) const {
  core::require_memory(numbers, what, at, path);
}

Init read_init(const Value& value, const std::string& path) {
  if (value.is_number()) {
    if (!std::isfinite(value.number()))
      core::fail(value, path, value.describe(), core::any_number().text());
    auto made = make_named("constant", value, path);
    static_cast<ConstantInit&>(*made).value = value.number();
    return made;
  }
  if (value.is_array()) {
    auto made = make_named("values", value, path);
    static_cast<ValuesInit&>(*made).numbers = read_numbers(value, path);
    return made;
  }
  if (!value.is_table()) {
    const bool known = value.is_text() && initialisations().find(value.text());
    core::fail(value, path, value.describe(),
               known
                   ? "a table: { init = \"" + value.text() + "\" }"
                   : "a number, a list, { init = \"…\", … }, { file = \"…\" } or { values = […] }");
  }
  auto made = make_named(asked_for(value, path), value, path);
  core::Reader reader(value, path);
  std::string name;
  reader.text({"init", "", "the initialisation"}, name);
  made->fields(reader);
  reader.finish();
  made->check();
  return made;
}

Value write_init(const Init& init) {
  if (const auto* constant = dynamic_cast<const ConstantInit*>(init.get())) return constant->value;
  if (const auto* data = dynamic_cast<const FileInit*>(init.get()))
    return core::without_defaults(core::write(data->file), core::write(io::DataFile{}));
  Value table = with_init_key(*init);
  if (dynamic_cast<const ValuesInit*>(init.get())) return *table.find("values");
  return table;
}

core::CustomForm init_form(Init& target) {
  return {
      "a number, a list, { init = \"…\", its parameters }, { file = \"…\" } or { values = […] }",
      [&target](const Value& value, const std::string& path) { target = read_init(value, path); },
      [&target] { return target ? std::optional(write_init(target)) : std::nullopt; }};
}

Init constant_init(double value) {
  auto made = std::make_shared<ConstantInit>();
  made->value = value;
  made->at = Value(value);
  return made;
}

Init initialisation(const std::string& name) { return initialisations().find(name)->make(); }

Init product_init(std::vector<Init> factors, std::vector<std::int64_t> inner, double scale) {
  auto made = std::make_shared<ProductInit>();
  made->factors = std::move(factors);
  made->inner = std::move(inner);
  made->scale = scale;
  return made;
}

system::SharedWeights make_weights(const Init& init, const InitContext& context) {
  const auto fail = [&](const std::string& found, bool transposed) {
    core::fail(init->at, init->path, found,
               "a " + shape_text(context.rows, context.cols) +
                   " matrix, one row a receiving unit and one column a sending one" +
                   (transposed ? "; its transpose would fit" : ""));
  };
  std::optional<Weights> made;
  if (const auto given = init->given(context.base)) {
    // A lone list is a matrix of one row or one column.
    const auto [rows, cols] = as_rows(*given);
    const bool list = given->shape.size() == 1;
    const bool column = list && context.cols == 1;
    if (column ? cols != context.rows : rows != context.rows || cols != context.cols)
      fail(shape_text(given->shape), !list && cols == context.rows && rows == context.cols);
    using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    made.emplace(
        MatrixXd(Eigen::Map<const RowMajor>(given->values.data(), context.rows, context.cols)));
  } else {
    made.emplace(init->make(context));
  }
  if (made->rows() != context.rows || made->cols() != context.cols)
    fail("\"" + init->name() + "\" gives a " + shape_text(made->rows(), made->cols()) + " matrix",
         made->rows() == context.cols && made->cols() == context.rows);
  return std::make_shared<const Weights>(std::move(*made));
}

MatrixXd make_columns(const Init& init, Index n, Index trials, bool per_trial,
                      const InitContext& context) {
  InitContext here = context;
  here.rows = n;
  here.cols = 1;
  if (const auto given = init->given(context.base)) {
    const auto [rows, units] = as_rows(*given);
    const auto fail = [&](const std::string& expected, bool transposed) {
      core::fail(init->at, init->path, shape_text(given->shape),
                 expected + (transposed ? "; its transpose would fit" : ""));
    };
    const std::string n_text = std::to_string(n);
    if (given->values.size() == 1) return MatrixXd::Constant(n, 1, given->values[0]);
    if (units != n)
      fail("a list of " + n_text + ", one a unit, or " + shape_text(trials, n) +
               " numbers, one row a trial",
           given->shape.size() == 2 && rows == n && (units == 1 || units == trials));
    if (rows != 1 && rows != trials)
      fail(trials == 1
               ? "one row of " + n_text + ", since there is one trial"
               : "one row of " + n_text + ", or " + std::to_string(trials) + " rows, one a trial",
           false);
    return Eigen::Map<const MatrixXd>(given->values.data(), n, rows);  // a row a trial, row-major
  }
  const Index columns = per_trial && init->is_random() ? trials : 1;
  init->require_memory(static_cast<double>(n) * static_cast<double>(columns),
                       shape_text(n, columns) + " numbers");
  MatrixXd out(n, columns);
  for (Index k = 0; k < columns; ++k)
    out.col(k) = init->column(here, static_cast<std::uint64_t>(k));
  return out;
}

bool needs_of(const Init& init) {
  const auto* relative = dynamic_cast<const RelativeInit*>(init.get());
  return relative && relative->of.empty();
}

Init with_of(const Init& init, std::vector<std::string> of) {
  if (!needs_of(init)) return init;
  std::unique_ptr<Initialisation> copy = init->clone();
  dynamic_cast<RelativeInit&>(*copy).of = std::move(of);
  return copy;
}

Init with_loop(const Init& init, const LoopParameters& loop) {
  if (!dynamic_cast<const SsaInit*>(init.get())) return init;
  std::unique_ptr<Initialisation> copy = init->clone();
  dynamic_cast<SsaInit&>(*copy).fill(loop);
  return copy;
}

Init with_absolute_paths(const Init& init, const std::filesystem::path& base) {
  if (dynamic_cast<const ProductInit*>(init.get())) {
    std::unique_ptr<Initialisation> copy = init->clone();
    for (Init& factor : dynamic_cast<ProductInit&>(*copy).factors)
      factor = with_absolute_paths(factor, base);
    return copy;
  }
  if (!dynamic_cast<const FileInit*>(init.get())) return init;
  std::unique_ptr<Initialisation> copy = init->clone();
  dynamic_cast<FileInit&>(*copy).make_absolute(base);
  return copy;
}

}  // namespace settle::models
