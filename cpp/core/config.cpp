#include "core/config.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/text.hpp"

namespace socialgrid {
namespace {

constexpr std::size_t kLongestName = 100;  // whatever is longer is near to no name

std::string shown(const Value& value) { return printable(to_string(value)); }

std::string number_text(double value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, result.ptr};
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1] ? 1 : 0)});
      diagonal = above;
    }
  }
  return row.back();
}

// A name in small letters and digits, without the version that names of games end in: what makes
// names alike.
std::string letters_of(std::string_view name) {
  const std::size_t version = name.rfind("-v");
  if (version != std::string_view::npos && version + 2 < name.size() &&
      name.find_first_not_of("0123456789", version + 2) == std::string_view::npos) {
    name = name.substr(0, version);
  }
  std::string letters;
  for (const char c : name) {
    if (c != '-' && c != '_' && c != ' ') {
      letters += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return letters;
}

std::string type_name(const Option& option) {
  switch (option.type) {
    case OptionType::kBool:
      return "True or False";
    case OptionType::kInt:
      return "an integer";
    case OptionType::kNumber:
      return "a number";
    case OptionType::kText:
      return "a text";
  }
  return "";
}

std::string expectation(const Option& option) {
  switch (option.shape) {
    case OptionShape::kSingle:
      return type_name(option);
    case OptionShape::kPerAgent:
      return type_name(option) + ", or a list with one per agent";
    case OptionShape::kListPerAgent:
      return "a list of texts, or one such list per agent";
    case OptionShape::kList:
      return option.type == OptionType::kText ? "a list of texts" : "a list of numbers";
    case OptionShape::kSize:
      return "an integer or [rows, columns]";
  }
  return "";
}

// Checks one scalar and brings integers to doubles where a number is wanted.
Value check_scalar(const std::string& where, const Option& option, const Value& value) {
  const auto wrong_type = [&]() -> ConfigError {
    return ConfigError(where + " must be " + expectation(option) + ", not " + shown(value));
  };
  const auto check_range = [&](double number) {
    if (!(number >= option.low && number <= option.high)) {
      throw ConfigError(where + " = " + shown(value) + " is out of range; allowed: " +
                        number_text(option.low) + " to " + number_text(option.high));
    }
  };
  switch (option.type) {
    case OptionType::kBool:
      if (!std::holds_alternative<bool>(value.data)) throw wrong_type();
      return value;
    case OptionType::kInt:
      if (const auto* integer = std::get_if<std::int64_t>(&value.data)) {
        check_range(static_cast<double>(*integer));
        return value;
      }
      throw wrong_type();
    case OptionType::kNumber:
      if (const auto* integer = std::get_if<std::int64_t>(&value.data)) {
        check_range(static_cast<double>(*integer));
        return static_cast<double>(*integer);
      }
      if (const auto* number = std::get_if<double>(&value.data)) {
        check_range(*number);
        return value;
      }
      throw wrong_type();
    case OptionType::kText:
      if (const auto* text = std::get_if<std::string>(&value.data)) {
        const auto& choices = option.choices;
        if (!choices.empty() && std::find(choices.begin(), choices.end(), *text) == choices.end()) {
          std::string message = where + " = " + shown(value) + " is unknown";
          if (const std::string near = nearest_name(*text, choices); !near.empty()) {
            message += "; did you mean '" + near + "'?";
          }
          message += " Allowed:";
          for (const std::string& choice : choices) message += " " + choice;
          throw ConfigError(message);
        }
        return value;
      }
      throw wrong_type();
  }
  return value;
}

Value check_value(const std::string& where, const Option& option, const Value& value);

Value check_each(const std::string& where, const Option& option, const Value::List& list) {
  Value::List checked;
  for (std::size_t i = 0; i < list.size(); ++i) {
    checked.push_back(check_value(where + "[" + std::to_string(i) + "]", option, list[i]));
  }
  return checked;
}

Value check_value(const std::string& where, const Option& option, const Value& value) {
  const Value::List* list = value.list();
  Option single = option;
  single.shape = OptionShape::kSingle;
  switch (option.shape) {
    case OptionShape::kSingle:
      return check_scalar(where, option, value);
    case OptionShape::kPerAgent:
      return list != nullptr ? check_each(where, single, *list)
                             : check_scalar(where, option, value);
    case OptionShape::kList:
      if (list == nullptr) break;
      return check_each(where, single, *list);
    case OptionShape::kListPerAgent: {
      if (list == nullptr) break;
      const bool nested = std::any_of(list->begin(), list->end(),
                                      [](const Value& item) { return item.list() != nullptr; });
      Option inner = option;
      inner.shape = nested ? OptionShape::kList : OptionShape::kSingle;
      return check_each(where, inner, *list);
    }
    case OptionShape::kSize:
      if (list == nullptr) return check_scalar(where, option, value);
      if (list->size() != 2) break;
      return check_each(where, single, *list);
  }
  throw ConfigError(where + " must be " + expectation(option) + ", not " + shown(value));
}

}  // namespace

std::string to_string(const Value& value) {
  struct Printer {
    std::string operator()(std::monostate) const { return "None"; }
    std::string operator()(bool v) const { return v ? "True" : "False"; }
    std::string operator()(std::int64_t v) const { return std::to_string(v); }
    std::string operator()(double v) const { return number_text(v); }
    std::string operator()(const std::string& v) const { return "'" + v + "'"; }
    std::string operator()(const Value::List& v) const {
      std::string text = "[";
      for (std::size_t i = 0; i < v.size(); ++i) text += (i > 0 ? ", " : "") + to_string(v[i]);
      return text + "]";
    }
  };
  return std::visit(Printer{}, value.data);
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& names) {
  std::string best;
  if (name.size() > kLongestName) return best;
  const std::string letters = letters_of(name);
  // A third of the letters may be wrong: what is farther off was hardly meant.
  const std::size_t allowed = letters.size() < 4 ? 1 : std::max<std::size_t>(2, letters.size() / 3);
  // Of names with the same letters, as those of a game's versions are, the one that is written so.
  std::pair best_distance{allowed + 1, std::size_t{0}};
  for (const std::string& candidate : names) {
    const std::pair distance{edit_distance(letters, letters_of(candidate)),
                             edit_distance(name, candidate)};
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  for (const std::string& candidate : names) {  // a name that was cut off
    const bool cut = letters.size() > 2 && letters_of(candidate).starts_with(letters);
    if (best.empty() && cut) best = candidate;
  }
  return best;
}

Config::Config(std::string game, const std::vector<Option>& options, const Values& values)
    : game_(std::move(game)), given_(values) {
  std::vector<std::string> names;
  for (const Option& option : options) names.push_back(option.name);
  for (const auto& [name, value] : values) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    // Other tools look for the words in brackets, which are Python's.
    const std::string shown = "'" + printable(name) + "'";
    std::string message =
        game_ + " has no option " + shown + " (got an unexpected keyword argument " + shown + ")";
    if (const std::string near = nearest_name(name, names); !near.empty()) {
      message += "; did you mean '" + near + "'?";
    } else {
      message += "; its options are:";
      for (const std::string& known : names) message += " " + known;
    }
    throw UnknownOptionError(message);
  }
  for (const Option& option : options) {
    if (option.layout) layout_options_.push_back(option.name);
    const auto found = values.find(option.name);
    const bool absent = found == values.end() || found->second.is_none();
    resolved_[option.name] =
        absent ? option.fallback : check_value(game_ + ": " + option.name, option, found->second);
  }
}

bool Config::given(const std::string& name) const {
  const auto found = given_.find(name);
  return found != given_.end() && !found->second.is_none();
}

const Value& Config::get(const std::string& name) const { return resolved_.at(name); }
bool Config::flag(const std::string& name) const { return std::get<bool>(get(name).data); }
int Config::integer(const std::string& name) const {
  return static_cast<int>(std::get<std::int64_t>(get(name).data));
}
double Config::number(const std::string& name) const { return std::get<double>(get(name).data); }
std::string Config::text(const std::string& name) const {
  return std::get<std::string>(get(name).data);
}

std::vector<std::string> Config::texts(const std::string& name) const {
  std::vector<std::string> out;
  if (const Value::List* list = get(name).list()) {
    for (const Value& item : *list) out.push_back(std::get<std::string>(item.data));
  }
  return out;
}

std::vector<double> Config::numbers(const std::string& name) const {
  std::vector<double> out;
  if (const Value::List* list = get(name).list()) {
    for (const Value& item : *list) out.push_back(std::get<double>(item.data));
  }
  return out;
}

std::pair<int, int> Config::size(const std::string& name) const {
  const Value& value = get(name);
  if (const Value::List* list = value.list()) {
    return {static_cast<int>(std::get<std::int64_t>((*list)[0].data)),
            static_cast<int>(std::get<std::int64_t>((*list)[1].data))};
  }
  const int side = integer(name);
  return {side, side};
}

std::vector<Value> Config::per_agent(const std::string& name, int num_agents) const {
  const Value& value = get(name);
  const Value::List* list = value.list();
  if (list == nullptr) return std::vector<Value>(static_cast<std::size_t>(num_agents), value);
  if (list->size() != static_cast<std::size_t>(num_agents)) {
    fail(name, "has " + std::to_string(list->size()) + " entries for " +
                   std::to_string(num_agents) + " agents");
  }
  return *list;
}

std::vector<bool> Config::flags(const std::string& name, int num_agents) const {
  std::vector<bool> out;
  for (const Value& v : per_agent(name, num_agents)) out.push_back(std::get<bool>(v.data));
  return out;
}

std::vector<int> Config::integers(const std::string& name, int num_agents) const {
  std::vector<int> out;
  for (const Value& v : per_agent(name, num_agents)) {
    out.push_back(static_cast<int>(std::get<std::int64_t>(v.data)));
  }
  return out;
}

std::vector<std::string> Config::texts(const std::string& name, int num_agents) const {
  std::vector<std::string> out;
  for (const Value& v : per_agent(name, num_agents)) out.push_back(std::get<std::string>(v.data));
  return out;
}

std::vector<std::vector<std::string>> Config::text_lists(const std::string& name,
                                                         int num_agents) const {
  const Value::List* list = get(name).list();
  const auto agents = static_cast<std::size_t>(num_agents);
  if (list == nullptr || list->empty()) return std::vector<std::vector<std::string>>(agents);
  if (list->front().list() == nullptr) {
    return std::vector<std::vector<std::string>>(agents, texts(name));
  }
  std::vector<std::vector<std::string>> out;
  for (const Value& entry : per_agent(name, num_agents)) {
    out.emplace_back();
    for (const Value& item : *entry.list()) {
      out.back().push_back(std::get<std::string>(item.data));
    }
  }
  return out;
}

void Config::fail(const std::string& name, const std::string& problem) const {
  throw ConfigError(game_ + ": " + name + " " + problem);
}

}  // namespace socialgrid
