// From where in a MiniGrid-style world everything can be reached that has to be.
#pragma once

#include <cstdint>
#include <vector>

#include "core/world.hpp"

namespace socialgrid {

// Bytes [rows, cols]: 1 where an agent could set out to enter a goal, if there is any, and every
// cycle tile. It walks over anything but walls and lava, not over a goal, which ends its play.
// Doors open; a locked one needs a key of its colour from this side, or in somebody's hands. Keys,
// balls and boxes can be put aside, and other agents are thought to be out of the way.
std::vector<std::uint8_t> solving_cells(const World& world);

}  // namespace socialgrid
