#include "stress/random_config.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace socialgrid::stress {
namespace {

// Upper bounds that keep one scenario small; other options use their own range.
double cap(const std::string& name) {
  if (name == "grid_size") return 21;
  if (name == "max_steps") return 60;
  if (name == "num_agents") return 6;
  if (name == "view_size") return 13;
  if (name == "tile_size") return 9;
  if (name == "num_clutter") return 30;
  if (name == "spawn_delay") return 20;
  if (name == "length") return 21;
  return 1e3;
}

Value random_scalar(const Option& option, Dice& dice) {
  const double high = std::min(option.high, cap(option.name));
  switch (option.type) {
    case OptionType::kBool:
      return dice.chance(0.5);
    case OptionType::kInt:
      return dice.between(static_cast<int>(option.low), static_cast<int>(high));
    case OptionType::kNumber:
      return dice.real(option.low, high);
    case OptionType::kText:
      return option.choices.empty() ? std::string("red") : dice.pick(option.choices);
  }
  return {};
}

Value random_map(const Option& option, Dice& dice) {
  std::string glyphs = "......###0123GLDKOBPP";
  // Social dilemmas have a map of their own, whose characters are right.
  if (const Value::List* lines = option.fallback.list()) {
    glyphs = "   PP";
    for (const Value& line : *lines) glyphs += std::get<std::string>(line.data);
  }
  const int rows = dice.between(3, 10), cols = dice.between(3, 10);
  Value::List lines;
  for (int row = 0; row < rows; ++row) {
    std::string line;
    for (int col = 0; col < cols; ++col) line += dice.pick(glyphs);
    lines.emplace_back(std::move(line));
  }
  return lines;
}

Value random_value(const Option& option, int num_agents, Dice& dice) {
  const auto list = [&](int count, auto item) {
    Value::List items;
    for (int i = 0; i < count; ++i) items.push_back(item());
    return Value(std::move(items));
  };
  const auto scalar = [&] { return random_scalar(option, dice); };
  const auto some = [&] { return list(dice.between(0, 3), scalar); };
  if (option.name == "map") return random_map(option, dice);
  if (option.name == "apple_spawn_probabilities") return list(4, scalar);
  switch (option.shape) {
    case OptionShape::kSingle:
      return scalar();
    case OptionShape::kPerAgent:
      return dice.chance(0.5) ? scalar() : list(num_agents, scalar);
    case OptionShape::kListPerAgent:
      return dice.chance(0.5) ? some() : list(num_agents, some);
    case OptionShape::kList:
      return some();
    case OptionShape::kSize:
      return dice.chance(0.5) ? scalar() : list(2, scalar);
  }
  return {};
}

}  // namespace

Values random_config(const GameEntry& entry, Dice& dice) {
  Values values;
  const auto agents = std::find_if(entry.options.begin(), entry.options.end(),
                                   [](const Option& o) { return o.name == "num_agents"; });
  const int num_agents =
      dice.between(static_cast<int>(agents->low), std::min(static_cast<int>(agents->high), 6));
  const double share = dice.real(0.0, 0.5);
  for (const Option& option : entry.options) {
    if (option.name == "num_agents") {
      values[option.name] = num_agents;
    } else if (option.name == "max_steps" || dice.chance(option.name == "map" ? 0.1 : share)) {
      values[option.name] = random_value(option, num_agents, dice);
    }
  }
  return values;
}

}  // namespace socialgrid::stress
