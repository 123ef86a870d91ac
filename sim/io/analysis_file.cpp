#include "sim/io/analysis_file.hpp"

#include "sim/io/quantities.hpp"
#include "sim/io/result_path.hpp"

namespace settle::io {

void write_analysis(const std::filesystem::path& path, const std::string& kind,
                    const std::string& about, const std::vector<core::Quantity>& quantities,
                    const RunInfo& info, const solve::SolverOptions& solver, bool overwrite) {
  check_result_path(path, overwrite);
  h5::File file = h5::File::create(path);
  write_provenance(file, info, solver);
  file.set_attribute("kind", kind);
  file.set_attribute("about", about);
  {
    Shelf root(file.group("/"));
    for (const core::Quantity& quantity : quantities)
      write_quantity(root, quantity, info.time_unit);
    write_configuration(root, info);
  }
  file.set_attribute("status", "done");
  file.close();
}

AnalysisFile::AnalysisFile(const std::filesystem::path& path)
    : path_(path), file_(h5::File::open(path)) {
  if (!file_.has_attribute("kind"))
    throw core::InputError(path.string(), "no analysis",
                           "a file that settle analyze or tune wrote");
  for (const std::string& name : file_.names())
    if (file_.is_dataset(name))
      if (auto quantity = read_quantity(file_, name)) quantities_.push_back(std::move(*quantity));
}

std::string AnalysisFile::kind_of(const std::filesystem::path& path) {
  return h5::File::says(path, "kind") ? h5::File::open(path).text_attribute("kind") : "";
}

std::string AnalysisFile::attribute(const std::string& name) const {
  return h5::text_of(file_, name);
}

const core::Quantity* AnalysisFile::find(const std::string& name) const {
  for (const core::Quantity& quantity : quantities_)
    if (quantity.name == name) return &quantity;
  return nullptr;
}

}  // namespace settle::io
