// What draws the worlds of the MiniGrid-style games: a generator, and tools for it.
#pragma once

#include <functional>
#include <vector>

#include "core/rng.hpp"
#include "core/world.hpp"

namespace socialgrid {

// Empty cells in row-major order, taken one by one at random.
class CellPool {
 public:
  // The empty cells of columns below `cols` (all columns if negative).
  explicit CellPool(const World& world, int cols = -1);
  // Takes a random cell out. Throws ConfigError if there is none left.
  Position take(Rng& rng);

 private:
  std::vector<Position> cells_;
};

// Surrounds the grid with wall.
void draw_frame(World& world);

// Fills the cells of an empty world; agents are placed afterwards by the rules.
using Generator = std::function<void(World&, Rng&)>;

}  // namespace socialgrid
