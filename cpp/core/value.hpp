// Values of options and of layouts: what a user may write.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace socialgrid {

// None, bool, integer, number, text or a list of values.
struct Value {
  using List = std::vector<Value>;
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List> data;

  Value() = default;
  Value(bool v) : data(v) {}                      // NOLINT(google-explicit-constructor)
  Value(int v) : data(std::int64_t{v}) {}         // NOLINT(google-explicit-constructor)
  Value(std::int64_t v) : data(v) {}              // NOLINT(google-explicit-constructor)
  Value(double v) : data(v) {}                    // NOLINT(google-explicit-constructor)
  Value(const char* v) : data(std::string(v)) {}  // NOLINT(google-explicit-constructor)
  Value(std::string v) : data(std::move(v)) {}    // NOLINT(google-explicit-constructor)
  Value(List v) : data(std::move(v)) {}           // NOLINT(google-explicit-constructor)

  bool is_none() const { return std::holds_alternative<std::monostate>(data); }
  const List* list() const { return std::get_if<List>(&data); }
};

// Python-like text of a value, for messages.
std::string to_string(const Value& value);

using Values = std::map<std::string, Value>;

}  // namespace socialgrid
