#include "players/scene.hpp"

#include <algorithm>
#include <array>
#include <bit>
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

// The cells of `way` for which one at least, two and all three of what `shifts` look at are in
// `from`. The masks are of the cells that have one there.
void count_all_beside(const std::uint64_t* SOCIALGRID_RESTRICT from,
                      const std::uint64_t* SOCIALGRID_RESTRICT way,
                      std::array<const std::uint64_t*, 3> has, std::array<Shift, 3> shifts,
                      std::size_t words, std::uint64_t* SOCIALGRID_RESTRICT one,
                      std::uint64_t* SOCIALGRID_RESTRICT two,
                      std::uint64_t* SOCIALGRID_RESTRICT three) {
  for (std::size_t i = 0; i < words; ++i) {
    const std::uint64_t a = shifts[0](from, i) & has[0][i];
    const std::uint64_t b = shifts[1](from, i) & has[1][i];
    const std::uint64_t c = shifts[2](from, i) & has[2][i];
    one[i] = (a | b | c) & way[i];
    two[i] = ((a & b) | (a & c) | (b & c)) & way[i];
    three[i] = a & b & c & way[i];
  }
}

constexpr std::uint64_t kTop = std::uint64_t{1} << 63;

std::uint64_t first_bits(int count) {
  if (count <= 0) return 0;
  return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
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
  for (int row = 0; row < rows; ++row) {
    for (int col = 0; col < cols; ++col) {
      const std::size_t cell = number({row, col});
      for (int columns = -kReach; columns <= kReach; ++columns) {
        if (col + columns < 0 || col + columns >= cols) continue;
        having_[columns + kReach][cell / 64] |= std::uint64_t{1} << (cell % 64);
      }
    }
  }
}

Near Board::nearest(const Cells& set, Position to, int most) const {
  const int above = std::min(most, to.row), below = std::min(most, rows_ - 1 - to.row);
  // Steps and cell in one number. Without branches: where the nearest is, is hard to foretell.
  std::uint64_t best = static_cast<std::uint64_t>(most + 1) << 16;
  for (int begin = 0; begin < cols_; begin += 64) {
    const std::uint64_t all = first_bits(cols_ - begin), before = first_bits(to.col - begin);
    const auto look = [&](int row, int off) {
      const std::size_t cell = number({row, begin}), bit = cell % 64;
      const std::uint64_t* const at = set.data() + cell / 64;
      const std::uint64_t cells = ((at[0] >> bit) | ((at[1] << 1) << (63 - bit))) & all;
      const std::uint64_t left = cells & before, right = cells & ~before;
      const int last = 63 - std::countl_zero(left | 1), first = std::countr_zero(right | kTop);
      const auto key = [&](int steps, int col, std::uint64_t found) {
        const auto known =
            static_cast<std::uint64_t>(off + steps) << 16 | (cell + static_cast<std::size_t>(col));
        return found == 0 ? ~std::uint64_t{0} : known;
      };
      best = std::min(best, key(to.col - begin - last, last, left));
      best = std::min(best, key(begin + first - to.col, first, right));
    };
    const auto further = [&](int off) { return off <= static_cast<int>(best >> 16); };
    if (most >= 0) look(to.row, 0);
    for (int off = 1; off <= above && further(off); ++off) look(to.row - off, off);
    for (int off = 1; off <= below && further(off); ++off) look(to.row + off, off);
  }
  return {static_cast<int>(best >> 16), best & 0xffff};
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

std::size_t Scene::count(const World& world, const std::vector<Tile>& tiles) {
  const std::span<const Tile> cells = world.cells();
  std::size_t found = 0;
  for (const Tile tile : tiles) found += count_of(cells.data(), cells.size(), tile);
  return found;
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

void Scene::count_beside(const Cells& set, int direction, const Cells& way, Cells* at_least) const {
  const int right = (direction + 1) & 3, left = (direction + 3) & 3;
  const auto has = [&](int side) { return board_->having(kColStep[side]); };
  count_all_beside(set.data(), way.data(), {has(direction), has(right), has(left)},
                   {shifts_[direction], shifts_[right], shifts_[left]}, set.size(),
                   at_least[0].data(), at_least[1].data(), at_least[2].data());
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
