// The colours of agents in the MiniGrid-style games.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "core/tile.hpp"
#include "grid/egocentric_view.hpp"

namespace socialgrid {

// Colours an agent can have, as small numbers: the prestige colours first where a game has them.
class AgentPalette {
 public:
  explicit AgentPalette(const AgentLook& look);
  int size() const { return static_cast<int>(colors_.size()); }
  int slot(std::size_t agent, double prestige) const {
    if (fixed_slot_[agent] >= 0) return fixed_slot_[agent];
    return prestige == 0.0 ? no_prestige_ : prestige_slot(prestige);
  }
  // The colour of a slot; nothing for slots that never occur.
  std::optional<Rgb> color(int slot) const { return colors_[static_cast<std::size_t>(slot)]; }
  bool is_prestige(int slot) const { return slot < num_prestige_; }

 private:
  int prestige_slot(double prestige) const;

  AgentLook look_;
  int num_prestige_ = 0;
  int no_prestige_ = 0;  // of no prestige
  std::vector<std::optional<Rgb>> colors_;
  std::vector<int> fixed_slot_;  // per agent; -1: prestige
};

}  // namespace socialgrid
