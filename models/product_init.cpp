// Products of matrices, in their cheapest form.
#include "models/initialisation_kinds.hpp"

namespace settle::models {

using core::any_number;
using core::Fields;
using core::Value;
using system::Weights;

namespace {

const VectorXd* diagonal_of(const Weights& w) {
  const auto* diagonal = std::get_if<Weights::Diagonal>(&w.as_variant());
  return diagonal ? &diagonal->entries : nullptr;
}

const Weights::Sparse* sparse_of(const Weights& w) {
  return std::get_if<Weights::Sparse>(&w.as_variant());
}

// A B as one cheap matrix, where a diagonal or two sparse ones allow it.
std::optional<Weights> merged(const Weights& a, const Weights& b) {
  const VectorXd *left = diagonal_of(a), *right = diagonal_of(b);
  if (left && right) return Weights(Weights::Diagonal{left->cwiseProduct(*right)});
  if (sparse_of(a) && right) return Weights(Weights::Sparse(*sparse_of(a) * right->asDiagonal()));
  if (left && sparse_of(b)) return Weights(Weights::Sparse(left->asDiagonal() * *sparse_of(b)));
  if (right) return Weights(MatrixXd(a.dense() * right->asDiagonal()));
  if (left) return Weights(MatrixXd(left->asDiagonal() * b.dense()));
  if (sparse_of(a) && sparse_of(b)) return Weights(Weights::Sparse(*sparse_of(a) * *sparse_of(b)));
  return std::nullopt;
}

}  // namespace

Weights product_of(const Initialisation& init, const std::vector<Weights>& matrices) {
  std::vector<Weights> parts;  // their product is that of the matrices
  const auto append = [&](const Weights& next) {
    std::optional<Weights> both;
    if (!parts.empty()) both = merged(parts.back(), next);
    if (both)
      parts.back() = std::move(*both);
    else
      parts.push_back(next);
  };
  for (const Weights& next : matrices) {
    if (next.is_identity()) continue;
    if (const auto* product = std::get_if<Weights::LowRank>(&next.as_variant())) {
      for (const MatrixXd& factor : product->factors) append(Weights(factor));
    } else {
      append(next);
    }
  }
  const Index rows = matrices.front().rows(), cols = matrices.back().cols();
  if (parts.empty()) return Weights(Weights::Identity{rows});
  if (parts.size() == 1) return parts[0];

  double multiplications = 0;
  for (const Weights& part : parts)
    multiplications += static_cast<double>(part.rows()) * static_cast<double>(part.cols());
  init.require_memory(multiplications,
                      "a product of " + std::to_string(parts.size()) + " matrices");
  Weights::LowRank product;
  for (const Weights& part : parts) product.factors.push_back(part.dense());
  Weights low_rank(std::move(product));
  if (multiplications < static_cast<double>(rows) * static_cast<double>(cols)) return low_rank;
  return Weights(low_rank.dense());
}

void ProductInit::fields(Fields& f) {
  f.custom(
      {"factors", "", "initialisations of the matrices, in order", true},
      {"a list of initialisations",
       [this](const Value& value, const std::string& where) {
         if (!value.is_array() || value.array().empty())
           core::fail(value, where, value.describe(), "a list of initialisations");
         factors.clear();
         for (std::size_t k = 0; k < value.array().size(); ++k)
           factors.push_back(read_init(value.array()[k], where + "[" + std::to_string(k) + "]"));
       },
       [this]() -> std::optional<Value> {
         core::Array list;
         for (const Init& factor : factors) list.push_back(write_init(factor));
         return Value(std::move(list));
       }});
  f.integers({"inner", "1", "columns of each matrix but the last", true}, inner, 1, 100'000'000);
  f.number({"scale", "1", "factor"}, scale, any_number());
}

void ProductInit::check() const {
  if (inner.size() + 1 != factors.size())
    fail("inner",
         std::to_string(inner.size()) + " sizes for " + std::to_string(factors.size()) + " factors",
         "one size between each two factors");
}

Weights ProductInit::make(const InitContext& context) const {
  std::vector<Weights> matrices;
  for (std::size_t k = 0; k < factors.size(); ++k) {
    InitContext own = context;
    own.rows = k == 0 ? context.rows : inner[k - 1];
    own.cols = k + 1 == factors.size() ? context.cols : inner[k];
    own.stream = context.stream + ".factor_" + std::to_string(k + 1);
    matrices.push_back(*make_weights(factors[k], own));
  }
  const Weights product = product_of(*this, matrices);
  return scale == 1 ? product : product.scaled(scale);
}

}  // namespace settle::models
