// Maze (Ndousse et al. 2021): a random perfect maze, carved depth first, with one goal.
#include "grid/grid_game.hpp"

namespace socialgrid {
namespace {

void carve(World& world, Rng& rng) {
  std::fill(world.cells().begin(), world.cells().end(), kWall);
  const int room_rows = (world.rows() - 1) / 2;
  const int room_cols = (world.cols() - 1) / 2;
  const int start = static_cast<int>(rng.uniform_int(static_cast<std::uint32_t>(room_rows) *
                                                     static_cast<std::uint32_t>(room_cols)));
  std::vector<Position> path = {{1 + 2 * (start / room_cols), 1 + 2 * (start % room_cols)}};
  world.at(path.back()) = kEmpty;
  while (!path.empty()) {
    const Position here = path.back();
    std::array<int, 4> open{};
    std::uint32_t count = 0;
    for (int dir = 0; dir < 4; ++dir) {
      const Position room{here.row + 2 * kRowStep[dir], here.col + 2 * kColStep[dir]};
      if (world.contains(room) && world.at(room) == kWall) open[count++] = dir;
    }
    if (count == 0) {
      path.pop_back();
      continue;
    }
    const int dir = open[rng.uniform_int(count)];
    world.at({here.row + kRowStep[dir], here.col + kColStep[dir]}) = kEmpty;
    path.push_back({here.row + 2 * kRowStep[dir], here.col + 2 * kColStep[dir]});
    world.at(path.back()) = kEmpty;
  }
}

}  // namespace

GameEntry maze_game() {
  return {"Maze-v0",
          grid_options({.grid_size = 19, .min_size = 5, .max_steps = 250, .respawn = true}),
          [](const Config& config) {
            const auto [rows, cols] = config.size("grid_size");
            if (config.is_none("map") && (rows % 2 == 0 || cols % 2 == 0)) {
              config.fail("grid_size", "must be odd for a maze, not " + std::to_string(rows) +
                                           " x " + std::to_string(cols));
            }
            return std::make_shared<const GridGame>(
                config, GridGame::Setup{.generate = [](World& world, Rng& rng) {
                  carve(world, rng);
                  CellPool pool(world);
                  world.at(pool.take(rng)) = kGoal;
                }});
          }};
}

}  // namespace socialgrid
