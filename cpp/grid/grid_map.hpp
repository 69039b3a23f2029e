// Text maps of the MiniGrid-style games.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tile.hpp"

namespace socialgrid {

struct TextMap {
  int rows = 0;
  int cols = 0;
  std::vector<Tile> cells;           // row-major
  std::vector<std::uint8_t> spawns;  // 1 where the map has a spawn point 'P'; empty if it has none
};

// Reads a map: `. # 0-9 G L D K O B` and `P`, an empty cell where
// agents may start. Throws std::invalid_argument naming line and column (from 1) of what is wrong.
TextMap parse_map(const std::vector<std::string>& lines, bool allow_spawns);

}  // namespace socialgrid
