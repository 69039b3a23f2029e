// Views painted by byte shuffles, and the figures in them.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "grid/egocentric_observer.hpp"
#include "grid/lay_agents.hpp"

namespace socialgrid {
namespace {

// Calls for memory that is read soon: a game with prestige has more pictures than a cache holds.
void prefetch(const void* from) {
#if defined(__GNUC__)
  __builtin_prefetch(from);
#else
  static_cast<void>(from);
#endif
}

}  // namespace

EgocentricObserver::Turned::Turned(const EgocentricView& view, int dir) {
  const int back = dir ^ 2, right = (dir + 1) % 4, last = view.size - 1;
  const auto row_of = [&](int row, int col) {
    return (row - view.agent_row()) * kRowStep[back] + (col - view.agent_col()) * kRowStep[right];
  };
  const auto col_of = [&](int row, int col) {
    return (row - view.agent_row()) * kColStep[back] + (col - view.agent_col()) * kColStep[right];
  };
  top = std::min(row_of(0, 0), row_of(last, last));
  left = std::min(col_of(0, 0), col_of(last, last));
  for (int row = 0; row <= last; ++row) {
    for (int col = 0; col <= last; ++col) {
      cells[static_cast<std::size_t>((row_of(row, col) - top) * 8 + col_of(row, col) - left)] =
          static_cast<std::uint8_t>(row * 8 + col);
    }
  }
}

void EgocentricObserver::observe_shuffled(const World& world, const EgocentricScratch& scratch,
                                          std::byte* obs, std::uint8_t* visible) const {
  constexpr int kSize = ShuffledTiles::kSize, kSide = ShuffledTiles::kSide;
  constexpr std::size_t kStride = 16;  // of a small picture's rows
  const std::span<const Agent> agents = world.agents();
  const bool pixels = mode() == ObsMode::kRgb, wide = type() == ObsType::kUint16;
  const std::uint8_t* const pictures = atlas_.sprite(0);  // small ones follow each other
  std::array<Sight, kLanes> sights;
  for (std::size_t i = 0; i < agents.size(); ++i) {
    if (agents[i].shown() && !is_crowd()) prefetch(scratch.figures[i]);
  }
  for (std::size_t viewer = 0; viewer < agents.size();
       ++viewer, obs += bytes_per_agent(), visible += agents.size()) {
    const Agent& self = agents[viewer];
    auto* out = reinterpret_cast<std::uint8_t*>(obs);
    const auto lay = [&](SpriteId sprite, int row, int col) {
      if (pixels) {
        constexpr std::size_t kCellBytes = kSide * 3, kRowBytes = kSize * kCellBytes;
        const std::uint8_t* from = pictures + sprite * (kStride * kSide);
        std::uint8_t* to = out + static_cast<std::size_t>(row) * kSide * kRowBytes +
                           static_cast<std::size_t>(col) * kCellBytes;
        for (int y = 0; y < kSide; ++y, to += kRowBytes, from += kStride) {
          std::memcpy(to, from, kCellBytes);
        }
      } else if (wide) {
        const auto number = static_cast<std::uint16_t>(sprite);
        std::memcpy(out + (row * kSize + col) * 2, &number, sizeof number);
      } else {
        out[row * kSize + col] = static_cast<std::uint8_t>(sprite);
      }
    };
    if (viewer % kLanes == 0) {
      // One after the other, so that the processor need not wait for each to be complete.
      const std::size_t end = std::min(viewer + kLanes, agents.size());
      for (std::size_t i = viewer; i < end; ++i) {
        shuffled_->look(world, agents[i], view_.see_through_walls[i],
                        view_.hides_kinds[i] ? &view_.shown_tile[i] : nullptr, sights[i % kLanes]);
      }
    }
    const Sight& sight = sights[viewer % kLanes];
    if (pixels) {
      shuffled_->paint(sight, out);
    } else {
      shuffled_->number(sight, self.dir, wide, out);
    }
    if (!self.active()) {
      std::memset(visible, 0, agents.size());
      continue;
    }
    for (std::uint64_t rest = sight.patterned; rest != 0; rest &= rest - 1) {
      const int row = std::countr_zero(rest) / 8, col = std::countr_zero(rest) % 8;
      const auto tile = static_cast<Tile>(sight.rows[static_cast<std::size_t>(row)] >> (8 * col));
      lay(atlas_.tiles(self.dir)[tile], row, col);
    }
    if (is_crowd() || view_.hides_kinds[viewer]) {
      std::memset(visible, 0, agents.size());
      const auto sees = [&](int row, int col) { return (sight.seen >> (8 * row + col) & 1) != 0; };
      lay_agents<kSize>(world, scratch, viewer, sees, lay, visible);
      continue;
    }
    // The same for few agents that hide nothing.
    const Turned& turned = turned_[self.dir];
    const int top = self.row + turned.top, left = self.col + turned.left;
    for (std::size_t j = 0; j < agents.size(); ++j) {
      const auto row = static_cast<unsigned>(agents[j].row - top);
      const auto col = static_cast<unsigned>(agents[j].col - left);
      if ((row >= kSize) | (col >= kSize)) {
        visible[j] = 0;
        continue;
      }
      const unsigned cell = turned.cells[row * 8 + col];
      // Who is met is hard to foretell: one branch for all that it takes.
      const bool seen = (sight.seen >> cell & 1) != 0;
      visible[j] = static_cast<std::uint8_t>(seen & agents[j].active());
      if (seen & (scratch.drawn[j] != 0) & (j != viewer)) {
        lay(scratch.figures[j][self.dir * 4 + agents[j].dir], static_cast<int>(cell / 8),
            static_cast<int>(cell % 8));
      }
    }
    visible[viewer] = 0;
    lay(scratch.figures[viewer][self.dir * 5], view_.agent_row(), view_.agent_col());
  }
}

}  // namespace socialgrid
