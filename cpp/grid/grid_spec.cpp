#include "grid/grid_spec.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "grid/actions.hpp"
#include "grid/grid_options.hpp"
#include "grid/grid_tile.hpp"

namespace socialgrid {
namespace {

// Colours given to agents by index when the user names none.
constexpr std::array<const char*, kNumColors> kDefaultColors = {
    "red", "blue", "purple", "orange", "olive", "pink", "cyan", "green", "yellow", "grey", "white"};

std::vector<int> agent_colors(const Config& config, int num_agents) {
  std::vector<int> colors;
  if (config.is_none("color")) {
    for (int i = 0; i < num_agents; ++i) {
      colors.push_back(*find_color(kDefaultColors[static_cast<std::size_t>(i % kNumColors)]));
    }
    return colors;
  }
  for (const std::string& name : config.texts("color", num_agents)) {
    colors.push_back(name == "prestige" ? kPrestigeColor : *find_color(name));
  }
  return colors;
}

// The table that removes the kinds named from an agent's view.
std::array<Tile, 256> shown_tiles(const std::vector<std::string>& hidden_kinds) {
  std::array<Tile, 256> shown{};
  for (int tile = 0; tile < 256; ++tile) {
    const TileKind kind = kTiles[tile].kind;
    const bool hidden =
        std::any_of(hidden_kinds.begin(), hidden_kinds.end(), [&](const std::string& name) {
          return kTileKindNames[static_cast<int>(kind)] == name ||
                 (name == "goal" && kind == TileKind::kCycle);
        });
    shown[tile] = hidden ? kEmpty : static_cast<Tile>(tile);
  }
  return shown;
}

}  // namespace

int count_cycle_tiles(const Config& config, const TextMap& map) {
  std::array<bool, kMaxCycleTiles> present{};
  for (const Tile tile : map.cells) {
    if (kTiles[tile].kind == TileKind::kCycle) present[kTiles[tile].cycle_index] = true;
  }
  const auto count = std::count(present.begin(), present.end(), true);
  for (int i = 0; i < count; ++i) {
    if (!present[static_cast<std::size_t>(i)]) {
      config.fail("map", "has " + std::to_string(count) + " kinds of cycle tiles but none is '" +
                             std::to_string(i) + "'; number them 0, 1, 2, ...");
    }
  }
  return static_cast<int>(count);
}

TextMap read_map(const Config& config) {
  if (config.is_none("map")) return {};
  TextMap map;
  try {
    map = parse_map(config.texts("map"), true);
  } catch (const std::invalid_argument& error) {
    config.fail("map", std::string("is wrong: ") + error.what());
  }
  for (const std::string& name : config.layout_options()) {
    if (!config.given(name)) continue;
    const bool agrees =
        (name == "grid_size" && config.size(name) == std::pair{map.rows, map.cols}) ||
        (name == "num_goals" && config.integer(name) == count_cycle_tiles(config, map));
    if (!agrees) config.fail(name, "has no meaning together with map; leave one out");
  }
  return map;
}

std::vector<Tile> make_tile_set(int num_cycle_tiles, bool has_objects) {
  std::vector<Tile> tiles = {kEmpty, kWall, kGoal, kLava};
  for (int i = 0; i < num_cycle_tiles; ++i) tiles.push_back(static_cast<Tile>(kFirstCycle + i));
  for (int tile = 0; tile < 256 && has_objects; ++tile) {
    const TileTraits& traits = kTiles[tile];
    if (traits.valid && (traits.portable || traits.kind == TileKind::kDoor)) {
      tiles.push_back(static_cast<Tile>(tile));
    }
  }
  return tiles;
}

GameSpec make_grid_spec(const Config& config, const TextMap& map) {
  const int num_agents = config.integer("num_agents");
  GameSpec spec;
  spec.name = config.game();
  const auto [rows, cols] = map.rows > 0 ? std::pair{map.rows, map.cols} : config.size("grid_size");
  spec.shape = WorldShape(rows, cols, num_agents);
  spec.max_steps = config.integer("max_steps");
  spec.action_counts.assign(static_cast<std::size_t>(num_agents), kNumGridActions);
  spec.action_names = {"turn_left", "turn_right", "forward", "pick_up", "drop", "toggle", "done"};
  std::transform(kTiles.begin(), kTiles.end(), spec.glyphs.begin(),
                 [](const TileTraits& traits) { return traits.glyph; });
  spec.agents_wait = true;
  spec.has_details = true;
  return spec;
}

EgocentricView read_view(const Config& config, std::vector<Tile> tile_set) {
  const int num_agents = config.integer("num_agents");
  EgocentricView view;
  view.size = config.integer("view_size");
  view.offset = config.integer("view_offset");
  view.tile_size = config.integer("tile_size");
  if (view.size % 2 == 0) {
    config.fail("view_size", "= " + std::to_string(view.size) + " must be odd");
  }
  if (view.offset >= view.size) {
    config.fail("view_offset", "= " + std::to_string(view.offset) + " must be below view_size (" +
                                   std::to_string(view.size) + ")");
  }
  view.see_through_walls = config.flags("see_through_walls", num_agents);
  for (const auto& kinds : config.text_lists("hide", num_agents)) {
    view.hides_kinds.push_back(!kinds.empty());
    view.shown_tile.push_back(shown_tiles(kinds));
  }
  view.tile_set = std::move(tile_set);
  view.look.colors = agent_colors(config, num_agents);
  view.look.mapping = config.text("prestige_mapping") == "sigmoid" ? PrestigeMapping::kSigmoid
                                                                   : PrestigeMapping::kTanh;
  view.look.scale = config.number("prestige_scale");
  return view;
}

Values in_force(const Config& config, int num_cycle_tiles, const WorldShape& shape,
                const AgentLook& look) {
  Values values = config.resolved();
  if (!config.is_none("map")) {
    for (const std::string& name : config.layout_options()) values[name] = {};
  } else if (values.contains("num_clutter")) {
    const bool by_number = config.given("num_clutter") && !config.given("clutter_density");
    if (by_number) values["clutter_density"] = {};
    values["num_clutter"] = clutter_count(config);
  }
  values["grid_size"] = Value::List{Value(shape.rows), Value(shape.cols)};
  if (values.contains("num_goals")) values["num_goals"] = num_cycle_tiles;
  Value::List colors;
  for (const int color : look.colors) {
    colors.emplace_back(color == kPrestigeColor
                            ? "prestige"
                            : std::string(kColorNames[static_cast<std::size_t>(color)]));
  }
  values["color"] = colors;
  return values;
}

}  // namespace socialgrid
