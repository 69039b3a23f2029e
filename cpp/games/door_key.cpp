// DoorKey: a locked door between the agents with the key on the left and the goal on the right.
#include "grid/grid_game.hpp"

namespace socialgrid {
namespace {

constexpr int kYellow = 6;

void generate(World& world, Rng& rng) {
  draw_frame(world);
  world.at({world.rows() - 2, world.cols() - 2}) = kGoal;
  const int split =
      2 + static_cast<int>(rng.uniform_int(static_cast<std::uint32_t>(world.cols() - 4)));
  for (int row = 0; row < world.rows(); ++row) world.at({row, split}) = kWall;
  const int door_row =
      1 + static_cast<int>(rng.uniform_int(static_cast<std::uint32_t>(world.rows() - 2)));
  world.at({door_row, split}) = static_cast<Tile>(kFirstLockedDoor + kYellow);
  CellPool left(world, split);
  world.at(left.take(rng)) = static_cast<Tile>(kFirstKey + kYellow);
  world.value(kSpawnCols) = split;
}

}  // namespace

GameEntry door_key_game() {
  return {"DoorKey-v0", grid_options({.grid_size = 8, .min_size = 5}), [](const Config& config) {
            const int rows = config.size("grid_size").first;
            const int agents = config.integer("num_agents");
            // The narrowest left part is one column, which also holds the key.
            if (config.is_none("map") && !config.flag("ghost_mode") && agents > rows - 3) {
              config.fail("num_agents", "= " + std::to_string(agents) +
                                            " without ghost_mode needs "
                                            "grid_size of at least " +
                                            std::to_string(agents + 3) + " rows");
            }
            return std::make_shared<const GridGame>(
                config, GridGame::Setup{.generate = generate, .has_objects = true});
          }};
}

}  // namespace socialgrid
