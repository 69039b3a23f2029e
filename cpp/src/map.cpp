#include "socialgrid/map.hpp"

#include <stdexcept>

namespace socialgrid {

TextMap parse_map(const std::vector<std::string>& lines, bool allow_spawns) {
  if (lines.empty() || lines[0].empty()) {
    throw std::invalid_argument("the map is empty; give one string a row, one character a cell");
  }
  TextMap map;
  map.rows = static_cast<int>(lines.size());
  map.cols = static_cast<int>(lines[0].size());
  if (map.rows > kMaxSide || map.cols > kMaxSide) {
    throw std::invalid_argument("the map is " + std::to_string(map.rows) + " x " +
                                std::to_string(map.cols) + "; at most " + std::to_string(kMaxSide) +
                                " x " + std::to_string(kMaxSide));
  }
  map.cells.reserve(lines.size() * lines[0].size());
  std::vector<std::uint8_t> spawns;
  bool any_spawn = false;
  for (std::size_t row = 0; row < lines.size(); ++row) {
    const std::string& line = lines[row];
    if (line.size() != lines[0].size()) {
      throw std::invalid_argument("line " + std::to_string(row + 1) + " has " +
                                  std::to_string(line.size()) + " characters, line 1 has " +
                                  std::to_string(lines[0].size()) + "; all must be equally long");
    }
    for (std::size_t col = 0; col < line.size(); ++col) {
      const bool spawn = allow_spawns && line[col] == 'P';
      const std::optional<Tile> tile = spawn ? kEmpty : tile_of_glyph(line[col]);
      if (!tile) {
        throw std::invalid_argument("line " + std::to_string(row + 1) + ", column " +
                                    std::to_string(col + 1) + ": unknown character '" +
                                    std::string(1, line[col]) + "'; allowed: . # 0-9 G L D K O B" +
                                    (allow_spawns ? " P" : ""));
      }
      map.cells.push_back(*tile);
      spawns.push_back(spawn ? 1 : 0);
      any_spawn = any_spawn || spawn;
    }
  }
  if (any_spawn) map.spawns = std::move(spawns);
  return map;
}

}  // namespace socialgrid
