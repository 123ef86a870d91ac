// Data sets for training: examples that are generated, or read from files.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/spelt_out.hpp"
#include "sim/core/registry.hpp"

namespace settle::learning {

using Eigen::Index;
using Eigen::MatrixXd;

/// Examples, one a column.
struct Examples {
  MatrixXd inputs;          ///< features × N
  MatrixXd targets;         ///< outputs × N: numbers, one-hot classes, or the inputs themselves
  std::vector<int> labels;  ///< N classes from 0; empty where the data have none

  Index count() const { return inputs.cols(); }
};

/// What a network learns from, and what it is tested on.
struct DataSet {
  Examples training;
  Examples held_out;  ///< of no examples where there are none, but of as many features and outputs
  int classes = 0;    ///< 0 where the data have no labels
  std::string task;   ///< "regression", "classification" or "autoencoder"
  std::string description;  ///< one line for people
  /// Whether what counts is the class, and not the numbers of the targets.
  bool is_classification() const { return task == "classification"; }

  std::vector<std::string> files;  ///< that were read: "<SHA-256>  <path>", as sha256sum prints
};

/// What a run asks of its data.
struct DataRequest {
  std::uint64_t seed = 1;
  std::filesystem::path base;            ///< relative data files are relative to it
  std::optional<std::int64_t> examples;  ///< for training, in place of the source's own number
  std::optional<std::int64_t> held_out;  ///< likewise
  std::int64_t limit = 0;                ///< of each at most so many (a rehearsal); 0: no limit
  std::vector<std::int64_t> layers;      ///< sizes of the network, input first; empty: not known
};

/// One source of examples. What is drawn depends, for example k, on (request.seed, stream, k) alone,
/// and not on how many there are; the streams are "data.training", "data.held_out",
/// "data.teacher.…", "data.calibration" and "data.split".
///
/// Parameters of all: `task`, where there is a choice (for an autoencoder the targets are the inputs, as
/// they are after `standardise`), and `standardise`, x ↦ (x − m)/s of the inputs, where m and s are
/// taken from the training examples and used for the held-out ones too:
/// - none: as they are;
/// - unit: integers over the largest one that their type in the file holds, bytes over 255;
/// - zscore: one mean and one standard deviation (of N, not N − 1) of all inputs of all examples,
///   which is how the paper has its images (MNIST's 60 000: 33.318 and 78.567 of 255);
/// - zscore_features: each feature its own; one that never changes becomes 0.
///
/// Source: science.md section 8.
class DataSource {
 public:
  virtual ~DataSource() = default;

  /// The examples.
  /// @throws InputError  for sizes that are not the network's, fewer examples than are asked for, files
  ///                     that are missing, damaged or don't fit together, labels that are no classes,
  ///                     numbers that are not finite, and what does not fit into memory
  DataSet load(const DataRequest& request) const;

  /// Its parameters, as keys of [data] beside `kind`.
  virtual void fields(core::Fields& f);
  /// What bounds on single parameters cannot say. @throws InputError
  virtual void check() const {}
  virtual std::string name() const = 0;
  /// Whether the examples depend on the seed.
  virtual bool is_drawn() const = 0;

  models::Place place;  ///< where it was written, for errors

 protected:
  /// The examples with inputs as they are, and targets (regression) or labels and classes.
  virtual DataSet make(const DataRequest& request) const = 0;
  /// What `task` may be, the default first.
  virtual std::vector<std::string> tasks() const { return {"regression"}; }
  /// What `standardise` may be.
  virtual std::vector<std::string> standardisations() const;

  /// Sets the defaults of the parameters of all.
  DataSource(std::string task, std::string standardise)
      : task_(std::move(task)), standardise_(std::move(standardise)) {}

  /// How many examples: those asked for, else the source's own number, else all `available` ones.
  /// @throws InputError  at `key` where there are fewer
  Index wanted(const std::string& key, std::optional<std::int64_t> asked,
               std::optional<std::int64_t> own, Index available, const DataRequest& request) const;

  std::string task_, standardise_;

 private:
  std::string standardise(DataSet& set) const;
  void check_sizes(const DataSet& set, const DataRequest& request) const;
};

/// Every source: linear_teacher, tanh_teacher, relu_teacher, digits, idx, csv, hdf5.
const core::Registry<DataSource>& data_sources();

using Data = std::shared_ptr<const DataSource>;

/// Reads the table [data]: { kind = "digits", its parameters }.
/// @throws InputError  with the known kinds and parameters
Data read_data_source(const core::Value& table, const std::string& path);
/// The table that reads back as the same.
core::Value write_data_source(const Data& source);
/// The form for Fields::custom; a null target is left out when written.
core::CustomForm data_source_form(Data& target);

}  // namespace settle::learning
