// Options of a game: what a user may set, checked by name, type and range.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace socialgrid {

// A wrong key or value; the message names it and what would be right.
class ConfigError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// A key that no option has.
class UnknownOptionError : public ConfigError {
 public:
  using ConfigError::ConfigError;
};

// A configuration value: none, bool, integer, number, text or a list of values.
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

enum class OptionType { kBool, kInt, kNumber, kText };

// How many values an option holds.
enum class OptionShape {
  kSingle,        // one value
  kPerAgent,      // one value for all, or a list with one value per agent
  kListPerAgent,  // a list for all, or one list per agent
  kList,          // a list of values
  kSize           // one integer, or [rows, columns]
};

struct Option {
  std::string name;
  OptionType type = OptionType::kInt;
  OptionShape shape = OptionShape::kSingle;
  Value fallback;  // used when the key is absent; none: the option is off
  double low = 0;  // smallest and largest number allowed
  double high = 0;
  std::vector<std::string> choices;  // texts allowed; empty: any
  std::string help;
};

// The nearest of `names` to `name`, or an empty text when none is near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& names);

// User values checked against a game's options.
class Config {
 public:
  // Throws ConfigError for an unknown key, a wrong type, or a value out of range.
  Config(std::string game, const std::vector<Option>& options, const Values& values);

  const std::string& game() const { return game_; }
  bool given(const std::string& name) const;  // the user set it
  bool is_none(const std::string& name) const { return get(name).is_none(); }
  const Value& get(const std::string& name) const;

  bool flag(const std::string& name) const;
  int integer(const std::string& name) const;
  double number(const std::string& name) const;
  std::string text(const std::string& name) const;
  std::vector<std::string> texts(const std::string& name) const;
  std::vector<double> numbers(const std::string& name) const;
  std::pair<int, int> size(const std::string& name) const;  // rows, columns

  std::vector<bool> flags(const std::string& name, int num_agents) const;
  std::vector<int> integers(const std::string& name, int num_agents) const;
  std::vector<std::string> texts(const std::string& name, int num_agents) const;
  std::vector<std::vector<std::string>> text_lists(const std::string& name, int num_agents) const;

  // Every option's value, defaults filled in.
  const Values& resolved() const { return resolved_; }

  [[noreturn]] void fail(const std::string& name, const std::string& problem) const;

 private:
  std::vector<Value> per_agent(const std::string& name, int num_agents) const;

  std::string game_;
  Values given_;
  Values resolved_;
};

}  // namespace socialgrid
