// One environment's mutable state in one contiguous block: a header, the agents, what the game
// declares of agents and of the world (fields.hpp), and planes of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "core/fields.hpp"
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
  std::uint16_t reserved = 0;
  std::int32_t last_action = -1;  // -1 before the first step of an episode

  // In play: it fills a cell and sees.
  bool active() const { return status == AgentStatus::kActive || status == AgentStatus::kLeaving; }
  // Its figure is on the grid.
  bool shown() const { return status != AgentStatus::kWaiting; }
  Position position() const { return {row, col}; }
};

struct WorldHeader {
  StreamState stream;
  std::int32_t step = 0;
  std::int32_t reserved = 0;
};

// Snapshots of equal worlds are equal: there are no bytes between the members.
static_assert(std::has_unique_object_representations_v<Agent>);
static_assert(std::has_unique_object_representations_v<WorldHeader>);

// Sizes of the block and what lies where in it; the same for all environments of a batch.
class WorldShape {
 public:
  WorldShape() = default;
  // has_cells: a plane of bytes says what each cell holds.
  WorldShape(int rows, int cols, int num_agents, bool has_cells = true);

  int rows = 0;
  int cols = 0;
  int num_agents = 0;

  // Another value of every agent, of 4 or 8 bytes; another integer of the world; another plane.
  void add_field(std::size_t bytes_each);
  void add_value();
  void add_plane();

  std::size_t num_cells() const {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols);
  }
  bool has_cells() const { return cell_bytes_ > 0; }
  std::size_t num_planes() const { return num_planes_; }  // besides that of cells
  std::size_t bytes() const { return bytes_; }

 private:
  friend class World;
  void arrange();

  std::vector<std::size_t> field_bytes_;  // of each agent's value
  std::size_t num_values_ = 0;
  std::size_t num_planes_ = 0;
  std::size_t cell_bytes_ = 0;  // of the plane of cells
  // Where things begin in the block.
  std::vector<std::size_t> field_at_;
  std::size_t values_at_ = 0;
  std::size_t cells_at_ = 0;
  std::size_t bytes_ = 0;
};

// A view of one block; copying the view does not copy the state.
class World {
 public:
  World(const WorldShape& shape, std::byte* block) : shape_(&shape), block_(block) {}

  // Puts a fresh header and agents at the start of the block, and zeros everywhere else.
  void construct();

  const WorldShape& shape() const { return *shape_; }
  int rows() const { return shape_->rows; }
  int cols() const { return shape_->cols; }

  WorldHeader& header() { return *reinterpret_cast<WorldHeader*>(block_); }
  const WorldHeader& header() const { return *reinterpret_cast<const WorldHeader*>(block_); }
  std::span<Agent> agents() {
    return {begin_of<Agent>(sizeof(WorldHeader)), static_cast<std::size_t>(shape_->num_agents)};
  }
  std::span<const Agent> agents() const {
    return {begin_of<Agent>(sizeof(WorldHeader)), static_cast<std::size_t>(shape_->num_agents)};
  }

  // What the game declares: a value of each agent, an integer of the world.
  template <typename T>
  std::span<T> field(Field<T> field) {
    return {begin_of<T>(shape_->field_at_[field.index]),
            static_cast<std::size_t>(shape_->num_agents)};
  }
  template <typename T>
  std::span<const T> field(Field<T> field) const {
    return {begin_of<T>(shape_->field_at_[field.index]),
            static_cast<std::size_t>(shape_->num_agents)};
  }
  template <typename T>
  T& value(WorldValue<T> value) {
    return begin_of<T>(shape_->values_at_)[value.index];
  }
  template <typename T>
  T value(WorldValue<T> value) const {
    return begin_of<T>(shape_->values_at_)[value.index];
  }

  // Empty for games without such a plane.
  std::span<Tile> cells() { return {begin_of<Tile>(shape_->cells_at_), shape_->cell_bytes_}; }
  std::span<const Tile> cells() const {
    return {begin_of<Tile>(shape_->cells_at_), shape_->cell_bytes_};
  }
  // The planes besides that of cells, which has to be there.
  std::span<std::uint8_t> plane(std::size_t index) {
    return {plane_begin(index), shape_->num_cells()};
  }
  std::span<const std::uint8_t> plane(std::size_t index) const {
    return {plane_begin(index), shape_->num_cells()};
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
  template <typename T>
  T* begin_of(std::size_t offset) const {
    return reinterpret_cast<T*>(block_ + offset);
  }
  std::uint8_t* plane_begin(std::size_t index) const {
    return begin_of<std::uint8_t>(shape_->cells_at_ + (index + 1) * shape_->num_cells());
  }

  const WorldShape* shape_;
  std::byte* block_;
};

}  // namespace socialgrid
