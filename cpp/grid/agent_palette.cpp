#include "grid/agent_palette.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/portable_math.hpp"
#include "grid/grid_tile.hpp"

namespace socialgrid {

AgentPalette::AgentPalette(const AgentLook& look) : look_(look) {
  if (std::find(look.colors.begin(), look.colors.end(), kPrestigeColor) != look.colors.end()) {
    // int(255 (1 - s)) and int(255 s) add up to 254 or 255.
    num_prestige_ = 512;
    for (int slot = 0; slot < num_prestige_; ++slot) {
      const int blue = slot / 2;
      const int red = (slot % 2 == 1 ? 255 : 254) - blue;
      colors_.push_back(red < 0 ? std::nullopt
                                : std::optional(Rgb{static_cast<std::uint8_t>(red), 0,
                                                    static_cast<std::uint8_t>(blue)}));
    }
    no_prestige_ = prestige_slot(0.0);
  }
  std::array<int, kNumColors> slots{};
  slots.fill(-1);
  for (const int color : look.colors) {
    if (color == kPrestigeColor) {
      fixed_slot_.push_back(-1);
      continue;
    }
    int& slot = slots[static_cast<std::size_t>(color)];
    if (slot < 0) {
      slot = size();
      colors_.emplace_back(kColorValues[static_cast<std::size_t>(color)]);
    }
    fixed_slot_.push_back(slot);
  }
}

int AgentPalette::prestige_slot(double prestige) const {
  const double scaled = prestige / look_.scale;
  const double share =
      look_.mapping == PrestigeMapping::kTanh ? portable_tanh(scaled) : portable_sigmoid(scaled);
  const int blue = static_cast<int>(255.0 * share);
  const int red = static_cast<int>(255.0 * (1.0 - share));
  return 2 * blue + (red + blue == 255 ? 1 : 0);
}

}  // namespace socialgrid
