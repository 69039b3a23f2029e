#include "grid/generation.hpp"

#include "core/config.hpp"
#include "grid/grid_tile.hpp"

namespace socialgrid {

CellPool::CellPool(const World& world, int cols) {
  if (cols < 0) cols = world.cols();
  for (int row = 0; row < world.rows(); ++row) {
    for (int col = 0; col < cols; ++col) {
      if (world.at({row, col}) == kEmpty) cells_.push_back({row, col});
    }
  }
}

Position CellPool::take(Rng& rng) {
  if (cells_.empty()) throw ConfigError("the grid is too small for all objects to be placed");
  const std::uint32_t k = rng.uniform_int(static_cast<std::uint32_t>(cells_.size()));
  const Position taken = cells_[k];
  cells_[k] = cells_.back();
  cells_.pop_back();
  return taken;
}

void draw_frame(World& world) {
  const int last_row = world.rows() - 1;
  const int last_col = world.cols() - 1;
  for (int col = 0; col <= last_col; ++col) world.at({0, col}) = world.at({last_row, col}) = kWall;
  for (int row = 0; row <= last_row; ++row) world.at({row, 0}) = world.at({row, last_col}) = kWall;
}

}  // namespace socialgrid
