#include "grid/grid_tile.hpp"

namespace socialgrid {

const std::array<std::string_view, kNumColors> kColorNames = {
    "red", "orange", "green", "blue", "cyan", "purple", "yellow", "olive", "grey", "pink", "white"};

const std::array<Rgb, kNumColors> kColorValues = {{{255, 0, 0},
                                                   {255, 165, 0},
                                                   {0, 255, 0},
                                                   {0, 0, 255},
                                                   {0, 139, 139},
                                                   {112, 39, 195},
                                                   {255, 255, 0},
                                                   {128, 128, 0},
                                                   {100, 100, 100},
                                                   {255, 0, 189},
                                                   {255, 255, 255}}};

const std::array<std::string_view, kNumTileKinds> kTileKindNames = {
    "empty", "wall", "goal", "cycle", "lava", "door", "key", "ball", "box"};

namespace {

constexpr int kYellow = 6;
constexpr std::array<std::string_view, 3> kDoorStateNames = {"open", "closed", "locked"};

std::array<TileTraits, 256> make_tiles() {
  std::array<TileTraits, 256> tiles{};
  tiles[kEmpty] = {.valid = true, .kind = TileKind::kEmpty, .glyph = '.', .walkable = true};
  tiles[kWall] = {.valid = true, .kind = TileKind::kWall, .glyph = '#'};
  tiles[kGoal] = {.valid = true, .kind = TileKind::kGoal, .glyph = 'G', .walkable = true};
  tiles[kLava] = {.valid = true, .kind = TileKind::kLava, .glyph = 'L', .walkable = true};
  for (int i = 0; i < kMaxCycleTiles; ++i) {
    tiles[kFirstCycle + i] = {.valid = true,
                              .kind = TileKind::kCycle,
                              .cycle_index = static_cast<std::uint8_t>(i),
                              .glyph = static_cast<char>('0' + i),
                              .walkable = true};
  }
  for (int c = 0; c < kNumColors; ++c) {
    const auto color = static_cast<std::uint8_t>(c);
    const auto portable = [&](TileKind kind, char glyph) {
      return TileTraits{
          .valid = true, .kind = kind, .color = color, .glyph = glyph, .portable = true};
    };
    const auto door = [&](DoorState state) {
      return TileTraits{.valid = true,
                        .kind = TileKind::kDoor,
                        .color = color,
                        .door = state,
                        .glyph = 'D',
                        .walkable = state == DoorState::kOpen};
    };
    tiles[kFirstKey + c] = portable(TileKind::kKey, 'K');
    tiles[kFirstBall + c] = portable(TileKind::kBall, 'O');
    tiles[kFirstBox + c] = portable(TileKind::kBox, 'B');
    tiles[kFirstOpenDoor + c] = door(DoorState::kOpen);
    tiles[kFirstClosedDoor + c] = door(DoorState::kClosed);
    tiles[kFirstLockedDoor + c] = door(DoorState::kLocked);
  }
  return tiles;
}

}  // namespace

const std::array<TileTraits, 256> kTiles = make_tiles();

std::optional<int> find_color(std::string_view name) {
  for (int i = 0; i < kNumColors; ++i) {
    if (kColorNames[i] == name) return i;
  }
  return std::nullopt;
}

bool is_object(Tile tile) { return kTiles[tile].portable || kTiles[tile].kind == TileKind::kDoor; }

std::string describe_tile(Tile tile) {
  const TileTraits& traits = kTiles[tile];
  const std::string kind(kTileKindNames[static_cast<int>(traits.kind)]);
  switch (traits.kind) {
    case TileKind::kDoor:
      return std::string(kColorNames[traits.color]) + " " +
             std::string(kDoorStateNames[static_cast<int>(traits.door)]) + " door";
    case TileKind::kKey:
    case TileKind::kBall:
    case TileKind::kBox:
      return std::string(kColorNames[traits.color]) + " " + kind;
    case TileKind::kCycle:
      return "cycle tile " + std::to_string(traits.cycle_index);
    default:
      return kind;
  }
}

std::optional<Tile> parse_tile_description(std::string_view text) {
  for (int id = 0; id < 256; ++id) {
    const TileTraits& traits = kTiles[id];
    const bool colored = traits.portable || traits.kind == TileKind::kDoor;
    if (traits.valid && colored && describe_tile(static_cast<Tile>(id)) == text) {
      return static_cast<Tile>(id);
    }
  }
  return std::nullopt;
}

std::optional<Tile> tile_of_glyph(char glyph) {
  switch (glyph) {
    case '.':
      return kEmpty;
    case '#':
      return kWall;
    case 'G':
      return kGoal;
    case 'L':
      return kLava;
    case 'D':
      return static_cast<Tile>(kFirstLockedDoor + kYellow);
    case 'K':
      return static_cast<Tile>(kFirstKey + kYellow);
    case 'O':
      return static_cast<Tile>(kFirstBall + kYellow);
    case 'B':
      return static_cast<Tile>(kFirstBox + kYellow);
    default:
      break;
  }
  if (glyph >= '0' && glyph <= '9') return static_cast<Tile>(kFirstCycle + (glyph - '0'));
  return std::nullopt;
}

}  // namespace socialgrid
