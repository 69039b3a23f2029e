#include "socialgrid/growth.hpp"

#include <algorithm>
#include <utility>

#include "socialgrid/dilemma_tile.hpp"

namespace socialgrid {
namespace {

using dilemma::kApple;
using dilemma::kGround;
using dilemma::kRiver;
using dilemma::kWaste;

}  // namespace

AppleRegrowth::AppleRegrowth(std::vector<std::uint16_t> cells,
                             const std::array<double, 4>& probabilities,
                             Neighbourhood neighbourhood)
    : cells_(std::move(cells)), neighbourhood_(neighbourhood) {
  std::transform(probabilities.begin(), probabilities.end(), chances_.begin(),
                 [](double p) { return Chance(p); });
}

void AppleRegrowth::grow(World& world, const Crowd& crowd, Rng& rng) const {
  const int radius = neighbourhood_ == Neighbourhood::kPublic ? 1 : 2;
  const int reach = neighbourhood_ == Neighbourhood::kPublic ? 2 : 4;
  std::array<std::uint16_t, kMaxSide * kMaxSide> grown;
  std::size_t count = 0;
  for (const std::uint16_t cell : cells_) {
    if (world.cells()[cell] == kApple || !crowd.is_free(cell)) continue;
    const int row = cell / world.cols(), col = cell % world.cols();
    std::size_t near = 0;
    for (int dr = -radius; dr <= radius; ++dr) {
      for (int dc = -radius; dc <= radius; ++dc) {
        const Position p{row + dr, col + dc};
        if (dr * dr + dc * dc <= reach && world.contains(p) && world.at(p) == kApple) ++near;
      }
    }
    const Chance& chance = chances_[std::min<std::size_t>(near, 3)];
    if (chance.possible() && chance.happens(rng)) grown[count++] = cell;
  }
  for (std::size_t i = 0; i < count; ++i) world.cells()[grown[i]] = kApple;
}

RiverGrowth::RiverGrowth(std::vector<std::uint16_t> apple_cells,
                         std::vector<std::uint16_t> waste_cells, const Rules& rules)
    : apple_cells_(std::move(apple_cells)),
      waste_cells_(std::move(waste_cells)),
      waste_grows_(rules.waste_probability > 0) {
  const double depletion = rules.depletion_threshold, restoration = rules.restoration_threshold;
  const std::size_t possible = waste_cells_.size();
  for (std::size_t waste = 0; waste <= possible; ++waste) {
    const double density =
        possible == 0 ? 0.0 : static_cast<double>(waste) / static_cast<double>(possible);
    if (density < depletion) first_depleted_ = waste + 1;
    const double share = 1 - (density - restoration) / (depletion - restoration);
    apple_chance_.emplace_back(rules.apple_probability * std::clamp(share, 0.0, 1.0));
  }
  double none = 1.0;
  for (std::size_t tried = 0; tried <= possible; ++tried, none *= 1 - rules.waste_probability) {
    none_succeeds_.push_back(none);
  }
}

void RiverGrowth::grow(World& world, const Crowd& crowd, Rng& rng) const {
  const std::span<Tile> cells = world.cells();
  const auto waste = static_cast<std::size_t>(std::count(cells.begin(), cells.end(), kWaste));
  if (waste >= first_depleted_) return;
  if (const Chance& chance = apple_chance_[waste]; chance.possible()) {
    for (const std::uint16_t cell : apple_cells_) {
      if (cells[cell] == kGround && crowd.is_free(cell) && chance.happens(rng)) {
        cells[cell] = kApple;
      }
    }
  }
  if (!waste_grows_) return;
  const auto may_become_waste = [&](std::uint16_t cell) {
    return cells[cell] != kWaste && crowd.is_free(cell);
  };
  const auto tried = static_cast<std::size_t>(
      std::count_if(waste_cells_.begin(), waste_cells_.end(), may_become_waste));
  if (tried == 0 || rng.uniform() < none_succeeds_[tried]) return;
  std::uint32_t chosen = rng.uniform_int(static_cast<std::uint32_t>(tried));
  for (const std::uint16_t cell : waste_cells_) {
    if (may_become_waste(cell) && chosen-- == 0) {
      cells[cell] = kWaste;
      return;
    }
  }
}

}  // namespace socialgrid
