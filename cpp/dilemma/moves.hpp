// Simultaneous moves of agents that cannot share a cell.
#pragma once

#include <cstdint>
#include <span>

#include "core/rng.hpp"
#include "core/world.hpp"
#include "dilemma/crowd.hpp"

namespace socialgrid {

// The first seven actions of every social dilemma; steps are relative to the agent's heading.
enum class MoveAction : std::int32_t {
  kLeft,
  kRight,
  kUp,
  kDown,
  kStay,
  kTurnClockwise,
  kTurnCounterclockwise
};
inline constexpr int kNumMoveActions = 7;

// Turns agents and moves them all at once; actions beyond MoveAction stay.
// A cell that several want goes to one of them, uniformly at random, and the rest stay; these draws
// come in the order of the lowest agent that wants the cell. Then whoever wants the cell of an
// agent that stays, stays too, and so do two that would change places; all others move, in chains
// and in circles of three and more.
void move_all(World& world, std::span<const std::int32_t> actions, Crowd& crowd, Rng& rng);

}  // namespace socialgrid
