// What a user set of a game's options, checked by name, type and range.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/option.hpp"
#include "core/value.hpp"

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

  // Names of the options that a map makes meaningless.
  const std::vector<std::string>& layout_options() const { return layout_options_; }

  // Every option's value, defaults filled in.
  const Values& resolved() const { return resolved_; }

  [[noreturn]] void fail(const std::string& name, const std::string& problem) const;

 private:
  std::vector<Value> per_agent(const std::string& name, int num_agents) const;

  std::string game_;
  Values given_;
  Values resolved_;
  std::vector<std::string> layout_options_;
};

}  // namespace socialgrid
