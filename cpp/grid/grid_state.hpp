// What agents and worlds of the MiniGrid-style games have besides what all have.
#pragma once

#include <cstdint>
#include <vector>

#include "core/game.hpp"

namespace socialgrid {

inline constexpr Field<double> kPrestige{0};
inline constexpr Field<std::int32_t> kCarrying{1};  // a tile; kEmpty: hands empty
inline constexpr Field<std::int32_t> kLastTile{2};  // last rewarded cycle tile, -1 none
inline constexpr Field<std::uint32_t> kArrival{3};  // smaller: entered its cell earlier

inline constexpr WorldValue<std::uint32_t> kArrivals{0};  // hands out kArrival
inline constexpr WorldValue<std::int32_t> kSpawnCols{1};  // agents are placed in columns below it

// Declares them, as the first of the game's. tile_set: every tile that can occur.
void declare_grid_state(GameSpec& spec, const std::vector<Tile>& tile_set, int num_cycle_tiles);

}  // namespace socialgrid
