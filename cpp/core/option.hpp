// Options of a game: each is named, given its default and its range, and explained in one place.
//
//   option::number("fire_cost", 1.0, {0, 1e6}, "what a shot costs the shooter")
//   option::flag("see_through_walls", false, "switch occlusion off").per_agent()
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "core/value.hpp"

namespace socialgrid {

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
  std::vector<std::string> choices{};  // texts allowed; empty: any
  std::string help;
  bool layout = false;  // a map of the user's says by itself what it is

  // The same option as one that has no meaning together with the option `map`.
  Option of_layout() &&;
  // The same option in another shape.
  Option per_agent() &&;
  Option list() &&;
  Option list_per_agent() &&;
  Option size() &&;
};

namespace option {

// Smallest and largest number allowed.
struct Range {
  double low = 0;
  double high = 0;
};

// A fallback that is no value switches the option off.
Option flag(std::string name, bool fallback, std::string help);
Option integer(std::string name, Value fallback, Range range, std::string help);
Option number(std::string name, Value fallback, Range range, std::string help);
Option text(std::string name, Value fallback, std::string help);
Option choice(std::string name, Value fallback, std::vector<std::string> choices, std::string help);

// Several lists of options as one.
std::vector<Option> joined(std::initializer_list<std::vector<Option>> lists);

}  // namespace option

}  // namespace socialgrid
