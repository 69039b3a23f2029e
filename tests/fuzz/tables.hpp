// One batch of each game with most of what it has, for the targets that write into running games.
#pragma once

#include "fuzz.hpp"

namespace socialgrid::fuzz {

inline Table& table(std::size_t which) {
  static const std::vector<std::unique_ptr<Table>> tables = [] {
    std::vector<std::unique_ptr<Table>> made;
    for (const GameEntry& entry : games()) {
      Values values;
      for (const Option& option : entry.options) {
        if (option.name == "num_agents")
          values["num_agents"] = static_cast<int>(std::min(option.high, 3.0));
        if (option.name == "max_steps") values["max_steps"] = 40;
      }
      auto game = make_game(entry.name, values);
      const ObsMode mode = game->obs_modes().back();
      made.push_back(std::make_unique<Table>(std::move(game), mode));
    }
    const Value::List map = {"########", "#P.DK.P#", "#0.1BOL#", "#P...2G#", "########"};
    made.push_back(std::make_unique<Table>(
        make_game("GoalCycle-v0", {{"map", map}, {"num_agents", 2}, {"max_steps", 40}}),
        ObsMode::kTiles));
    return made;
  }();
  return *tables[which % tables.size()];
}

}  // namespace socialgrid::fuzz
