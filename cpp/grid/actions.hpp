// Passes over agents of the MiniGrid-style games: turning, moving, handling objects, placing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/world.hpp"

namespace socialgrid {

enum class GridAction : std::int32_t {
  kTurnLeft,
  kTurnRight,
  kForward,
  kPickUp,
  kDrop,
  kToggle,
  kDone
};
inline constexpr int kNumGridActions = 7;

inline Position ahead(const Agent& agent) {
  return {agent.row + kRowStep[agent.dir], agent.col + kColStep[agent.dir]};
}

bool occupied(const World& world, Position p);

// An agent enters the cell ahead if it is walkable and, unless agents may overlap, free. Says
// whether it did.
bool move_forward(World& world, std::size_t agent, bool overlap);

// Pick up, drop or toggle at the cell ahead of an agent; other actions do nothing.
void handle_object(World& world, std::size_t agent, GridAction action);

// Puts an agent in play on a random walkable cell (not lava) with a random direction: on a spawn
// point where `spawns` has any, in columns below kSpawnCols, and, unless agents may
// overlap, where no other agent is. Returns false and changes nothing when there is no such cell.
bool place_agent(World& world, std::size_t agent, std::span<const std::uint8_t> spawns,
                 bool overlap, Rng& rng);

// Cells on which place_agent could put an agent now.
int count_places(const World& world, std::span<const std::uint8_t> spawns, bool overlap);

}  // namespace socialgrid
