#include "core/layout.hpp"

#include <algorithm>

namespace socialgrid {

void check_one_entry_per_agent(const Layout& layout, std::size_t num_agents) {
  const auto check = [&](const char* field, std::size_t count, bool may_be_empty) {
    if (count != num_agents && !(may_be_empty && count == 0)) {
      throw LayoutError(std::string(field) + " has " + std::to_string(count) + " entries for " +
                        std::to_string(num_agents) + " agents");
    }
  };
  check("agent_pos", layout.agent_pos.size(), false);
  check("agent_dir", layout.agent_dir.size(), false);
  check("agent_active", layout.agent_active.size(), true);
  check("agent_carrying", layout.agent_carrying.size(), true);
  check("agent_prestige", layout.agent_prestige.size(), true);
  check("agent_last_tile", layout.agent_last_tile.size(), true);
}

void refuse_grid_details(const Layout& layout, const std::string& game) {
  const auto refuse = [&](const char* field, bool given) {
    if (given) throw LayoutError(std::string(field) + " has no meaning in " + game);
  };
  refuse("agent_carrying", std::any_of(layout.agent_carrying.begin(), layout.agent_carrying.end(),
                                       [](const auto& thing) { return thing.has_value(); }));
  refuse("agent_prestige", std::any_of(layout.agent_prestige.begin(), layout.agent_prestige.end(),
                                       [](double prestige) { return prestige != 0; }));
  refuse("agent_last_tile",
         std::any_of(layout.agent_last_tile.begin(), layout.agent_last_tile.end(),
                     [](const auto& tile) { return tile.has_value(); }));
  refuse("details", !layout.details.empty());
}

std::string place_text(int row, int col) {
  std::string text = "(";
  text += std::to_string(row) + ", " + std::to_string(col) + ")";
  return text;
}

}  // namespace socialgrid
