#include "core/option.hpp"

#include <utility>

namespace socialgrid {
namespace {

Option reshaped(Option&& option, OptionShape shape) {
  option.shape = shape;
  return std::move(option);
}

}  // namespace

Option Option::of_layout() && {
  layout = true;
  return std::move(*this);
}
Option Option::per_agent() && { return reshaped(std::move(*this), OptionShape::kPerAgent); }
Option Option::list() && { return reshaped(std::move(*this), OptionShape::kList); }
Option Option::list_per_agent() && {
  return reshaped(std::move(*this), OptionShape::kListPerAgent);
}
Option Option::size() && { return reshaped(std::move(*this), OptionShape::kSize); }

namespace option {

Option flag(std::string name, bool fallback, std::string help) {
  return {.name = std::move(name),
          .type = OptionType::kBool,
          .fallback = fallback,
          .help = std::move(help)};
}

Option integer(std::string name, Value fallback, Range range, std::string help) {
  return {.name = std::move(name),
          .type = OptionType::kInt,
          .fallback = std::move(fallback),
          .low = range.low,
          .high = range.high,
          .help = std::move(help)};
}

Option number(std::string name, Value fallback, Range range, std::string help) {
  return {.name = std::move(name),
          .type = OptionType::kNumber,
          .fallback = std::move(fallback),
          .low = range.low,
          .high = range.high,
          .help = std::move(help)};
}

Option text(std::string name, Value fallback, std::string help) {
  return {.name = std::move(name),
          .type = OptionType::kText,
          .fallback = std::move(fallback),
          .help = std::move(help)};
}

Option choice(std::string name, Value fallback, std::vector<std::string> choices,
              std::string help) {
  return {.name = std::move(name),
          .type = OptionType::kText,
          .fallback = std::move(fallback),
          .choices = std::move(choices),
          .help = std::move(help)};
}

std::vector<Option> joined(std::initializer_list<std::vector<Option>> lists) {
  std::vector<Option> all;
  for (const std::vector<Option>& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

}  // namespace option
}  // namespace socialgrid
