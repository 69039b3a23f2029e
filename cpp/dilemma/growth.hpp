// How apples and waste come back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/rng.hpp"
#include "core/world.hpp"
#include "dilemma/cell_bits.hpp"

namespace socialgrid {

// A probability as a bound on 32 random bits.
class Chance {
 public:
  Chance() = default;
  explicit Chance(double p)
      : possible_(p > 0), bound_(static_cast<std::uint64_t>(p * 4294967296.0)) {}

  bool possible() const { return possible_; }
  // Takes one word of the stream.
  bool happens(Rng& rng) const { return rng.next_u32() < bound_; }

 private:
  bool possible_ = false;
  std::uint64_t bound_ = 0;
};

// Cells an apple's chance depends on: the eight around it (the public code's "radius 2"), or those
// at most two steps away in dx^2 + dy^2 <= 4 (the papers).
enum class Neighbourhood { kPublic, kPaper };

// Harvest: an apple comes back the likelier the more apples are near.
class AppleRegrowth {
 public:
  // cells: where apples grow, row-major indices in a rows x cols grid; probabilities: with 0, 1, 2,
  // and 3 or more apples in the neighbourhood.
  AppleRegrowth(int rows, int cols, std::span<const std::uint16_t> cells,
                const std::array<double, 4>& probabilities, Neighbourhood neighbourhood);

  // One draw for each empty apple cell without an agent whose chance is not 0, in row-major order;
  // all are judged before any grows.
  void grow(World& world, Rng& rng) const;

 private:
  // Where the word with the neighbours of a word's cells begins, in words and bits from there.
  struct Neighbour {
    std::ptrdiff_t words;
    int bits;
    CellBits exists;  // apple cells that have it inside the grid
  };

  CellBits cells_;
  std::size_t margin_;  // words that neighbours may lie beyond either end
  std::vector<Neighbour> neighbours_;
  bool all_exist_ = true;
  std::array<Chance, 4> chances_;
};

// Cleanup: apples grow the better the less waste is in the river, and waste keeps coming.
class RiverGrowth {
 public:
  struct Rules {
    double apple_probability = 0.05;
    double waste_probability = 0.5;
    double depletion_threshold = 0.4;    // at this share of waste and above nothing grows
    double restoration_threshold = 0.0;  // at this share and below apples grow at full rate
  };

  // Row-major indices of where apples grow and of where waste can be, in a grid of num_cells.
  RiverGrowth(std::size_t num_cells, std::span<const std::uint16_t> apple_cells,
              std::span<const std::uint16_t> waste_cells, const Rules& rules);

  // Apples: one draw for each empty apple cell without an agent. Waste: of the cells that could
  // become waste, each tried in random order, the first success does; drawn as one uniform() for
  // whether any succeeds, then one uniform_int() for which.
  void grow(World& world, Rng& rng) const;

 private:
  CellBits apple_cells_;
  CellBits waste_cells_;
  std::vector<Chance> apple_chance_;   // by the number of waste cells
  std::vector<double> none_succeeds_;  // by the number of cells tried
  std::size_t first_depleted_ = 0;     // number of waste cells from which nothing grows
  bool waste_grows_ = true;
};

}  // namespace socialgrid
