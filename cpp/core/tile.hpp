// A cell of a world is one byte, a tile; what a tile is, each family of games says for itself.
#pragma once

#include <cstdint>

namespace socialgrid {

using Tile = std::uint8_t;

struct Rgb {
  std::uint8_t r = 0, g = 0, b = 0;
  friend bool operator==(const Rgb&, const Rgb&) = default;
};

}  // namespace socialgrid
