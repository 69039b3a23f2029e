#include "dilemma/growth.hpp"

#include <algorithm>
#include <array>

#include "dilemma/dilemma_tile.hpp"

namespace socialgrid {
namespace {

using dilemma::kApple;
using dilemma::kGround;
using dilemma::kWaste;

CellBits bits_of(std::size_t num_cells, std::span<const std::uint16_t> cells) {
  CellBits bits(num_cells);
  for (const std::uint16_t cell : cells) bits.insert(cell);
  return bits;
}

void erase_agents(CellBits& cells, const World& world) {
  for (const Agent& agent : world.agents()) {
    if (agent.active()) cells.erase(world.index(agent.position()));
  }
}

constexpr int kReach = 2;  // rows and columns to the farthest neighbour
constexpr std::size_t kMostMargin = (kReach * (kMaxSide + 1)) / 64 + 2;

}  // namespace

AppleRegrowth::AppleRegrowth(int rows, int cols, std::span<const std::uint16_t> cells,
                             const std::array<double, 4>& probabilities,
                             Neighbourhood neighbourhood)
    : cells_(bits_of(static_cast<std::size_t>(rows * cols), cells)),
      margin_(static_cast<std::size_t>(kReach * (cols + 1) / 64 + 2)) {
  std::transform(probabilities.begin(), probabilities.end(), chances_.begin(),
                 [](double p) { return Chance(p); });
  const int reach = neighbourhood == Neighbourhood::kPublic ? 2 : 4;
  for (int dr = -kReach; dr <= kReach; ++dr) {
    for (int dc = -kReach; dc <= kReach; ++dc) {
      const int distance = dr * dr + dc * dc;
      if (distance == 0 || distance > reach) continue;
      const int away = dr * cols + dc;
      Neighbour neighbour{away >> 6, away & 63, CellBits(static_cast<std::size_t>(rows * cols))};
      for (const std::uint16_t cell : cells) {
        const int row = cell / cols + dr, col = cell % cols + dc;
        if (row >= 0 && col >= 0 && row < rows && col < cols) neighbour.exists.insert(cell);
      }
      neighbours_.push_back(neighbour);
    }
  }
}

void AppleRegrowth::grow(World& world, Rng& rng) const {
  const CellBits apples(world.cells(), kApple);
  CellBits empty(world.shape().num_cells());
  for (std::size_t w = 0; w < empty.num_words(); ++w)
    empty.word(w) = cells_.word(w) & ~apples.word(w);
  erase_agents(empty, world);
  std::array<std::uint64_t, CellBits::kMaxWords + 2 * kMostMargin> padded;  // with none around
  std::uint64_t* const first = &padded[margin_];
  std::fill_n(padded.begin(), margin_, 0);
  for (std::size_t w = 0; w < apples.num_words(); ++w) first[w] = apples.word(w);
  std::fill_n(first + apples.num_words(), margin_, 0);
  for (std::size_t w = 0; w < empty.num_words(); ++w) {
    if (empty.word(w) == 0) continue;
    // Cells with at least one, two, three apples near.
    std::uint64_t one = 0, two = 0, three = 0;
    for (const Neighbour& neighbour : neighbours_) {
      const std::uint64_t* const there = first + w + neighbour.words;
      const std::uint64_t moved = there[0] >> neighbour.bits | there[1] << 1
                                                                        << (63 - neighbour.bits);
      const std::uint64_t apple = moved & neighbour.exists.word(w);
      three |= two & apple;
      two |= one & apple;
      one |= apple;
    }
    const auto where_possible = [](const Chance& chance, std::uint64_t cells) {
      return chance.possible() ? cells : 0;
    };
    std::uint64_t tried =
        empty.word(w) &
        (where_possible(chances_[0], ~one) | where_possible(chances_[1], one & ~two) |
         where_possible(chances_[2], two & ~three) | where_possible(chances_[3], three));
    for (; tried != 0; tried &= tried - 1) {
      const int bit = std::countr_zero(tried);
      const auto near = ((one >> bit) & 1) + ((two >> bit) & 1) + ((three >> bit) & 1);
      if (chances_[near].happens(rng)) {
        world.cells()[w * 64 + static_cast<std::size_t>(bit)] = kApple;
      }
    }
  }
}

RiverGrowth::RiverGrowth(std::size_t num_cells, std::span<const std::uint16_t> apple_cells,
                         std::span<const std::uint16_t> waste_cells, const Rules& rules)
    : apple_cells_(bits_of(num_cells, apple_cells)),
      waste_cells_(bits_of(num_cells, waste_cells)),
      waste_grows_(rules.waste_probability > 0) {
  const double depletion = rules.depletion_threshold, restoration = rules.restoration_threshold;
  const std::size_t possible = waste_cells.size();
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

void RiverGrowth::grow(World& world, Rng& rng) const {
  const std::span<Tile> cells = world.cells();
  CellBits clean(cells, kWaste);
  const std::size_t waste = clean.size();
  if (waste >= first_depleted_) return;
  if (const Chance& chance = apple_chance_[waste]; chance.possible()) {
    CellBits empty(cells, kGround);
    for (std::size_t w = 0; w < empty.num_words(); ++w) empty.word(w) &= apple_cells_.word(w);
    erase_agents(empty, world);
    empty.for_each([&](std::size_t cell) {
      if (chance.happens(rng)) cells[cell] = kApple;
    });
  }
  if (!waste_grows_) return;
  for (std::size_t w = 0; w < clean.num_words(); ++w) {
    clean.word(w) = waste_cells_.word(w) & ~clean.word(w);
  }
  erase_agents(clean, world);
  const std::size_t tried = clean.size();
  if (tried == 0 || rng.uniform() < none_succeeds_[tried]) return;
  cells[clean.nth(rng.uniform_int(static_cast<std::uint32_t>(tried)))] = kWaste;
}

}  // namespace socialgrid
