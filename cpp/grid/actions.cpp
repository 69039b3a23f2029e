#include "grid/actions.hpp"

#include <algorithm>

#include "grid/grid_state.hpp"
#include "grid/grid_tile.hpp"

namespace socialgrid {
namespace {

bool is_place(const World& world, std::span<const std::uint8_t> spawns, bool overlap, Position p) {
  const Tile tile = world.at(p);
  return kTiles[tile].walkable && tile != kLava && p.col < world.value(kSpawnCols) &&
         (spawns.empty() || spawns[world.index(p)] != 0) && (overlap || !occupied(world, p));
}

}  // namespace

bool occupied(const World& world, Position p) {
  return std::any_of(world.agents().begin(), world.agents().end(),
                     [&](const Agent& agent) { return agent.active() && agent.position() == p; });
}

bool move_forward(World& world, std::size_t a, bool overlap) {
  Agent& agent = world.agents()[a];
  const Position target = ahead(agent);
  if (!world.contains(target) || !kTiles[world.at(target)].walkable) return false;
  if (!overlap && occupied(world, target)) return false;
  agent.row = static_cast<std::int16_t>(target.row);
  agent.col = static_cast<std::int16_t>(target.col);
  world.field(kArrival)[a] = world.value(kArrivals)++;
  return true;
}

void handle_object(World& world, std::size_t agent, GridAction action) {
  const Position target = ahead(world.agents()[agent]);
  if (!world.contains(target)) return;
  std::int32_t& carrying = world.field(kCarrying)[agent];
  Tile& tile = world.at(target);
  const TileTraits& traits = kTiles[tile];
  switch (action) {
    case GridAction::kPickUp:
      if (traits.portable && carrying == kEmpty) {
        carrying = tile;
        tile = kEmpty;
      }
      return;
    case GridAction::kDrop:
      if (carrying != kEmpty && tile == kEmpty && !occupied(world, target)) {
        tile = static_cast<Tile>(carrying);
        carrying = kEmpty;
      }
      return;
    case GridAction::kToggle:
      if (traits.kind == TileKind::kBox) {
        tile = kEmpty;
      } else if (traits.kind == TileKind::kDoor) {
        const auto with_state = [&](Tile first) { return static_cast<Tile>(first + traits.color); };
        if (traits.door == DoorState::kLocked) {
          if (carrying == with_state(kFirstKey)) tile = with_state(kFirstClosedDoor);
        } else if (traits.door == DoorState::kClosed) {
          tile = with_state(kFirstOpenDoor);
        } else if (!occupied(world, target)) {
          tile = with_state(kFirstClosedDoor);
        }
      }
      return;
    default:
      return;
  }
}

bool place_agent(World& world, std::size_t a, std::span<const std::uint8_t> spawns, bool overlap,
                 Rng& rng) {
  const int count = count_places(world, spawns, overlap);
  if (count == 0) return false;
  std::uint32_t chosen = rng.uniform_int(static_cast<std::uint32_t>(count));
  for (int row = 0; row < world.rows(); ++row) {
    for (int col = 0; col < world.cols(); ++col) {
      if (!is_place(world, spawns, overlap, {row, col}) || chosen-- != 0) continue;
      Agent& agent = world.agents()[a];
      agent.row = static_cast<std::int16_t>(row);
      agent.col = static_cast<std::int16_t>(col);
      agent.dir = static_cast<std::uint8_t>(rng.uniform_int(4));
      agent.status = AgentStatus::kActive;
      world.field(kArrival)[a] = world.value(kArrivals)++;
      return true;
    }
  }
  return false;
}

int count_places(const World& world, std::span<const std::uint8_t> spawns, bool overlap) {
  int count = 0;
  for (int row = 0; row < world.rows(); ++row) {
    for (int col = 0; col < world.cols(); ++col) {
      count += is_place(world, spawns, overlap, {row, col}) ? 1 : 0;
    }
  }
  return count;
}

}  // namespace socialgrid
