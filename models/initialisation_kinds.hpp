// The members of the family of initialisations that others must know by type.
#pragma once

#include "models/initialisation.hpp"
#include "models/stabilise.hpp"
#include "sim/io/data_files.hpp"

namespace settle::models {

/// Reads a list of numbers, or a list of such lists of one length.
/// @throws InputError  for what is neither, an empty list, and a number that is not finite
GivenNumbers read_numbers(const core::Value& value, const std::string& path);

/// clone() and name() of a member.
template <class Derived, class Base = Initialisation>
struct Member : Base {
  std::unique_ptr<Initialisation> clone() const override {
    return std::make_unique<Derived>(static_cast<const Derived&>(*this));
  }
  std::string name() const override { return Derived::label; }
};

/// w_ij = value (default 0).
struct ConstantInit final : Member<ConstantInit> {
  static constexpr const char* label = "constant";
  double value = 0;

  void fields(core::Fields& f) override;
  system::Weights make(const InitContext& context) const override;
  VectorXd column(const InitContext& context, std::uint64_t trial) const override;
};

/// The numbers as they are written.
struct ValuesInit final : Member<ValuesInit> {
  static constexpr const char* label = "values";
  GivenNumbers numbers;

  void fields(core::Fields& f) override;
  std::optional<GivenNumbers> given(const std::filesystem::path& base) const override;
  system::Weights make(const InitContext& context) const override;
};

/// The numbers of a file: HDF5, .npy, CSV or IDX.
struct FileInit final : Member<FileInit> {
  static constexpr const char* label = "file";
  io::DataFile file;

  void fields(core::Fields& f) override;
  std::optional<GivenNumbers> given(const std::filesystem::path& base) const override;
  system::Weights make(const InitContext& context) const override;
  void make_absolute(const std::filesystem::path& base);
};

/// The product of matrices that chain, in the cheapest form: kept apart (low rank) where that takes
/// fewer multiplications. @throws InputError  at `init` where it does not fit into memory
system::Weights product_of(const Initialisation& init,
                           const std::vector<system::Weights>& matrices);

/// scale · M_1 M_2 …, each with an initialisation of its own, drawn from "<stream>.factor_k".
struct ProductInit final : Member<ProductInit> {
  static constexpr const char* label = "product";
  std::vector<Init> factors;
  std::vector<std::int64_t> inner;  ///< sizes between them
  double scale = 1;

  bool makes_vectors() const override { return false; }
  void fields(core::Fields& f) override;
  void check() const override;
  system::Weights make(const InitContext& context) const override;
};

/// A function of W, the matrix of another projection, or W = W_a W_b … of several in order.
struct RelativeInit : Initialisation {
  std::vector<std::string> of;  ///< their names; a model fills in what is not given

  bool makes_vectors() const override { return false; }
  void fields(core::Fields& f) override;

 protected:
  /// W. A product of several matrices stays a product where that takes fewer multiplications.
  /// @throws InputError  where `of` is missing or its matrices don't chain
  system::Weights forward(const InitContext& context) const;
  /// W as a dense matrix.
  MatrixXd forward_dense(const InitContext& context) const;
};

/// B, random U(low, high) and then moved until its loop with W is stable (models/stabilise.hpp). Of
/// a product the path counts as instantaneous: the populations on it may still make the loop
/// unstable. Parameters of the loop that a model knows need not be given.
struct SsaInit final : Member<SsaInit, RelativeInit> {
  static constexpr const char* label = "ssa";
  double low = -0.01, high = 0.01;
  StabiliseOptions options;
  std::optional<double> leak, p, i, d, tau, controller_tau, derivative_tau;

  void fields(core::Fields& f) override;
  void check() const override;
  system::Weights make(const InitContext& context) const override;
  /// Takes over what was not given.
  void fill(const LoopParameters& loop);
};

}  // namespace settle::models
