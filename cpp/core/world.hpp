// One environment's mutable state: a header, the agents and byte planes in one contiguous block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/rng.hpp"
#include "core/tile.hpp"

namespace socialgrid {

// Directions everywhere: 0 right, 1 down, 2 left, 3 up.
inline constexpr int kRowStep[4] = {0, 1, 0, -1};
inline constexpr int kColStep[4] = {1, 0, -1, 0};

struct Position {
  int row = -1;
  int col = -1;
  friend bool operator==(const Position&, const Position&) = default;
};

enum class AgentStatus : std::uint8_t {
  kWaiting,  // not yet in play
  kActive,
  kLeaving,  // its play ended in this step; still in its cell until the step's last pass
  kEnded     // out of play; the MiniGrid-style games still draw it where it ended
};

struct Agent {
  std::int16_t row = -1;
  std::int16_t col = -1;
  std::uint8_t dir = 0;
  AgentStatus status = AgentStatus::kWaiting;
  Tile carrying = kEmpty;         // kEmpty: hands empty
  std::int8_t last_tile = -1;     // index of the last rewarded cycle tile, -1 none
  std::int32_t last_action = -1;  // -1 before the first step of an episode
  std::uint32_t arrival = 0;      // smaller: entered its cell earlier
  double prestige = 0.0;

  // In play: it fills a cell and sees.
  bool active() const { return status == AgentStatus::kActive || status == AgentStatus::kLeaving; }
  // Its figure is on the grid.
  bool shown() const { return status != AgentStatus::kWaiting; }
  Position position() const { return {row, col}; }
};

struct WorldHeader {
  StreamState stream;
  std::int32_t step = 0;
  std::uint32_t arrivals = 0;   // hands out Agent::arrival
  std::int16_t spawn_cols = 0;  // agents are placed in columns below this one (DoorKey)
  std::uint8_t goal_row = 0;    // of the rooms, which keep no plane of cells
  std::uint8_t goal_col = 0;
  std::int32_t beams = 0;  // 0: the plane of beams is empty

  Position goal() const { return {goal_row, goal_col}; }
};

// Sizes of the block; the same for all environments of a batch.
struct WorldShape {
  int rows = 0;
  int cols = 0;
  int num_agents = 0;
  bool has_cells = true;   // a plane: what each cell holds
  bool has_beams = false;  // a second plane: which beam covered a cell in the last step

  std::size_t num_cells() const {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols);
  }
  std::size_t plane_bytes() const {
    return ((has_cells ? 1 : 0) + (has_beams ? 1 : 0)) * num_cells();
  }
  std::size_t bytes() const {
    const std::size_t used =
        sizeof(WorldHeader) + static_cast<std::size_t>(num_agents) * sizeof(Agent) + plane_bytes();
    // Rows of cells may be read 16 bytes at a time.
    return (used + (has_cells ? 16 : 0) + 15) / 16 * 16;
  }
};

// A view of one block; copying the view does not copy the state.
class World {
 public:
  World(const WorldShape& shape, std::byte* block) : shape_(&shape), block_(block) {}

  // Puts a fresh header and agents at the start of zeroed memory.
  void construct() {
    new (block_) WorldHeader{};
    for (int i = 0; i < shape_->num_agents; ++i) new (&agents_begin()[i]) Agent{};
    std::memset(cells_begin(), kEmpty, shape_->plane_bytes());
  }

  const WorldShape& shape() const { return *shape_; }
  int rows() const { return shape_->rows; }
  int cols() const { return shape_->cols; }

  WorldHeader& header() { return *reinterpret_cast<WorldHeader*>(block_); }
  const WorldHeader& header() const { return *reinterpret_cast<const WorldHeader*>(block_); }
  std::span<Agent> agents() {
    return {agents_begin(), static_cast<std::size_t>(shape_->num_agents)};
  }
  std::span<const Agent> agents() const {
    return {agents_begin(), static_cast<std::size_t>(shape_->num_agents)};
  }
  // Empty for games without such a plane.
  std::span<Tile> cells() { return {cells_begin(), shape_->has_cells ? shape_->num_cells() : 0}; }
  std::span<const Tile> cells() const {
    return {cells_begin(), shape_->has_cells ? shape_->num_cells() : 0};
  }

  // 0 where no beam passed; empty for games without beams.
  std::span<std::uint8_t> beams() {
    return {cells_begin() + shape_->num_cells(), shape_->has_beams ? shape_->num_cells() : 0};
  }
  std::span<const std::uint8_t> beams() const {
    return {cells_begin() + shape_->num_cells(), shape_->has_beams ? shape_->num_cells() : 0};
  }

  bool contains(Position p) const {
    return p.row >= 0 && p.col >= 0 && p.row < rows() && p.col < cols();
  }
  std::size_t index(Position p) const {
    return static_cast<std::size_t>(p.row) * static_cast<std::size_t>(cols()) +
           static_cast<std::size_t>(p.col);
  }
  Tile& at(Position p) { return cells()[index(p)]; }
  Tile at(Position p) const { return cells()[index(p)]; }

  std::span<std::byte> block() { return {block_, shape_->bytes()}; }
  std::span<const std::byte> block() const { return {block_, shape_->bytes()}; }

 private:
  Agent* agents_begin() const { return reinterpret_cast<Agent*>(block_ + sizeof(WorldHeader)); }
  Tile* cells_begin() const {
    return reinterpret_cast<Tile*>(block_ + sizeof(WorldHeader) +
                                   static_cast<std::size_t>(shape_->num_agents) * sizeof(Agent));
  }

  const WorldShape* shape_;
  std::byte* block_;
};

}  // namespace socialgrid
