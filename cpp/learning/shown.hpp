// Views of an agent as they are kept.
#pragma once

#include <cstdint>
#include <cstring>

namespace socialgrid::learning {

// Views [count, cells]: each cell a number of `number` bytes (1 or 2) of a tile in the atlas, or,
// where `number` is 0, the bytes of its pixels.
struct Shown {
  const std::uint8_t* views = nullptr;
  std::int64_t number = 0, tiles = 0;
  const std::uint8_t* atlas = nullptr;  // [tiles, pixels]

  std::int32_t at(std::int64_t place) const {
    const std::uint8_t* from = views + place * number;
    if (number == 1) return *from;
    std::uint16_t wide;
    std::memcpy(&wide, from, sizeof(wide));
    return wide;
  }
};

}  // namespace socialgrid::learning
