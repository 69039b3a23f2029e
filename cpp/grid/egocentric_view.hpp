// How agents of the MiniGrid-style games see.
#pragma once

#include <array>
#include <vector>

#include "core/tile.hpp"

namespace socialgrid {

inline constexpr int kPrestigeColor = -1;  // in AgentLook::colors

enum class PrestigeMapping { kTanh, kSigmoid };

struct AgentLook {
  std::vector<int> colors;  // per agent: a colour index or kPrestigeColor
  PrestigeMapping mapping = PrestigeMapping::kTanh;
  double scale = 2.0;
};

// The square an agent sees, as far as nothing is in the way: it looks up, from column size/2, row
// size-1-offset.
struct EgocentricView {
  int size = 7;                                   // tiles a side, odd
  int offset = 1;                                 // rows behind the agent
  int tile_size = 3;                              // pixels a tile
  std::vector<bool> see_through_walls;            // per agent
  std::vector<bool> hides_kinds;                  // per agent: shown_tile differs from the identity
  std::vector<std::array<Tile, 256>> shown_tile;  // per agent: what a tile looks like to it
  std::vector<Tile> tile_set;                     // every tile that can occur
  AgentLook look;

  int agent_row() const { return size - 1 - offset; }
  int agent_col() const { return size / 2; }
};

}  // namespace socialgrid
