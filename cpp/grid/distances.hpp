// Shortest ways for agents that turn and walk.
#pragma once

#include <cstdint>
#include <span>

#include "core/world.hpp"

namespace socialgrid {

// Fewest actions (turn left, turn right, forward) that take an agent from each (dir, row, col) into
// `target`, walking over passable cells only; -1 where there is no way. passable [rows, cols];
// distances [4, rows, cols]. The target itself need not be passable. On the target the distance is
// that of leaving and entering it again.
void action_distances(std::span<const std::uint8_t> passable, int rows, int cols, Position target,
                      std::span<std::int32_t> distances);

}  // namespace socialgrid
