// Cluttered: a goal in the corner or anywhere, and walls strewn at random.
#include "grid/grid_game.hpp"

namespace socialgrid {

GameEntry cluttered_game() {
  std::vector<Option> options = option::joined(
      {grid_options({.grid_size = 11, .min_size = 4}),
       clutter_options(0.15),
       {option::flag("randomize_goal", false, "put the goal on a random cell instead of the corner")
            .of_layout()}});
  return {"Cluttered-v0", std::move(options), [](const Config& config) {
            const int clutter = clutter_count(config);
            const bool randomize_goal = config.flag("randomize_goal");
            const auto generate = [=](World& world, Rng& rng) {
              draw_frame(world);
              if (!randomize_goal) world.at({world.rows() - 2, world.cols() - 2}) = kGoal;
              CellPool pool(world);
              if (randomize_goal) world.at(pool.take(rng)) = kGoal;
              for (int i = 0; i < clutter; ++i) world.at(pool.take(rng)) = kWall;
            };
            return std::make_shared<const GridGame>(config, GridGame::Setup{.generate = generate});
          }};
}

}  // namespace socialgrid
