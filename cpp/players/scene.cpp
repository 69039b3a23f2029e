#include "players/scene.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "players/tile_bits.hpp"

#ifdef _MSC_VER
#define SOCIALGRID_RESTRICT __restrict
#else
#define SOCIALGRID_RESTRICT __restrict__
#endif

namespace socialgrid::players {
namespace {

// The action that moves towards a direction, by its quarter turns clockwise from the heading.
constexpr std::int32_t kStepTowards[] = {2, 1, 3, 0};

// One ring of a flood, over `way` cells: what `from` holds and all beside it. Says whether that is
// more. The masks are of the cells that have one to their right, to their left.
bool spread(const std::uint64_t* SOCIALGRID_RESTRICT from,
            const std::uint64_t* SOCIALGRID_RESTRICT way,
            const std::uint64_t* SOCIALGRID_RESTRICT has_right,
            const std::uint64_t* SOCIALGRID_RESTRICT has_left, std::size_t words, int cols,
            std::uint64_t* SOCIALGRID_RESTRICT to) {
  const Shift right(1), down(cols), left(-1), up(-cols);
  std::uint64_t more = 0;
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint64_t beside = (right(from, i) & has_right[i]) | (left(from, i) & has_left[i]) |
                                 down(from, i) | up(from, i);
    to[i] = from[i] | (beside & way[i]);
    more |= to[i] ^ from[i];
  }
  return more != 0;
}

// What `from` holds, and the cells of `way` for which the one that `shift` looks at is in it. The
// mask is of the cells that have one there.
void draw_all_back(const std::uint64_t* SOCIALGRID_RESTRICT from,
                   const std::uint64_t* SOCIALGRID_RESTRICT way,
                   const std::uint64_t* SOCIALGRID_RESTRICT has, Shift shift, std::size_t words,
                   std::uint64_t* SOCIALGRID_RESTRICT to) {
  for (std::size_t i = 0; i < words; ++i) to[i] = from[i] | (shift(from, i) & has[i] & way[i]);
}

// As std::popcount, which is a call where the instruction may be missing.
std::size_t bits_of(std::uint64_t word) {
  word -= word >> 1 & 0x5555555555555555u;
  word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
  word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return word * 0x0101010101010101u >> 56;
}

}  // namespace

Board::Board(int rows, int cols)
    : rows_(rows),
      cols_(cols),
      words_((static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols) + 63) / 64),
      pad_((static_cast<std::size_t>(kReach) * (static_cast<std::size_t>(cols) + 1)) / 64 + 2) {
  for (auto& having : having_) having.assign(words_, 0);
  for (int first = 0; first < rows * cols; first += 64) {
    rows_of_word_.push_back({first / cols, std::min((first + 63) / cols, rows - 1)});
  }
  for (int row = 0; row < rows; ++row) {
    for (int col = 0; col < cols; ++col) {
      const std::size_t cell = row_of_.size();
      row_of_.push_back(static_cast<std::uint8_t>(row));
      col_of_.push_back(static_cast<std::uint8_t>(col));
      for (int columns = -kReach; columns <= kReach; ++columns) {
        if (col + columns < 0 || col + columns >= cols) continue;
        having_[columns + kReach][cell / 64] |= std::uint64_t{1} << (cell % 64);
      }
    }
  }
}

void Cells::clear() { std::fill(words_.begin(), words_.end(), 0); }

bool Cells::empty() const {
  return std::all_of(data(), data() + size(), [](std::uint64_t word) { return word == 0; });
}

std::size_t Cells::count() const {
  std::size_t cells = 0;
  for (std::size_t i = 0; i < size(); ++i) cells += bits_of(data()[i]);
  return cells;
}

std::vector<Tile> tiles_of(const GameSpec& spec, std::string_view characters) {
  std::vector<Tile> tiles;
  for (std::size_t tile = 0; tile < spec.glyphs.size(); ++tile) {
    const char glyph = spec.glyphs[tile];
    if (glyph != '\0' && characters.find(glyph) != std::string_view::npos) {
      tiles.push_back(static_cast<Tile>(tile));
    }
  }
  return tiles;
}

