// Configurations: a byte names the game; then pairs of an option and a value of any kind, most of
// them near what the option allows.
#include <bit>
#include <limits>

#include "fuzz.hpp"

using namespace socialgrid;

namespace {

Value any_value(fuzz::Bytes& bytes, const Option& option, int depth) {
  constexpr std::int64_t kEdges[] = {0, 1, -1, 2, 3, 255, 256, 65536, 1ll << 31, 1ll << 32};
  switch (bytes.below(12)) {
    case 0:
      return {};
    case 1:
      return bytes.below(2) == 1;
    case 2:
      return kEdges[bytes.below(std::size(kEdges))];
    case 3:
      return bytes.take<std::int64_t>();
    case 4:
      return std::bit_cast<double>(bytes.take<std::uint64_t>());
    case 5:
      return bytes.text(20);
    case 6:
      return option.fallback;
    case 7:
      if (option.choices.empty()) return bytes.text(5);
      return option.choices[bytes.below(option.choices.size())];
    case 8:
    case 9: {
      Value::List list;
      if (depth < 3) {
        for (std::size_t i = bytes.below(6); i > 0; --i) {
          list.push_back(any_value(bytes, option, depth + 1));
        }
      }
      return list;
    }
    case 10: {
      const double share = bytes.take<std::uint8_t>() / 255.0;
      return option.low + (option.high - option.low) * share;
    }
    default: {
      const double most = std::min(option.high, option.low + 255);
      return static_cast<std::int64_t>(option.low + (most - option.low) * bytes.below(256) / 255);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  const GameEntry& entry = games()[bytes.below(games().size())];
  Values values;
  for (std::size_t i = bytes.below(8); i > 0 && !bytes.empty(); --i) {
    const Option& option = entry.options[bytes.below(entry.options.size())];
    const bool known = bytes.below(20) != 19;
    values[known ? option.name : bytes.text(12)] = any_value(bytes, option, 0);
  }
  fuzz::make_and_play(entry.name, values, bytes);
  return 0;
}
