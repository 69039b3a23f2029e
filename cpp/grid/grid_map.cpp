#include "grid/grid_map.hpp"

#include "core/map.hpp"
#include "grid/grid_tile.hpp"

namespace socialgrid {

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