Scene::Scene(const Board& board)
    : board_(&board),
      shifts_{Shift(1), Shift(board.cols()), Shift(-1), Shift(-board.cols())},
      solid_(board),
      occupied_(board),
      open_(board),
      clear_(board),
      aims_(board),
      flood_(board),
      next_(board) {}

void Scene::find(const World& world, const std::vector<Tile>& tiles, Cells& out) const {
  const std::span<const Tile> cells = world.cells();
  const std::size_t count = world.shape().num_cells(), whole = count / 64;
  std::array<Tile, 64> rest{};
  if (count % 64 != 0) std::memcpy(rest.data(), &cells[whole * 64], count % 64);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint64_t found = 0;
    for (const Tile tile : tiles)
      found |= tile_bits(i < whole ? &cells[i * 64] : rest.data(), tile);
    out[i] = found;
  }
  out[out.size() - 1] &= board_->all()[out.size() - 1];
}

void Scene::look(const World& world, std::size_t agent, const std::vector<Tile>& solid) {
  const std::span<const Agent> agents = world.agents();
  // An agent that is out of play may be nowhere: any cell will do.
  const Position pos = agents[agent].position();
  own_ = board_->contains(pos) ? pos : Position{0, 0};
  direction_ = agents[agent].dir;
  find(world, solid, solid_);
  occupied_.clear();
  for (std::size_t other = 0; other < agents.size(); ++other) {
    if (other == agent || !agents[other].active()) continue;
    if (board_->contains(agents[other].position())) {
      occupied_.insert(board_->number(agents[other].position()));
    }
  }
}

void Scene::draw_back(const Cells& set, int direction, const Cells& way, Cells& out) const {
  draw_all_back(set.data(), way.data(), board_->having(kColStep[direction]), shifts_[direction],
                set.size(), out.data());
}

std::int32_t Scene::walk(const Cells& targets, std::uint64_t word, const Cells* avoid) {
  if (targets.empty()) return kStay;
  for (std::size_t i = 0; i < open_.size(); ++i) {
    open_[i] = board_->all()[i] & ~solid_[i];
    if (avoid != nullptr) open_[i] &= ~(*avoid)[i];
    clear_[i] = open_[i] & ~occupied_[i];
    aims_[i] = targets[i] & ~occupied_[i];
  }
  int towards = nearest(clear_, aims_, word);
  if (towards < 0) {
    towards = nearest(open_, targets, word);
    if (towards >= 0 && ((word >> 8) & 1) != 0) towards = static_cast<int>((word >> 16) & 3);
  }
  return towards < 0 ? kStay : kStepTowards[(towards - direction_) & 3];
}

// The direction of the first step to the nearest target, -1 where there is no way: the targets are
// flooded outward, ring by ring, until the flood touches the walker.
int Scene::nearest(const Cells& free, const Cells& targets, std::uint64_t word) {
  // Ways of the same length: the first in an order that starts at a random direction.
  struct Neighbour {
    int direction;
    std::size_t cell;
  };
  std::array<Neighbour, 4> around;
  std::size_t count = 0;
  for (int k = 0; k < 4; ++k) {
    const int towards = static_cast<int>((word + static_cast<std::uint64_t>(k)) & 3);
    const Position next{own_.row + kRowStep[towards], own_.col + kColStep[towards]};
    if (board_->contains(next)) around[count++] = {towards, board_->number(next)};
  }
  const std::size_t words = flood_.size();
  std::copy_n(targets.data(), words, flood_.data());
  for (;;) {
    for (std::size_t k = 0; k < count; ++k) {
      if (flood_.contains(around[k].cell)) return around[k].direction;
    }
    if (!spread(flood_.data(), free.data(), board_->having(1), board_->having(-1), words,
                board_->cols(), next_.data())) {
      return -1;
    }
    std::swap(flood_, next_);
  }
}

}  // namespace socialgrid::players
