// A family of things that a user names: transfer functions, solvers, initialisations, models,
// measures.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/core/params.hpp"

namespace settle::core {

/// One member of a family: its name, one line about it, and how it is made with its defaults.
/// `Base` has `virtual void fields(Fields&)`.
template <class Base>
struct Entry {
  std::string name;
  std::string summary;
  std::unique_ptr<Base> (*make)();
};

/// The one list of a family, in the order in which it is shown.
template <class Base>
class Registry {
 public:
  Registry(std::string family, std::vector<Entry<Base>> entries)
      : family_(std::move(family)), entries_(std::move(entries)) {}

  const std::string& family() const { return family_; }
  const std::vector<Entry<Base>>& entries() const { return entries_; }

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : entries_) out.push_back(entry.name);
    return out;
  }

  /// The entry of that name, or nullptr.
  const Entry<Base>* find(const std::string& name) const {
    for (const auto& entry : entries_)
      if (entry.name == name) return &entry;
    return nullptr;
  }

  /// The entry that `value` names. @throws InputError  with the known names and the nearest
  const Entry<Base>& at(const Value& value, const std::string& path) const {
    const Entry<Base>* entry = value.is_text() ? find(value.text()) : nullptr;
    if (!entry)
      fail(value, path, value.describe(),
           "one of " + join(names(), " or ") +
               (value.is_text() ? did_you_mean(value.text(), names()) : ""));
    return *entry;
  }

 private:
  std::string family_;
  std::vector<Entry<Base>> entries_;
};

/// `make` for an Entry.
template <class Base, class Derived>
std::unique_ptr<Base> make_entry() {
  return std::make_unique<Derived>();
}

}  // namespace settle::core
