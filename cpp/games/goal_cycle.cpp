// GoalCycle (Ndousse et al. 2021): goals that look alike pay only when visited in their hidden
// order.
#include "grid/grid_game.hpp"

namespace socialgrid {

GameEntry goal_cycle_game() {
  std::vector<Option> options = option::joined(
      {grid_options({.grid_size = 13,
                     .min_size = 4,
                     .max_steps = 250,
                     .num_agents = 3,
                     .prestige_color = true,
                     .reward_decay = false}),
       clutter_options(0.15),
       {option::integer("num_goals", 3, {1, kMaxCycleTiles}, "tiles in the cycle").of_layout(),
        option::number("reward", 1.0, {0, 1e6}, "for the next tile of the cycle"),
        option::number("penalty", 1.5, {-1e6, 1e6},
                       "its absolute value is taken for any other tile"),
        option::flag("initial_reward", true, "the first tile of an episode pays too"),
        option::flag("reset_on_mistake", false, "after a wrong tile the cycle goes on from it")}});
  return {"GoalCycle-v0", std::move(options), [](const Config& config) {
            const int goals = config.integer("num_goals");
            const int clutter = clutter_count(config);
            const auto generate = [=](World& world, Rng& rng) {
              draw_frame(world);
              CellPool pool(world);
              for (int i = 0; i < goals; ++i) {
                world.at(pool.take(rng)) = static_cast<Tile>(kFirstCycle + i);
              }
              for (int i = 0; i < clutter; ++i) world.at(pool.take(rng)) = kWall;
            };
            return std::make_shared<const GridGame>(
                config,
                GridGame::Setup{.generate = generate,
                                .cycle = {.reward = config.number("reward"),
                                          .penalty = config.number("penalty"),
                                          .initial_reward = config.flag("initial_reward"),
                                          .reset_on_mistake = config.flag("reset_on_mistake")},
                                .num_cycle_tiles = goals});
          }};
}

}  // namespace socialgrid
