// The figures of agents in a view, for those who write views.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "grid/egocentric_observer.hpp"
#include "grid/view.hpp"

namespace socialgrid {

// Lays the figures an agent sees, its own among them, and notes whom it sees.
template <int kSize, typename Sees, typename Lay>
void EgocentricObserver::lay_agents(const World& world, const EgocentricScratch& scratch,
                                    std::size_t viewer, const Sees& sees, const Lay& lay,
                                    std::uint8_t* visible) const {
  const EgocentricView& view = view_;
  const int size = kSize > 0 ? kSize : view.size;
  const std::span<const Agent> agents = world.agents();
  const Agent& self = agents[viewer];
  const std::array<Tile, 256>& shown = view.shown_tile[viewer];
  const auto lay_agent = [&](std::size_t index, int row, int col) {
    const Tile under = shown[world.at(agents[index].position())];
    lay(atlas_.agent(self.dir, scratch.slots[index], under, agents[index].dir), row, col);
  };
  const int back = self.dir ^ 2;
  const int right = (self.dir + 1) % 4;
  const auto meet = [&](std::size_t j) {
    const Agent& other = agents[j];
    const int down = other.row - self.row;
    const int across = other.col - self.col;
    const int row = view.agent_row() + down * kRowStep[back] + across * kColStep[back];
    const int col = view.agent_col() + down * kRowStep[right] + across * kColStep[right];
    if (row < 0 || col < 0 || row >= size || col >= size) return;
    if (!sees(row, col)) return;
    visible[j] = other.active() ? 1 : 0;
    if (scratch.drawn[j] != 0) lay_agent(j, row, col);
  };
  if (is_crowd()) {
    const ViewFrame frame(&scratch.first_there[place_in_plane(self)], plane_cols_, self.dir,
                          view.agent_row(), view.agent_col());
    for (int row = 0; row < size; ++row) {
      for (int col = 0; col < size; ++col) {
        std::size_t there = frame.corner[row * frame.row_step + col * frame.col_step];
        for (; there != 0; there = scratch.next_there[there - 1]) {
          if (there - 1 != viewer) meet(there - 1);
        }
      }
    }
  } else {
    for (std::size_t j = 0; j < agents.size(); ++j) {
      if (j != viewer && agents[j].shown()) meet(j);
    }
  }
  lay_agent(viewer, view.agent_row(), view.agent_col());
}

}  // namespace socialgrid
