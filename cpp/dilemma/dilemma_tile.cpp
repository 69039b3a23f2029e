#include "dilemma/dilemma_tile.hpp"

#include <algorithm>

namespace socialgrid::dilemma {
namespace {

constexpr std::array<Rgb, 9> kPublicColors = {{{0, 0, 255},
                                               {2, 81, 154},
                                               {204, 0, 204},
                                               {216, 30, 54},
                                               {254, 151, 0},
                                               {100, 255, 255},
                                               {99, 99, 255},
                                               {250, 204, 255},
                                               {238, 223, 16}}};

constexpr int kLevels = 7;  // of each channel; 343 colours
constexpr int kLevelStep = 42;

int squared_distance(Rgb a, Rgb b) {
  const int r = a.r - b.r, g = a.g - b.g, blue = a.b - b.b;
  return r * r + g * g + blue * blue;
}

}  // namespace

std::vector<Rgb> agent_colors(int num_agents) {
  const auto count = static_cast<std::size_t>(num_agents);
  std::vector<Rgb> colors(kPublicColors.begin(),
                          kPublicColors.begin() + std::min<std::ptrdiff_t>(num_agents, 9));
  if (colors.size() == count) return colors;
  std::vector<Rgb> lattice;
  for (int i = 0; i < kLevels * kLevels * kLevels; ++i) {
    const auto level = [](int n) { return static_cast<std::uint8_t>(n % kLevels * kLevelStep); };
    lattice.push_back({level(i / (kLevels * kLevels)), level(i / kLevels), level(i)});
  }
  std::vector<int> nearest(lattice.size(), 3 * 256 * 256);
  const auto take_into_account = [&](Rgb color) {
    for (std::size_t i = 0; i < lattice.size(); ++i) {
      nearest[i] = std::min(nearest[i], squared_distance(lattice[i], color));
    }
  };
  for (const TileTraits& tile : kTileTraits) take_into_account(tile.color);
  for (const Rgb color : kBeamColors) take_into_account(color);
  for (const Rgb color : colors) take_into_account(color);
  while (colors.size() < count) {
    const auto farthest = std::max_element(nearest.begin(), nearest.end());
    colors.push_back(lattice[static_cast<std::size_t>(farthest - nearest.begin())]);
    take_into_account(colors.back());
  }
  return colors;
}

}  // namespace socialgrid::dilemma
