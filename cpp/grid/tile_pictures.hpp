// Drawing tiles and agents of the MiniGrid-style games.
#pragma once

#include <cstddef>

#include "core/canvas.hpp"
#include "grid/grid_tile.hpp"

namespace socialgrid {

// A tile without agents, and an agent on nothing, as the world sees them (up is up).
Picture draw_tile(Tile tile, int side);
Picture draw_agent(Rgb color, bool prestige, int dir, int side);
// An agent's picture laid over a tile's.
Picture blend(const Picture& object, const Picture& agent);
// Adds grid lines if a corner is black (visible only above 10 pixels a tile).
Picture with_grid_lines(Picture picture);

// In a colour, if the picture is that of something white.
Picture tinted(Picture mask, Rgb color);
// Nothing but shadow: a cell that is not seen.
Picture draw_shadow(int side);

// Where a pixel comes from in a picture as an agent facing `dir` sees it: turned so that `dir` is
// up.
std::size_t turned_from(int side, int dir, int row, int col);
Picture turned(const Picture& picture, int dir);
// What grid lines add; visible only above 10 pixels a tile.
int grid_line_brightness(int side);

}  // namespace socialgrid
