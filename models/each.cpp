#include "models/each.hpp"

#include <algorithm>

namespace settle::models {

using core::Value;

namespace {

// One form for all, or a list of them with one a layer; `is_list` tells which of the two a list is.
template <class T, class Read, class Write, class IsList>
core::CustomForm each_form(std::string form, std::vector<T>& target, Read read, Write write,
                           IsList is_list) {
  return {std::move(form),
          [&target, read, is_list](const Value& value, const std::string& path) {
            target.clear();
            if (!value.is_array() || !is_list(value.array())) {
              target.push_back(read(value, path));
              return;
            }
            if (value.array().empty())
              core::fail(value, path, "an empty list", "one entry a layer");
            for (std::size_t k = 0; k < value.array().size(); ++k)
              target.push_back(read(value.array()[k], path + "[" + std::to_string(k) + "]"));
          },
          [&target, write]() -> std::optional<Value> {
            if (target.empty()) return std::nullopt;
            if (target.size() == 1) return write(target.front());
            core::Array list;
            for (const T& item : target) list.push_back(write(item));
            return Value(std::move(list));
          }};
}

}  // namespace

core::CustomForm transfers_form(std::vector<core::Transfer>& target) {
  return each_form("a transfer function, or a list of them", target, core::read_transfer,
                   core::write_transfer, [](const core::Array&) { return true; });
}

core::CustomForm inits_form(std::vector<Init>& target) {
  Init any;
  return each_form(init_form(any).form + ", or a list of tables, one each", target, read_init,
                   write_init, [](const core::Array& items) {
                     return std::any_of(items.begin(), items.end(),
                                        [](const Value& item) { return item.is_table(); });
                   });
}

}  // namespace settle::models
