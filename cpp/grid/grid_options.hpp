// The options that the MiniGrid-style games share.
#pragma once

#include <vector>

#include "core/config.hpp"
#include "core/option.hpp"

namespace socialgrid {

// Defaults in which the games of the family differ.
struct GridDefaults {
  int grid_size = 9;
  int min_size = 3;
  int max_steps = 100;
  int num_agents = 1;
  bool prestige_color = false;
  bool respawn = false;
  bool reward_decay = true;
};

// Options every game of the family has; a game appends its own.
std::vector<Option> grid_options(const GridDefaults& defaults);
// The options num_clutter and clutter_density.
std::vector<Option> clutter_options(double default_density);
// Number of clutter walls they ask for; both at once are an error unless they agree.
int clutter_count(const Config& config);

}  // namespace socialgrid
