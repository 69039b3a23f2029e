// Checks of what scripted players count cells with.
#include <array>
#include <cstdint>

#include "check.hpp"
#include "core/rng.hpp"
#include "players/scene.hpp"
#include "players/tile_bits.hpp"

using namespace socialgrid;  // NOLINT(google-build-using-namespace)

namespace {

// Whatever the processor has must say what plain arithmetic says, of every tile there can be.
void bits_are_those_of_the_cells() {
  StreamState state{.seed = 5};
  Rng rng(state);
  for (int round = 0; round < 2000; ++round) {
    const auto tile = static_cast<Tile>(rng.uniform_int(256));
    std::array<Tile, 64> cells;
    std::uint64_t expected = 0;
    for (std::size_t i = 0; i < 64; ++i) {
      // Often the tile itself, or one that differs from it in a bit.
      const auto other = static_cast<Tile>(rng.uniform_int(256));
      const auto near = static_cast<Tile>(tile ^ (1u << rng.uniform_int(8)));
      cells[i] = std::array<Tile, 3>{tile, near, other}[rng.uniform_int(3)];
      expected |= std::uint64_t{cells[i] == tile} << i;
    }
    CHECK(players::tile_bits(cells.data(), tile) == expected);
    CHECK(players::tile_bits_portable(cells.data(), tile) == expected);
  }
}

// A shift by any number of cells says what lies there, rows and columns that end included.
void shifted_sets_agree_with_the_cells() {
  StreamState state{.seed = 6};
  Rng rng(state);
  for (const Position size : {Position{1, 1}, {3, 64}, {7, 9}, {25, 18}, {2, 255}, {255, 3}}) {
    const players::Board board(size.row, size.col);
    players::Cells cells(board);
    const auto count = static_cast<std::size_t>(size.row * size.col);
    for (std::size_t cell = 0; cell < count; ++cell) {
      if (rng.bernoulli(0.4)) cells.insert(cell);
    }
    constexpr int kReach = players::Board::kReach;
    for (int row = -kReach; row <= kReach; ++row) {
      for (int col = -kReach; col <= kReach; ++col) {
        const players::Shift shift(row * size.col + col);
        for (std::size_t cell = 0; cell < count; ++cell) {
          const Position there{static_cast<int>(cell) / size.col + row,
                               static_cast<int>(cell) % size.col + col};
          const std::uint64_t word = shift(cells.data(), cell / 64) & board.having(col)[cell / 64];
          const bool found = ((word >> (cell % 64)) & 1) != 0;
          CHECK(found == (board.contains(there) && cells.contains(board.number(there))));
        }
      }
    }
  }
}

}  // namespace

int main() {
  bits_are_those_of_the_cells();
  shifted_sets_agree_with_the_cells();
  return socialgrid::testing::outcome();
}
