#include "socialgrid/map.hpp"

#include <stdexcept>

namespace socialgrid {

void check_text(const std::vector<std::string>& lines, const std::string& characters) {
  if (lines.empty() || lines[0].empty()) {
    throw std::invalid_argument("the map is empty; give one string a row, one character a cell");
  }
  if (lines.size() > kMaxSide || lines[0].size() > kMaxSide) {
    throw std::invalid_argument("the map is " + std::to_string(lines.size()) + " x " +
                                std::to_string(lines[0].size()) + "; at most " +
                                std::to_string(kMaxSide) + " x " + std::to_string(kMaxSide));
  }
  for (std::size_t row = 0; row < lines.size(); ++row) {
    const std::string& line = lines[row];
    if (line.size() != lines[0].size()) {
      throw std::invalid_argument("line " + std::to_string(row + 1) + " has " +
                                  std::to_string(line.size()) + " characters, line 1 has " +
                                  std::to_string(lines[0].size()) + "; all must be equally long");
    }
    const std::size_t col = line.find_first_not_of(characters);
    if (col == std::string::npos) continue;
    std::string allowed;
    for (const char character : characters) {
      allowed += character == ' ' ? " space" : std::string(" ") + character;
    }
    throw std::invalid_argument("line " + std::to_string(row + 1) + ", column " +
                                std::to_string(col + 1) + ": unknown character '" +
                                std::string(1, line[col]) + "'; allowed:" + allowed);
  }
}

TextMap parse_map(const std::vector<std::string>& lines, bool allow_spawns) {
  check_text(lines, std::string(".#0123456789GLDKOB") + (allow_spawns ? "P" : ""));
  TextMap map;
  map.rows = static_cast<int>(lines.size());
  map.cols = static_cast<int>(lines[0].size());
  std::vector<std::uint8_t> spawns;
  bool any_spawn = false;
  for (const std::string& line : lines) {
    for (const char character : line) {
      const bool spawn = character == 'P';
      map.cells.push_back(spawn ? kEmpty : *tile_of_glyph(character));
      spawns.push_back(spawn ? 1 : 0);
      any_spawn = any_spawn || spawn;
    }
  }
  if (any_spawn) map.spawns = std::move(spawns);
  return map;
}

}  // namespace socialgrid
