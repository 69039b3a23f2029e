#include "grid/grid_options.hpp"

#include <string>

#include "core/game.hpp"
#include "core/map.hpp"
#include "grid/grid_tile.hpp"

namespace socialgrid {
namespace {

std::vector<std::string> color_choices() {
  std::vector<std::string> names(kColorNames.begin(), kColorNames.end());
  names.emplace_back("prestige");
  return names;
}

int clutter_of_density(const Config& config) {
  const auto [rows, cols] = config.size("grid_size");
  return static_cast<int>(config.number("clutter_density") * (cols - 2) * (rows - 2));
}

}  // namespace

std::vector<Option> grid_options(const GridDefaults& defaults) {
  const std::vector<std::string> kinds(kTileKindNames.begin() + 1, kTileKindNames.end());
  const double min_size = defaults.min_size;
  return {
      option::integer("num_agents", defaults.num_agents, {1, kMaxAgents}, "agents per world"),
      option::integer("grid_size", defaults.grid_size, {min_size, kMaxSide},
                      "cells a side, or [rows, columns], walls included")
          .size()
          .of_layout(),
      option::integer("max_steps", defaults.max_steps, {1, 1e9}, "steps until truncation"),
      option::text("map", {},
                   "own map: one string a row of . # 0-9 G L D K O B, and P where agents may start")
          .list(),
      option::integer("view_size", 7, {3, kMaxViewSize}, "tiles a side of the view, odd"),
      option::integer("view_offset", 1, {0, kMaxViewSize - 1}, "rows seen behind the agent"),
      option::integer("tile_size", 3, {1, 64}, "pixels a side of a tile"),
      option::flag("see_through_walls", false, "switch occlusion off").per_agent(),
      option::choice("hide", Value::List{}, kinds,
                     "object kinds removed from an agent's view; goal covers cycle tiles")
          .list_per_agent(),
      option::choice("color", defaults.prestige_color ? Value("prestige") : Value(),
                     color_choices(), "agents' colours; prestige: red to blue by recent reward")
          .per_agent(),
      option::choice("prestige_mapping", "tanh", {"tanh", "sigmoid"},
                     "how prestige becomes a share of blue"),
      option::number("prestige_decay", 0.95, {0, 1}, "factor on prestige every step"),
      option::number("prestige_scale", 2.0, {1e-9, 1e9}, "prestige is divided by it"),
      option::flag("ghost_mode", true, "agents overlap freely"),
      option::flag("respawn", defaults.respawn,
                   "an agent that reached a goal or lava is placed again"),
      option::flag("reward_decay", defaults.reward_decay,
                   "multiply rewards by 1 - 0.9 step / max_steps"),
      option::integer("spawn_delay", 0, {0, 1e9}, "steps before an agent enters play").per_agent(),
      option::flag("solvable", false,
                   "every agent can reach a goal, and all tiles of the cycle, from where it enters "
                   "play; worlds in which one cannot are drawn anew"),
  };
}

std::vector<Option> clutter_options(double default_density) {
  return {option::integer("num_clutter", {}, {0, static_cast<double>(kMaxSide) * kMaxSide},
                          "walls placed at random")
              .of_layout(),
          option::number("clutter_density", default_density, {0, 1},
                         "the same as a share of the cells inside the frame")
              .of_layout()};
}

int clutter_count(const Config& config) {
  if (config.given("num_clutter")) {
    const int count = config.integer("num_clutter");
    if (config.given("clutter_density") && count != clutter_of_density(config)) {
      config.fail("num_clutter", "and clutter_density are both given; give one of them");
    }
    return count;
  }
  return clutter_of_density(config);
}

}  // namespace socialgrid
