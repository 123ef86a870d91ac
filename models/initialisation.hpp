// What a user writes where a matrix or a vector of numbers is wanted: a number, a list, a file, or
// the name of an initialisation with its parameters.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/registry.hpp"
#include "sim/system/weights.hpp"

namespace settle::models {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

struct LoopParameters;

/// What an initialisation may need to know.
struct InitContext {
  Index rows = 0;
  Index cols = 0;
  std::uint64_t seed = 1;
  std::string stream;          ///< name of the random stream: the projection's, "hidden->control"
  std::filesystem::path base;  ///< relative data files are relative to it
  /// The matrix of a projection, for `of`; it is told where the name was written.
  /// @throws InputError  for an unknown name and for circular use
  std::function<const system::Weights&(const std::string& projection, const core::Value& at,
                                       const std::string& path)>
      weights_of;
};

/// Numbers as given, row-major: a list (one extent) or a matrix (two extents).
struct GivenNumbers {
  std::vector<Index> shape;
  std::vector<double> values;
};

/// One way to fill a matrix, or the columns of a vector quantity.
class Initialisation {
 public:
  virtual ~Initialisation() = default;

  /// The matrix, rows × cols. What is given rather than made (values, a file, a function of another
  /// projection) has the shape that it has; make_weights compares.
  /// @throws InputError  at the place where this was written
  virtual system::Weights make(const InitContext& context) const = 0;

  /// The column of trial `trial` (context.rows × 1), for those that make vectors.
  virtual VectorXd column(const InitContext& context, std::uint64_t trial) const;

  /// Whether a vector quantity can be made: not so for identity, orthogonal and all that use `of`.
  virtual bool makes_vectors() const { return true; }
  /// Whether column() depends on the trial.
  virtual bool is_random() const { return false; }
  /// The numbers, where they are given rather than made.
  virtual std::optional<GivenNumbers> given(const std::filesystem::path& base) const;
  /// Number of rows (trials) that given numbers hold, where they are a matrix.
  virtual std::optional<Index> rows_given(const std::filesystem::path& base) const;
  virtual void fields(core::Fields&) {}
  /// What bounds on single parameters cannot say. @throws InputError
  virtual void check() const {}
  virtual std::unique_ptr<Initialisation> clone() const = 0;
  virtual std::string name() const = 0;

  /// @throws InputError  where this many numbers don't fit into the machine's memory
  void require_memory(double numbers, const std::string& what) const;

  core::Value at;    ///< as it was written, for errors
  std::string path;  ///< where: "projection[1].weights"

 protected:
  /// InputError at the parameter, or at the whole where the parameter was not given.
  [[noreturn]] void fail(const std::string& key, const std::string& found,
                         const std::string& expected) const;
};

using Init = std::shared_ptr<const Initialisation>;

/// Every initialisation: constant, uniform, normal, orthogonal, identity, sparse, values, file,
/// transpose, negative_transpose, negative_pseudoinverse, sign_symmetric, rotated, product, ssa.
const core::Registry<Initialisation>& initialisations();

/// Every entry is `value`.
Init constant_init(double value);
/// The initialisation of that name, with its defaults.
Init initialisation(const std::string& name);
/// scale · M_1 M_2 …, `inner` being the sizes between them.
Init product_init(std::vector<Init> factors, std::vector<std::int64_t> inner, double scale);

/// Reads a number, a list or list of lists, `{ init = "normal", std = 0.1 }`, `{ file = "w.h5", …
/// }` or
/// `{ values = … }`.
/// @throws InputError  with the known names and parameters
Init read_init(const core::Value& value, const std::string& path);
/// Reads back to the same.
core::Value write_init(const Init& init);
/// The form for Fields::custom; a null target is left out when written.
core::CustomForm init_form(Init& target);

/// The matrix of a projection, context.rows × context.cols.
/// @throws InputError  where the shape is another (found and expected, and whether the transpose
///                     would fit), and for a matrix beyond the machine's memory (before it is
///                     allocated)
system::SharedWeights make_weights(const Init& init, const InitContext& context);

/// A vector quantity of n units: n × 1 where all trials share it, else n × trials. Given numbers
/// are a list of n, or trials × n with one row a trial (of one row: shared); a list of one number
/// stands for every unit. A random quantity is drawn per trial where `per_trial`: trial k depends
/// on (seed, stream, k) alone.
/// @throws InputError  for another shape, or an initialisation that makes a matrix
MatrixXd make_columns(const Init& init, Index n, Index trials, bool per_trial,
                      const InitContext& context);

/// Whether it is a function of another projection that has not been named.
bool needs_of(const Init& init);
/// A copy whose `of` is this, where it was not given.
Init with_of(const Init& init, std::vector<std::string> of);
/// A copy whose loop is this, where its parameters were not given (ssa alone has one).
Init with_loop(const Init& init, const LoopParameters& loop);
/// A copy that finds its file from any folder.
Init with_absolute_paths(const Init& init, const std::filesystem::path& base);

}  // namespace settle::models
