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

// Some words of a set side by side: two where the compiler knows how, one elsewhere.
struct Words {
#if defined(__SSE2__)
  static constexpr std::size_t kCount = 2;
  __m128i bits = _mm_setzero_si128();

  static Words load(const std::uint64_t* from) {
    return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))};
  }
  void store(std::uint64_t* to) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bits); }
  Words right(int by) const { return {_mm_srl_epi64(bits, _mm_cvtsi32_si128(by))}; }
  Words left(int by) const { return {_mm_sll_epi64(bits, _mm_cvtsi32_si128(by))}; }
  friend Words operator&(Words a, Words b) { return {_mm_and_si128(a.bits, b.bits)}; }
  friend Words operator|(Words a, Words b) { return {_mm_or_si128(a.bits, b.bits)}; }
#else
  static constexpr std::size_t kCount = 1;
  std::uint64_t bits = 0;

  static Words load(const std::uint64_t* from) { return {*from}; }
  void store(std::uint64_t* to) const { *to = bits; }
  Words right(int by) const { return {bits >> by}; }
  Words left(int by) const { return {bits << by}; }
  friend Words operator&(Words a, Words b) { return {a.bits & b.bits}; }
  friend Words operator|(Words a, Words b) { return {a.bits | b.bits}; }
#endif
};

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
        if (row >= 0 && col >= 0 && row < rows && col < cols) {
          neighbour.exists.insert(cell);
        } else {
          all_exist_ = false;
        }
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
  // Cells with at least one, two, three apples near.
  std::array<std::uint64_t, CellBits::kMaxWords> ones, twos, threes;
  const std::size_t words = empty.num_words();
  for (std::size_t w = 0; w < words; w += Words::kCount) {
    Words one{}, two{}, three{};
    for (const Neighbour& neighbour : neighbours_) {
      const std::uint64_t* const there = first + w + static_cast<std::ptrdiff_t>(neighbour.words);
      Words apple = Words::load(there).right(neighbour.bits) |
                    Words::load(there + 1).left(1).left(63 - neighbour.bits);
      if (!all_exist_) apple = apple & Words::load(neighbour.exists.data() + w);
      three = three | (two & apple);
      two = two | (one & apple);
      one = one | apple;
    }
    one.store(&ones[w]);
    two.store(&twos[w]);
    three.store(&threes[w]);
  }
  std::array<std::uint64_t, 4> possible;  // all ones, by the apples near
  for (std::size_t near = 0; near < 4; ++near)
    possible[near] = chances_[near].possible() ? ~0ull : 0;
  for (std::size_t w = 0; w < words; ++w) {
    const std::uint64_t one = ones[w], two = twos[w], three = threes[w];
    std::uint64_t tried = empty.word(w) & ((possible[0] & ~one) | (possible[1] & one & ~two) |
                                           (possible[2] & two & ~three) | (possible[3] & three));
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
