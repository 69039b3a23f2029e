// Text maps: one string a row, one character a cell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/tile.hpp"

namespace socialgrid {

inline constexpr int kMaxSide = 255;  // rows and columns of a grid

// Throws std::invalid_argument unless the lines are a rectangle of at most kMaxSide a side whose
// characters are all among `characters`; names line and column (from 1) of what is wrong.
void check_text(const std::vector<std::string>& lines, const std::string& characters);

// Of UTF-8 text, so that messages count and quote what users see: how many characters there are,
// and the whole character that begins at a byte.
std::size_t num_characters(const std::string& text);
std::string character_at(const std::string& text, std::size_t byte);

struct TextMap {
  int rows = 0;
  int cols = 0;
  std::vector<Tile> cells;           // row-major
  std::vector<std::uint8_t> spawns;  // 1 where the map has a spawn point 'P'; empty if it has none
};

// Reads a map of the MiniGrid-style games: `. # 0-9 G L D K O B` and `P`, an empty cell where
// agents may start. Throws std::invalid_argument naming line and column (from 1) of what is wrong.
TextMap parse_map(const std::vector<std::string>& lines, bool allow_spawns);

}  // namespace socialgrid
