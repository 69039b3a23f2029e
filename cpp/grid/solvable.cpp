#include "grid/solvable.hpp"

#include <algorithm>

#include "grid/grid_state.hpp"
#include "grid/grid_tile.hpp"

namespace socialgrid {
namespace {

bool is_locked(Tile tile) {
  return kTiles[tile].kind == TileKind::kDoor && kTiles[tile].door == DoorState::kLocked;
}

// Agents walk on from there, if need be after something has been put aside or opened.
bool can_cross(Tile tile) {
  const TileTraits& traits = kTiles[tile];
  return traits.kind == TileKind::kEmpty || traits.kind == TileKind::kCycle || traits.portable ||
         (traits.kind == TileKind::kDoor && traits.door != DoorState::kLocked);
}

std::uint32_t color_bit(Tile tile) { return 1u << kTiles[tile].color; }

template <typename Fn>
void for_each_neighbour(const World& world, std::size_t cell, Fn fn) {
  const int row = static_cast<int>(cell) / world.cols();
  const int col = static_cast<int>(cell) % world.cols();
  for (int dir = 0; dir < 4; ++dir) {
    const Position next{row + kRowStep[dir], col + kColStep[dir]};
    if (world.contains(next)) fn(world.index(next));
  }
}

class Search {
 public:
  explicit Search(const World& world) : world_(world), seen_by_(world.cells().size()) {
    for (const Tile tile : world.cells()) {
      num_cycle_cells_ += kTiles[tile].kind == TileKind::kCycle ? 1 : 0;
      has_goal_ |= tile == kGoal;
    }
    for (std::size_t a = 0; a < world.agents().size(); ++a) {
      const auto carrying = static_cast<Tile>(world.field(kCarrying)[a]);
      const bool holds_key = world.agents()[a].active() && kTiles[carrying].kind == TileKind::kKey;
      if (holds_key) carried_ |= color_bit(carrying);
    }
  }

  // Looks around from a cell. `region` becomes the cells between which agents go to and fro without
  // a key. Returns whether all is reached from there.
  bool solves(std::size_t start, std::vector<std::size_t>& region) {
    ++search_;
    queue_.clear();
    locked_.clear();
    std::size_t cycle_cells = 0;
    bool at_goal = false;
    std::uint32_t keys = carried_;
    const auto reach = [&](std::size_t cell) {
      if (seen_by_[cell] == search_) return;
      seen_by_[cell] = search_;
      const Tile tile = world_.cells()[cell];
      at_goal |= tile == kGoal;
      if (is_locked(tile)) locked_.push_back(cell);
      if (can_cross(tile)) queue_.push_back(cell);
    };
    reach(start);
    std::size_t head = 0;
    std::size_t in_region = 0;
    for (bool opened = true; opened;) {
      for (; head < queue_.size(); ++head) {
        const Tile tile = world_.cells()[queue_[head]];
        cycle_cells += kTiles[tile].kind == TileKind::kCycle ? 1 : 0;
        if (kTiles[tile].kind == TileKind::kKey) keys |= color_bit(tile);
        for_each_neighbour(world_, queue_[head], reach);
      }
      if (in_region == 0) in_region = queue_.size();
      const auto shut = std::partition(locked_.begin(), locked_.end(), [&](std::size_t door) {
        return (keys & color_bit(world_.cells()[door])) == 0;
      });
      opened = shut != locked_.end();
      queue_.insert(queue_.end(), shut, locked_.end());
      locked_.erase(shut, locked_.end());
    }
    region.assign(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(in_region));
    const bool around_cycle =
        cycle_cells == num_cycle_cells_ && (cycle_cells == 0 || queue_.size() > 1);
    return around_cycle && (at_goal || !has_goal_);
  }

 private:
  const World& world_;
  std::vector<std::size_t> seen_by_;  // number of the last search that came by
  std::size_t search_ = 0;
  std::vector<std::size_t> queue_;
  std::vector<std::size_t> locked_;
  std::size_t num_cycle_cells_ = 0;
  bool has_goal_ = false;
  std::uint32_t carried_ = 0;  // colours of the keys in agents' hands
};

}  // namespace

std::vector<std::uint8_t> solving_cells(const World& world) {
  enum : std::uint8_t { kNo, kYes, kUnknown };
  const std::span<const Tile> cells = world.cells();
  std::vector<std::uint8_t> solves(cells.size(), kUnknown);
  Search search(world);
  std::vector<std::size_t> region;
  for (std::size_t cell = 0; cell < cells.size(); ++cell) {
    if (solves[cell] != kUnknown || !can_cross(cells[cell])) continue;
    const bool found = search.solves(cell, region);
    for (const std::size_t one : region) solves[one] = found ? kYes : kNo;
  }
  // Who starts on a goal goes off it first.
  for (std::size_t cell = 0; cell < cells.size(); ++cell) {
    if (solves[cell] != kUnknown) continue;
    bool found = false;
    if (cells[cell] == kGoal) {
      for_each_neighbour(world, cell, [&](std::size_t next) {
        found |= can_cross(cells[next]) && solves[next] == kYes;
      });
    }
    solves[cell] = found ? kYes : kNo;
  }
  return solves;
}

}  // namespace socialgrid
