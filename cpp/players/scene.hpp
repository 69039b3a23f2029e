// Walking in the games whose agents step in any direction without turning. Sets of a grid's cells
// are bits in row-major order, so that a flood looks at 64 cells at once. Obstacles may differ from
// step to step (other agents, apples better left alone), so nothing is kept between steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/game.hpp"
#include "core/world.hpp"

namespace socialgrid::players {

// Actions of those games.
inline constexpr std::int32_t kStay = 4, kUse = 7, kClean = 8;
// The first action of turning towards a direction, by its quarter turns clockwise from the heading.
inline constexpr std::int32_t kTurnTowards[] = {kStay, 5, 5, 6};

class Cells;

// A cell, and how many steps off it is where nothing is in the way.
struct Near {
  int steps = 0;
  std::size_t cell = 0;
};

// A grid's shape.
class Board {
 public:
  Board(int rows, int cols);

  int rows() const { return rows_; }
  int cols() const { return cols_; }
  std::size_t num_words() const { return words_; }
  std::size_t pad() const { return pad_; }  // words of zeros around a set
  std::size_t number(Position p) const {
    return static_cast<std::size_t>(p.row) * static_cast<std::size_t>(cols_) +
           static_cast<std::size_t>(p.col);
  }
  // The cell of a set with the fewest steps to a place, of equals the first; more than `most` steps
  // where there is none so near.
  Near nearest(const Cells& set, Position to, int most) const;
  bool contains(Position p) const {
    return p.row >= 0 && p.col >= 0 && p.row < rows_ && p.col < cols_;
  }
  // The cells that have one in their row so many columns further on.
  const std::uint64_t* having(int columns) const {
    return having_[static_cast<std::size_t>(columns + kReach)].data();
  }
  const std::uint64_t* all() const { return having(0); }

  static constexpr int kReach = 2;  // rows and columns that a shift may go

 private:
  int rows_, cols_;
  std::size_t words_, pad_;
  std::vector<std::uint64_t> having_[2 * kReach + 1];
};

// A set of a board's cells, with zeros around it.
class Cells {
 public:
  explicit Cells(const Board& board)
      : pad_(board.pad()), words_(board.num_words() + 2 * board.pad()) {}

  std::uint64_t* data() { return words_.data() + pad_; }
  const std::uint64_t* data() const { return words_.data() + pad_; }
  std::uint64_t& operator[](std::size_t word) { return data()[word]; }
  std::uint64_t operator[](std::size_t word) const { return data()[word]; }
  std::size_t size() const { return words_.size() - 2 * pad_; }  // in words

  void clear();
  void insert(std::size_t cell) { data()[cell / 64] |= std::uint64_t{1} << (cell % 64); }
  bool contains(std::size_t cell) const { return ((data()[cell / 64] >> (cell % 64)) & 1) != 0; }
  bool empty() const;
  std::size_t count() const;

 private:
  std::size_t pad_;
  std::vector<std::uint64_t> words_;
};

// How far a set is looked at from: word i of the set in which each cell has what lies `cells`
// further on, but for what wraps round the rows' ends.
class Shift {
 public:
  explicit Shift(std::ptrdiff_t cells)
      : words_((cells - (cells % 64 + 64) % 64) / 64),
        bits_(static_cast<unsigned>((cells % 64 + 64) % 64)) {}
  std::uint64_t operator()(const std::uint64_t* set, std::size_t i) const {
    const std::uint64_t* at = set + static_cast<std::ptrdiff_t>(i) + words_;
    return (at[0] >> bits_) | ((at[1] << 1) << (63 - bits_));
  }

 private:
  std::ptrdiff_t words_;
  unsigned bits_;
};

// The tiles of a game that are written as one of these characters.
std::vector<Tile> tiles_of(const GameSpec& spec, std::string_view characters);

// A world as one of its agents finds it before a step.
class Scene {
 public:
  explicit Scene(const Board& board);

  const Board& board() const { return *board_; }
  Position own() const { return own_; }
  int direction() const { return direction_; }
  const Cells& solid() const { return solid_; }        // what no agent can enter
  const Cells& occupied() const { return occupied_; }  // where the other agents are

  // `solid`: tiles that no agent can enter.
  void look(const World& world, std::size_t agent, const std::vector<Tile>& solid);
  // The cells of the world that hold one of the tiles.
  void find(const World& world, const std::vector<Tile>& tiles, Cells& out) const;
  // How many cells of the world hold one of the tiles.
  static std::size_t count(const World& world, const std::vector<Tile>& tiles);

  // Adds to `set`, in `out`, the cells of `way` for which the one a step further on is in it.
  void draw_back(const Cells& set, int direction, const Cells& way, Cells& out) const;
  // The cells of `way` that have one at least, two and three of those ahead, to the right and to
  // the left in `set`: three sets.
  void count_beside(const Cells& set, int direction, const Cells& way, Cells* at_least) const;

  // The next action on the way to the nearest target, round the other agents. Where the others
  // leave no way it goes towards the target all the same, and half of the time anywhere, so that
  // two in each other's way come apart; where there is none at all, it stays.
  //   targets: cells to enter or, if they are solid, to bump into
  //   word: random; chooses among ways of the same length
  //   avoid: cells that are not targets and not to be crossed
  std::int32_t walk(const Cells& targets, std::uint64_t word, const Cells* avoid = nullptr);

 private:
  int nearest(const Cells& free, const Cells& targets, std::uint64_t word);

  const Board* board_;
  Shift shifts_[4];
  Position own_;
  int direction_ = 0;
  Cells solid_, occupied_, open_, clear_, aims_, flood_, next_;
};

}  // namespace socialgrid::players
