// Empty: a walled room with a goal in the bottom-right corner.
#include "grid/grid_game.hpp"

namespace socialgrid {

GameEntry empty_game() {
  return {"Empty-v0", grid_options({.grid_size = 9, .min_size = 4}), [](const Config& config) {
            return std::make_shared<const GridGame>(
                config, GridGame::Setup{.generate = [](World& world, Rng&) {
                  draw_frame(world);
                  world.at({world.rows() - 2, world.cols() - 2}) = kGoal;
                }});
          }};
}

}  // namespace socialgrid
