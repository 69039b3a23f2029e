#include "grid/grid_state.hpp"

#include <limits>
#include <string>

#include "grid/grid_tile.hpp"

namespace socialgrid {

void declare_grid_state(GameSpec& spec, const std::vector<Tile>& tile_set, int num_cycle_tiles) {
  constexpr double kLowest = std::numeric_limits<std::int32_t>::min();
  constexpr double kHighest = std::numeric_limits<std::int32_t>::max();
  spec.add_number({.name = "prestige",
                   .high = std::numeric_limits<double>::max(),
                   .complaint = [](const std::string& value) {
                     return ": prestige = " + value + " must be a finite number of at least 0";
                   }});
  AgentField carrying{
      .name = "carrying", .type = FieldType::kThing, .fallback = kEmpty, .optional = true};
  for (const Tile tile : tile_set) {
    const TileTraits& traits = kTiles[tile];
    if (traits.portable) carrying.things.push_back({tile, traits.glyph, describe_tile(tile)});
  }
  carrying.complaint = [](const std::string& value) {
    return " cannot carry " + value +
           "; write for example 'yellow key', in a game that has objects";
  };
  spec.add_integer(std::move(carrying));
  spec.add_integer({.name = "last_tile",
                    .fallback = -1,
                    .high = num_cycle_tiles - 1.0,
                    .optional = true,
                    .complaint = [game = spec.name, num_cycle_tiles](const std::string& value) {
                      return ": last tile " + value + " does not exist; " + game + " has " +
                             std::to_string(num_cycle_tiles) + " cycle tiles here";
                    }});
  spec.add_integer({.name = "arrival", .low = kLowest, .high = kHighest, .shown = false});
  spec.add_value({.name = "arrivals", .low = kLowest, .high = kHighest});
  spec.add_value({.name = "spawn_cols",
                  .fallback = spec.shape.cols,
                  .high = static_cast<double>(spec.shape.cols)});
}

}  // namespace socialgrid
