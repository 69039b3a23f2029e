// FourRooms (Ndousse et al. 2021): two crossing walls with a gap in each of their four arms.
#include "grid/grid_game.hpp"

namespace socialgrid {
namespace {

void generate(World& world, Rng& rng, int clutter) {
  draw_frame(world);
  const int middle_row = world.rows() / 2;
  const int middle_col = world.cols() / 2;
  for (int row = 0; row < world.rows(); ++row) world.at({row, middle_col}) = kWall;
  for (int col = 0; col < world.cols(); ++col) world.at({middle_row, col}) = kWall;
  const auto within = [&](int first, int count) {
    return first + static_cast<int>(rng.uniform_int(static_cast<std::uint32_t>(count)));
  };
  // Arms: up, down, left, right.
  const Position up{within(1, middle_row - 1), middle_col};
  const Position down{within(middle_row + 1, world.rows() - 2 - middle_row), middle_col};
  const Position left{middle_row, within(1, middle_col - 1)};
  const Position right{middle_row, within(middle_col + 1, world.cols() - 2 - middle_col)};
  CellPool pool(world);  // without the gaps, which stay open
  for (const Position gap : {up, down, left, right}) world.at(gap) = kEmpty;
  world.at(pool.take(rng)) = kGoal;
  for (int i = 0; i < clutter; ++i) world.at(pool.take(rng)) = kWall;
}

}  // namespace

GameEntry four_rooms_game() {
  std::vector<Option> options = option::joined(
      {grid_options({.grid_size = 17, .min_size = 7, .max_steps = 250, .respawn = true}),
       clutter_options(0.05)});
  return {"FourRooms-v0", std::move(options), [](const Config& config) {
            const int clutter = clutter_count(config);
            return std::make_shared<const GridGame>(
                config, GridGame::Setup{.generate = [clutter](World& world, Rng& rng) {
                  generate(world, rng, clutter);
                }});
          }};
}

}  // namespace socialgrid
