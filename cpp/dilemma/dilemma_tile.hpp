// Tiles of the social dilemmas: what a cell holds, how it is written and what it looks like.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/tile.hpp"

namespace socialgrid::dilemma {

inline constexpr Tile kGround = 0, kWall = 1, kApple = 2, kWaste = 3, kRiver = 4, kStream = 5;
inline constexpr Tile kClosedDoor = 6, kOpenDoor = 7, kSwitchOff = 8, kSwitchOn = 9, kBoxWall = 10;
inline constexpr int kNumTiles = 11;

struct TileTraits {
  char glyph = '?';  // in text maps and layouts
  Rgb color;
  bool solid = false;  // agents cannot stand on it
};

inline constexpr std::array<TileTraits, kNumTiles> kTileTraits = {{
    {.glyph = ' ', .color = {0, 0, 0}},
    {.glyph = '@', .color = {180, 180, 180}, .solid = true},
    {.glyph = 'A', .color = {0, 255, 0}},
    {.glyph = 'H', .color = {99, 156, 194}},
    {.glyph = 'R', .color = {113, 75, 24}},
    {.glyph = 'S', .color = {113, 75, 24}},
    {.glyph = 'D', .color = {180, 180, 180}, .solid = true},
    {.glyph = 'O', .color = {255, 255, 255}},
    {.glyph = 's', .color = {255, 0, 0}, .solid = true},
    {.glyph = 'S', .color = {0, 255, 0}, .solid = true},
    {.glyph = '#', .color = {127, 127, 127}, .solid = true},
}};

inline bool is_solid(Tile tile) { return kTileTraits[tile].solid; }

// Beams, as they stand in the plane of beams (beams.hpp).
inline constexpr std::uint8_t kFireBeam = 1, kCleanBeam = 2;
inline constexpr int kNumBeams = 2;
inline constexpr std::array<Rgb, kNumBeams> kBeamColors = {{{255, 255, 0}, {100, 255, 255}}};

// Colours of agents by index: the nine of the public implementation, then, each time, that colour
// of a coarse lattice which is farthest from all others in the game, so that all are distinct.
std::vector<Rgb> agent_colors(int num_agents);

}  // namespace socialgrid::dilemma
