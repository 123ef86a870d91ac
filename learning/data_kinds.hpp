// The members of the family of data sets, and what those share that are generated.
#pragma once

#include <functional>

#include "learning/data.hpp"

namespace settle::learning {

/// A source that makes as many examples as are asked for.
class GeneratedData : public DataSource {
 public:
  void fields(core::Fields& f) override;
  bool is_drawn() const override { return true; }

 protected:
  using DataSource::DataSource;

  /// Makes so many examples from a stream.
  using Draw = std::function<Examples(Index count, const std::string& stream)>;

  DataSet make(const DataRequest& request) const final;
  virtual Draw prepare(const DataRequest& request) const = 0;
  virtual int classes() const { return 0; }

 private:
  std::int64_t examples_ = 2000, held_out_ = 1000;
};

std::unique_ptr<DataSource> make_linear_teacher();
std::unique_ptr<DataSource> make_tanh_teacher();
std::unique_ptr<DataSource> make_relu_teacher();
std::unique_ptr<DataSource> make_digits();
std::unique_ptr<DataSource> make_idx_data();
std::unique_ptr<DataSource> make_csv_data();
std::unique_ptr<DataSource> make_hdf5_data();

}  // namespace settle::learning
