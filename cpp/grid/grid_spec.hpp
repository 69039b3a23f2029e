// What a configuration says of a MiniGrid-style game: its map, its tiles, how agents see.
#pragma once

#include <vector>

#include "core/game.hpp"
#include "grid/egocentric_view.hpp"
#include "grid/grid_map.hpp"

namespace socialgrid {

// The user's map; rows == 0: there is none.
TextMap read_map(const Config& config);
// Number of distinct cycle tiles; their indices must be 0, 1, ... without a gap.
int count_cycle_tiles(const Config& config, const TextMap& map);
// Every tile that can occur.
std::vector<Tile> make_tile_set(int num_cycle_tiles, bool has_objects);

// All but the configuration in force and what agents have besides.
GameSpec make_grid_spec(const Config& config, const TextMap& map);
EgocentricView read_view(const Config& config, std::vector<Tile> tile_set);

// Every option with what is in force, so that the same configuration makes the same game again.
Values in_force(const Config& config, int num_cycle_tiles, const WorldShape& shape,
                const AgentLook& look);

}  // namespace socialgrid
