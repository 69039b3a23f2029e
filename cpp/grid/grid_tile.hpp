// Tile kinds of the MiniGrid-style games and their traits.
//
// A cell of a world is one byte, a tile id. Opaque tiles have the top bit set, so that a view finds
// what blocks sight without a table.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/tile.hpp"

namespace socialgrid {

inline constexpr int kNumColors = 11;
extern const std::array<std::string_view, kNumColors> kColorNames;
extern const std::array<Rgb, kNumColors> kColorValues;
inline constexpr Rgb kShadow{35, 25, 30};
inline constexpr Rgb kWallColor{74, 65, 42};

// Index of a colour name, or nothing.
std::optional<int> find_color(std::string_view name);

enum class TileKind : std::uint8_t {
  kEmpty,
  kWall,
  kGoal,
  kCycle,
  kLava,
  kDoor,
  kKey,
  kBall,
  kBox
};
inline constexpr int kNumTileKinds = 9;
extern const std::array<std::string_view, kNumTileKinds> kTileKindNames;

enum class DoorState : std::uint8_t { kOpen, kClosed, kLocked };

inline constexpr int kMaxCycleTiles = 10;
inline constexpr Tile kOpaqueBit = 0x80;
inline constexpr Tile kEmpty = 0, kGoal = 1, kLava = 2;
inline constexpr Tile kFirstCycle = 3;                          // 3..12
inline constexpr Tile kFirstKey = 13;                           // one per colour
inline constexpr Tile kFirstBall = kFirstKey + kNumColors;      // 24
inline constexpr Tile kFirstBox = kFirstBall + kNumColors;      // 35
inline constexpr Tile kFirstOpenDoor = kFirstBox + kNumColors;  // 46..56
inline constexpr Tile kUnseen = 0x7f;                           // in views: a cell in shadow
inline constexpr Tile kWall = kOpaqueBit;
inline constexpr Tile kFirstClosedDoor = kOpaqueBit + 1;
inline constexpr Tile kFirstLockedDoor = kFirstClosedDoor + kNumColors;

// What the rules and the painter need to know of a tile.
struct TileTraits {
  bool valid = false;
  TileKind kind = TileKind::kEmpty;
  std::uint8_t color = 0;             // doors, keys, balls, boxes
  DoorState door = DoorState::kOpen;  // doors
  std::uint8_t cycle_index = 0;       // cycle tiles
  char glyph = '?';                   // character in text maps and layouts
  bool walkable = false;              // agents can stand on it
  bool portable = false;              // agents can pick it up
};

// Traits of every tile id; ids that name no tile are not `valid`.
extern const std::array<TileTraits, 256> kTiles;

// Doors, keys, balls and boxes.
bool is_object(Tile tile);
// "red locked door", "blue key": how a tile is written in Layout.details.
std::string describe_tile(Tile tile);
// The inverse of describe_tile for doors, keys, balls and boxes.
std::optional<Tile> parse_tile_description(std::string_view text);
// The tile a character of a text map stands for ('D' a locked yellow door, 'K' a yellow key, ...).
std::optional<Tile> tile_of_glyph(char glyph);

}  // namespace socialgrid
