// How agents of the social dilemmas see.
#pragma once

#include <cstdint>

namespace socialgrid {

// The whole square around an agent, turned by its heading.
struct SquareView {
  int size = 15;           // cells a side, odd; the agent is in the middle
  int tile_size = 1;       // pixels a cell
  bool show_beams = true;  // beams of the last step are drawn in agents' views
  // The agent looks up; if false, sideways headings are turned the other way (and look down), as in
  // the public implementation.
  bool heading_up = true;
  std::uint16_t tiles = 0;  // bit t: tile t can occur
};

}  // namespace socialgrid
