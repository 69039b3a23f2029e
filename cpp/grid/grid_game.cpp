#include "grid/grid_game.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/text.hpp"
#include "grid/solvable.hpp"

namespace socialgrid {
namespace {

// Colours given to agents by index when the user names none.
constexpr std::array<const char*, kNumColors> kDefaultColors = {
    "red", "blue", "purple", "orange", "olive", "pink", "cyan", "green", "yellow", "grey", "white"};

std::vector<std::string> color_choices() {
  std::vector<std::string> names(kColorNames.begin(), kColorNames.end());
  names.emplace_back("prestige");
  return names;
}

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

EgocentricView read_view(const Config& config, int num_agents) {
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
  return view;
}

// Number of distinct cycle tiles; their indices must be 0, 1, ... without a gap.
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

TextMap read_map(const Config& config, const std::vector<std::string>& layout_options) {
  if (config.is_none("map")) return {};
  TextMap map;
  try {
    map = parse_map(config.texts("map"), true);
  } catch (const std::invalid_argument& error) {
    config.fail("map", std::string("is wrong: ") + error.what());
  }
  for (const std::string& name : layout_options) {
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

bool is_object(Tile tile) { return kTiles[tile].portable || kTiles[tile].kind == TileKind::kDoor; }

GameSpec make_spec(const Config& config, const TextMap& map, int num_cycle_tiles,
                   bool has_objects) {
  const int num_agents = config.integer("num_agents");
  GameSpec spec;
  spec.name = config.game();
  const auto [rows, cols] = map.rows > 0 ? std::pair{map.rows, map.cols} : config.size("grid_size");
  spec.shape = {.rows = rows, .cols = cols, .num_agents = num_agents};
  spec.max_steps = config.integer("max_steps");
  spec.action_counts.assign(static_cast<std::size_t>(num_agents), kNumGridActions);
  spec.action_names = {"turn_left", "turn_right", "forward", "pick_up", "drop", "toggle", "done"};
  std::transform(kTiles.begin(), kTiles.end(), spec.glyphs.begin(),
                 [](const TileTraits& traits) { return traits.glyph; });
  EgocentricView view = read_view(config, num_agents);
  view.tile_set = make_tile_set(num_cycle_tiles, has_objects);
  view.look.colors = agent_colors(config, num_agents);
  view.look.mapping = config.text("prestige_mapping") == "sigmoid" ? PrestigeMapping::kSigmoid
                                                                   : PrestigeMapping::kTanh;
  view.look.scale = config.number("prestige_scale");
  spec.view = std::move(view);
  return spec;
}

// Every option with what is in force, so that the same configuration makes the same game again.
Values in_force(const Config& config, const GridGame::Setup& setup, const GameSpec& spec) {
  Values values = config.resolved();
  if (!config.is_none("map")) {
    for (const std::string& name : setup.layout_options) values[name] = {};
  } else if (values.contains("num_clutter")) {
    const bool by_number = config.given("num_clutter") && !config.given("clutter_density");
    if (by_number) values["clutter_density"] = {};
    values["num_clutter"] = clutter_count(config);
  }
  values["grid_size"] = Value::List{Value(spec.shape.rows), Value(spec.shape.cols)};
  if (values.contains("num_goals")) values["num_goals"] = setup.num_cycle_tiles;
  Value::List colors;
  for (const int color : std::get<EgocentricView>(spec.view).look.colors) {
    colors.emplace_back(color == kPrestigeColor
                            ? "prestige"
                            : std::string(kColorNames[static_cast<std::size_t>(color)]));
  }
  values["color"] = colors;
  return values;
}

int clutter_of_density(const Config& config) {
  const auto [rows, cols] = config.size("grid_size");
  return static_cast<int>(config.number("clutter_density") * (cols - 2) * (rows - 2));
}

}  // namespace

std::vector<Option> grid_options(const GridDefaults& defaults) {
  using enum OptionType;
  using enum OptionShape;
  std::vector<std::string> kinds(kTileKindNames.begin() + 1, kTileKindNames.end());
  return {
      {"num_agents", kInt, kSingle, defaults.num_agents, 1, kMaxAgents, {}, "agents per world"},
      {"grid_size",
       kInt,
       kSize,
       defaults.grid_size,
       static_cast<double>(defaults.min_size),
       kMaxSide,
       {},
       "cells a side, or [rows, columns], walls included"},
      {"max_steps", kInt, kSingle, defaults.max_steps, 1, 1e9, {}, "steps until truncation"},
      {"map",
       kText,
       kList,
       {},
       0,
       0,
       {},
       "own map: one string a row of . # 0-9 G L D K O B, and P where agents may start"},
      {"view_size", kInt, kSingle, 7, 3, kMaxViewSize, {}, "tiles a side of the view, odd"},
      {"view_offset", kInt, kSingle, 1, 0, kMaxViewSize - 1, {}, "rows seen behind the agent"},
      {"tile_size", kInt, kSingle, 3, 1, 64, {}, "pixels a side of a tile"},
      {"see_through_walls", kBool, kPerAgent, false, 0, 0, {}, "switch occlusion off"},
      {"hide", kText, kListPerAgent, Value::List{}, 0, 0, std::move(kinds),
       "object kinds removed from an agent's view; goal covers cycle tiles"},
      {"color", kText, kPerAgent, defaults.prestige_color ? Value("prestige") : Value(), 0, 0,
       color_choices(), "agents' colours; prestige: red to blue by recent reward"},
      {"prestige_mapping",
       kText,
       kSingle,
       "tanh",
       0,
       0,
       {"tanh", "sigmoid"},
       "how prestige becomes a share of blue"},
      {"prestige_decay", kNumber, kSingle, 0.95, 0, 1, {}, "factor on prestige every step"},
      {"prestige_scale", kNumber, kSingle, 2.0, 1e-9, 1e9, {}, "prestige is divided by it"},
      {"ghost_mode", kBool, kSingle, true, 0, 0, {}, "agents overlap freely"},
      {"respawn",
       kBool,
       kSingle,
       defaults.respawn,
       0,
       0,
       {},
       "an agent that reached a goal or lava is placed again"},
      {"reward_decay",
       kBool,
       kSingle,
       defaults.reward_decay,
       0,
       0,
       {},
       "multiply rewards by 1 - 0.9 step / max_steps"},
      {"spawn_delay", kInt, kPerAgent, 0, 0, 1e9, {}, "steps before an agent enters play"},
      {"solvable",
       kBool,
       kSingle,
       false,
       0,
       0,
       {},
       "every agent can reach a goal, and all tiles of the cycle, from where it enters play; "
       "worlds in which one cannot are drawn anew"},
  };
}

std::vector<Option> clutter_options(double default_density) {
  return {{"num_clutter",
           OptionType::kInt,
           OptionShape::kSingle,
           {},
           0,
           static_cast<double>(kMaxSide) * kMaxSide,
           {},
           "walls placed at random"},
          {"clutter_density",
           OptionType::kNumber,
           OptionShape::kSingle,
           default_density,
           0,
           1,
           {},
           "the same as a share of the cells inside the frame"}};
}

int clutter_count(const Config& config) {
  if (config.given("num_clutter")) {
    const int count = config.integer("num_clutter");
    if (config.given("clutter_density") && count != clutter_of_density(config)) {
      config.fail("num_clutter", "and clutter_density are both given; give one of them");
    }
    return count;
  }
  return clutter_of_density(config);
}

CellPool::CellPool(const World& world, int cols) {
  if (cols < 0) cols = world.cols();
  for (int row = 0; row < world.rows(); ++row) {
    for (int col = 0; col < cols; ++col) {
      if (world.at({row, col}) == kEmpty) cells_.push_back({row, col});
    }
  }
}

Position CellPool::take(Rng& rng) {
  if (cells_.empty()) throw ConfigError("the grid is too small for all objects to be placed");
  const std::uint32_t k = rng.uniform_int(static_cast<std::uint32_t>(cells_.size()));
  const Position taken = cells_[k];
  cells_[k] = cells_.back();
  cells_.pop_back();
  return taken;
}

void draw_frame(World& world) {
  const int last_row = world.rows() - 1;
  const int last_col = world.cols() - 1;
  for (int col = 0; col <= last_col; ++col) world.at({0, col}) = world.at({last_row, col}) = kWall;
  for (int row = 0; row <= last_row; ++row) world.at({row, 0}) = world.at({row, last_col}) = kWall;
}

GridGame::GridGame(const Config& config, Setup setup)
    : Game({}), setup_(std::move(setup)), map_(read_map(config, setup_.layout_options)) {
  if (map_.rows > 0) {
    setup_.num_cycle_tiles = count_cycle_tiles(config, map_);
    setup_.has_objects =
        setup_.has_objects || std::any_of(map_.cells.begin(), map_.cells.end(), is_object);
  }
  spec_ = make_spec(config, map_, setup_.num_cycle_tiles, setup_.has_objects);
  spec_.config = in_force(config, setup_, spec_);
  ghost_mode_ = config.flag("ghost_mode");
  respawn_ = config.flag("respawn");
  reward_decay_ = config.flag("reward_decay");
  prestige_decay_ = config.number("prestige_decay");
  spawn_delay_ = config.integers("spawn_delay", spec_.shape.num_agents);
  solvable_ = config.flag("solvable");

  // A configuration that cannot be placed is refused now, not in the middle of a run.
  std::vector<std::byte> block(spec_.shape.bytes());
  World trial(spec_.shape, block.data());
  trial.construct();
  Rng rng(trial.header().stream);
  try {
    draw(trial, rng);
    if (solvable_) require_solvable(trial, rng);
  } catch (const ConfigError& error) {
    throw ConfigError(spec_.name + ": " + error.what() + " (grid " +
                      std::to_string(spec_.shape.rows) + " x " + std::to_string(spec_.shape.cols) +
                      ")");
  }
  for (Agent& agent : trial.agents()) agent.status = AgentStatus::kWaiting;
  const bool keeps_map = solvable_ && map_.rows > 0;
  const int places =
      count_places(trial, keeps_map ? solving_starts(trial) : map_.spawns, ghost_mode_);
  const int needed = ghost_mode_ ? 1 : spec_.shape.num_agents;
  if (places < needed) {
    throw ConfigError(spec_.name + ": only " + std::to_string(places) + " cells where the " +
                      std::to_string(spec_.shape.num_agents) +
                      " agents can start; make the grid larger or the clutter smaller");
  }
}

void GridGame::reset(World& world, Rng& rng) const {
  // The constructor has seen to it that a world in a hundred is solvable at least: that this many
  // in a row are not, has a probability below 1e-280.
  constexpr int kMaxDraws = 1 << 16;
  for (int draws = 0; draws < kMaxDraws; ++draws) {
    draw(world, rng);
    if (!solvable_ || is_solvable(world)) return;
  }
  throw std::runtime_error("no solvable world was found in " + std::to_string(kMaxDraws));
}

void GridGame::draw(World& world, Rng& rng) const {
  WorldHeader& header = world.header();
  header.step = 0;
  header.arrivals = 0;
  header.spawn_cols = static_cast<std::int16_t>(world.cols());
  std::fill(world.agents().begin(), world.agents().end(), Agent{});
  if (map_.rows > 0) {
    std::copy(map_.cells.begin(), map_.cells.end(), world.cells().begin());
  } else {
    std::fill(world.cells().begin(), world.cells().end(), kEmpty);
    setup_.generate(world, rng);
  }
  for (std::size_t a = 0; a < world.agents().size(); ++a) {
    if (spawn_delay_[a] != 0) continue;
    // On a user's map, where nothing else is random, agents keep to the right cells at once. Of
    // other worlds reset() takes none in which they do not.
    place(world, world.agents()[a], solvable_ && map_.rows > 0, rng);
  }
}

// Everybody in play can set out, and so can who comes later.
bool GridGame::is_solvable(const World& world) const {
  const std::vector<std::uint8_t> solves = solving_cells(world);
  for (const Agent& agent : world.agents()) {
    if (agent.active() && solves[world.index(agent.position())] == 0) return false;
  }
  return count_places(world, solving_starts(world), true) > 0;
}

std::vector<std::uint8_t> GridGame::solving_starts(const World& world) const {
  std::vector<std::uint8_t> starts = solving_cells(world);
  for (std::size_t cell = 0; cell < map_.spawns.size(); ++cell) starts[cell] &= map_.spawns[cell];
  return starts;
}

void GridGame::require_solvable(World& trial, Rng& rng) const {
  constexpr int kDraws = 256;
  constexpr int kEnough = 8;
  int found = is_solvable(trial) ? 1 : 0;
  if (map_.rows > 0 && found == 0) {
    throw ConfigError("solvable = True, but the map has no start from which all can be reached");
  }
  for (int draws = 1; draws < kDraws && found < kEnough && map_.rows == 0; ++draws) {
    draw(trial, rng);
    found += is_solvable(trial) ? 1 : 0;
  }
  if (found < kEnough && map_.rows == 0) {
    throw ConfigError("solvable = True, but only " + std::to_string(found) + " of " +
                      std::to_string(kDraws) +
                      " worlds are; make the grid larger or the clutter smaller");
  }
}

void GridGame::step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
                    Rng& rng) const {
  const std::span<Agent> agents = world.agents();
  spawn_due_agents(world, rng);
  ++world.header().step;

  std::array<std::uint8_t, kMaxAgents> order_storage;
  const std::span<std::uint8_t> order(order_storage.data(), agents.size());
  std::iota(order.begin(), order.end(), std::uint8_t{0});
  if (!ghost_mode_) rng.shuffle(order);

  for (const std::uint8_t a : order) {
    Agent& agent = agents[a];
    agent.last_action = actions[a];
    outcome.rewards[a] =
        agent.status == AgentStatus::kActive
            ? static_cast<float>(act(world, agent, static_cast<GridAction>(actions[a])))
            : 0.0f;
  }
  retire_leaving_agents(world, rng);
}

void GridGame::place(World& world, Agent& agent, bool solvable, Rng& rng) const {
  std::vector<std::uint8_t> starts;
  if (solvable) starts = solving_starts(world);
  // None at all is left where play itself has undone the way, as with a key that is out of reach.
  const bool limited = solvable && count_places(world, starts, true) > 0;
  if (!place_agent(world, agent, limited ? starts : map_.spawns, ghost_mode_, rng)) {
    agent.row = agent.col = -1;
    agent.dir = 0;
  }
}

void GridGame::spawn_due_agents(World& world, Rng& rng) const {
  for (std::size_t a = 0; a < world.agents().size(); ++a) {
    Agent& agent = world.agents()[a];
    if (agent.status == AgentStatus::kWaiting && spawn_delay_[a] <= world.header().step) {
      place(world, agent, solvable_, rng);
    }
  }
}

double GridGame::act(World& world, Agent& agent, GridAction action) const {
  double reward = 0.0;
  switch (action) {
    case GridAction::kTurnLeft:
      agent.dir = (agent.dir + 3) % 4;
      break;
    case GridAction::kTurnRight:
      agent.dir = (agent.dir + 1) % 4;
      break;
    case GridAction::kForward:
      if (move_forward(world, agent, ghost_mode_)) {
        reward = enter_tile(agent, world.at(agent.position()));
        if (reward_decay_) reward *= 1.0 - 0.9 * (double(world.header().step) / spec_.max_steps);
        agent.prestige = reward >= 0 ? agent.prestige + reward : 0.0;
      }
      break;
    default:
      handle_object(world, agent, action);
  }
  agent.prestige *= prestige_decay_;
  return reward;
}

double GridGame::enter_tile(Agent& agent, Tile tile) const {
  switch (kTiles[tile].kind) {
    case TileKind::kGoal:
      agent.status = AgentStatus::kLeaving;
      return 1.0;
    case TileKind::kLava:
      agent.status = AgentStatus::kLeaving;
      return 0.0;
    case TileKind::kCycle:
      return enter_cycle_tile(agent, kTiles[tile].cycle_index);
    default:
      return 0.0;
  }
}

double GridGame::enter_cycle_tile(Agent& agent, int index) const {
  const CycleRules& rules = setup_.cycle;
  const bool first = agent.last_tile < 0;
  if (first || (agent.last_tile + 1) % setup_.num_cycle_tiles == index) {
    agent.last_tile = static_cast<std::int8_t>(index);
    return first && !rules.initial_reward ? 0.0 : rules.reward;
  }
  if (rules.reset_on_mistake) agent.last_tile = static_cast<std::int8_t>(index);
  return -std::abs(rules.penalty);
}

void GridGame::retire_leaving_agents(World& world, Rng& rng) const {
  for (Agent& agent : world.agents()) {
    if (agent.status != AgentStatus::kLeaving) continue;
    if (respawn_) {
      agent.status = AgentStatus::kWaiting;
      agent.carrying = kEmpty;
      place(world, agent, solvable_, rng);
    } else {
      agent.status = AgentStatus::kEnded;
    }
  }
}

bool GridGame::in_tile_set(Tile tile) const {
  const std::vector<Tile>& tiles = std::get<EgocentricView>(spec_.view).tile_set;
  return std::find(tiles.begin(), tiles.end(), tile) != tiles.end();
}

Layout GridGame::layout(const World& world) const {
  Layout out;
  out.step = world.header().step;
  for (int row = 0; row < world.rows(); ++row) {
    std::string line;
    for (int col = 0; col < world.cols(); ++col) {
      const Tile tile = world.at({row, col});
      line += kTiles[tile].glyph;
      if (is_object(tile)) out.details[{row, col}] = describe_tile(tile);
    }
    out.cells.push_back(std::move(line));
  }
  for (const Agent& agent : world.agents()) {
    out.agent_pos.emplace_back(agent.row, agent.col);
    out.agent_dir.push_back(agent.dir);
    out.agent_active.push_back(agent.active());
    out.agent_carrying.push_back(
        agent.carrying == kEmpty ? std::nullopt : std::optional(describe_tile(agent.carrying)));
    out.agent_prestige.push_back(agent.prestige);
    out.agent_last_tile.push_back(agent.last_tile < 0 ? std::nullopt
                                                      : std::optional<int>(agent.last_tile));
  }
  return out;
}

Tile GridGame::tile_for_layout(const Layout& layout, int row, int col) const {
  const char glyph = layout.cells[static_cast<std::size_t>(row)][static_cast<std::size_t>(col)];
  Tile tile = *tile_of_glyph(glyph);
  const std::string where = place_text(row, col);
  if (const auto detail = layout.details.find({row, col}); detail != layout.details.end()) {
    const std::optional<Tile> described = parse_tile_description(detail->second);
    if (!described || kTiles[*described].glyph != glyph) {
      throw LayoutError("details at " + where + ": '" + printable(detail->second) +
                        "' does not describe '" + std::string(1, glyph) +
                        "'; write for example 'red locked door' (D), 'blue key' (K)");
    }
    tile = *described;
  }
  if (!in_tile_set(tile)) {
    const bool cycle = kTiles[tile].kind == TileKind::kCycle;
    throw LayoutError("cells at " + where + ": '" + std::string(1, glyph) + "' cannot occur in " +
                      spec_.name +
                      (cycle ? " with " + std::to_string(setup_.num_cycle_tiles) + " cycle tiles"
                             : "; use a game or a map that has such objects"));
  }
  return tile;
}

void GridGame::apply_layout(World& world, const Layout& layout, bool finished) const {
  TextMap map;
  try {
    map = parse_map(layout.cells, false);
  } catch (const std::invalid_argument& error) {
    throw LayoutError(std::string("cells: ") + error.what());
  }
  if (map.rows != world.rows() || map.cols != world.cols()) {
    throw LayoutError("cells: the layout is " + std::to_string(map.rows) + " x " +
                      std::to_string(map.cols) + ", this environment " +
                      std::to_string(world.rows()) + " x " + std::to_string(world.cols()));
  }
  const std::size_t num_agents = world.agents().size();
  check_one_entry_per_agent(layout, num_agents);
  const int last = spec_.max_steps - (finished ? 0 : 1);
  if (layout.step < 0 || layout.step > last) {
    throw LayoutError("step = " + std::to_string(layout.step) + " is out of range; allowed: 0 to " +
                      std::to_string(last));
  }

  // Everything is built beside the world, which is replaced only when all of it is right.
  std::vector<std::byte> block(world.block().begin(), world.block().end());
  World next(world.shape(), block.data());
  next.header().step = layout.step;
  next.header().arrivals = 0;
  next.header().spawn_cols = static_cast<std::int16_t>(world.cols());
  bool door_seen = false;
  for (int row = 0; row < map.rows; ++row) {
    for (int col = 0; col < map.cols; ++col) {
      const Tile tile = tile_for_layout(layout, row, col);
      next.at({row, col}) = tile;
      if (kTiles[tile].kind == TileKind::kDoor && !door_seen && map_.rows == 0) {
        door_seen = true;
        next.header().spawn_cols = static_cast<std::int16_t>(col);
      }
    }
  }
  for (const auto& [where, text] : layout.details) {
    if (!next.contains({where.first, where.second})) {
      throw LayoutError("details at " + place_text(where.first, where.second) + " ('" +
                        printable(text) + "') is outside the grid");
    }
  }
  std::fill(next.agents().begin(), next.agents().end(), Agent{});
  for (std::size_t a = 0; a < num_agents; ++a) {
    Agent& agent = next.agents()[a];
    const std::string who = "agent " + std::to_string(a);
    const Position position{layout.agent_pos[a].first, layout.agent_pos[a].second};
    const bool active = layout.agent_active.empty() || layout.agent_active[a];
    const std::string at = " at " + place_text(position.row, position.col);
    if (!next.contains(position) && (active || position != Position{})) {
      throw LayoutError(who + at + " is outside the " + std::to_string(map.rows) + " x " +
                        std::to_string(map.cols) + " grid");
    }
    if (active && !kTiles[next.at(position)].walkable) {
      throw LayoutError(who + at + " stands in a " + describe_tile(next.at(position)));
    }
    if (active && !ghost_mode_ && occupied(next, position)) {
      throw LayoutError(who + at + " stands where another agent is, and ghost_mode is False");
    }
    if (layout.agent_dir[a] < 0 || layout.agent_dir[a] > 3) {
      throw LayoutError(who + ": direction " + std::to_string(layout.agent_dir[a]) +
                        " is not one of 0 right, 1 down, 2 left, 3 up");
    }
    agent.row = static_cast<std::int16_t>(position.row);
    agent.col = static_cast<std::int16_t>(position.col);
    agent.dir = static_cast<std::uint8_t>(layout.agent_dir[a]);
    if (active) {
      agent.status = AgentStatus::kActive;
    } else {
      const bool waiting =
          position == Position{} || (spawn_delay_[a] > 0 && spawn_delay_[a] >= layout.step);
      agent.status = waiting ? AgentStatus::kWaiting : AgentStatus::kEnded;
    }
    if (agent.shown()) agent.arrival = next.header().arrivals++;
    if (!layout.agent_carrying.empty() && layout.agent_carrying[a]) {
      const std::optional<Tile> tile = parse_tile_description(*layout.agent_carrying[a]);
      if (!tile || !kTiles[*tile].portable || !in_tile_set(*tile)) {
        throw LayoutError(who + " cannot carry '" + printable(*layout.agent_carrying[a]) +
                          "'; write for example 'yellow key', in a game that has objects");
      }
      agent.carrying = *tile;
    }
    if (!layout.agent_prestige.empty()) {
      const double prestige = layout.agent_prestige[a];
      if (!std::isfinite(prestige) || prestige < 0) {
        throw LayoutError(who + ": prestige = " + to_string(Value(prestige)) +
                          " must be a finite number of at least 0");
      }
      agent.prestige = prestige;
    }
    if (!layout.agent_last_tile.empty() && layout.agent_last_tile[a]) {
      const int index = *layout.agent_last_tile[a];
      if (index < 0 || index >= setup_.num_cycle_tiles) {
        throw LayoutError(who + ": last tile " + std::to_string(index) + " does not exist; " +
                          spec_.name + " has " + std::to_string(setup_.num_cycle_tiles) +
                          " cycle tiles here");
      }
      agent.last_tile = static_cast<std::int8_t>(index);
    }
  }
  std::copy(block.begin(), block.end(), world.block().begin());
}

void GridGame::validate(const World& world, bool finished) const {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
  };
  const WorldHeader& header = world.header();
  require(header.step >= 0 && header.step < spec_.max_steps + (finished ? 1 : 0),
          "step counter out of range");
  require(header.spawn_cols >= 0 && header.spawn_cols <= world.cols(), "spawn columns wrong");
  require(header.stream.used <= (std::uint64_t{1} << 34), "random stream position out of range");
  for (const Tile tile : world.cells()) require(in_tile_set(tile), "a cell holds an unknown tile");
  for (const Agent& agent : world.agents()) {
    require(agent.status <= AgentStatus::kEnded && agent.status != AgentStatus::kLeaving,
            "an agent's status is unknown");
    require(agent.dir < 4, "an agent's direction is unknown");
    require(agent.last_tile >= -1 && agent.last_tile < setup_.num_cycle_tiles,
            "an agent remembers a tile that does not exist");
    require(agent.carrying == kEmpty ||
                (kTiles[agent.carrying].portable && in_tile_set(agent.carrying)),
            "an agent carries something that cannot be carried");
    require(std::isfinite(agent.prestige) && agent.prestige >= 0, "an agent's prestige is wrong");
    require(agent.last_action >= -1 && agent.last_action < kNumGridActions,
            "an agent's last action is unknown");
    require(world.contains(agent.position()) || (!agent.shown() && agent.position() == Position{}),
            "an agent is outside the grid");
    require(!agent.active() || kTiles[world.at(agent.position())].walkable,
            "an agent stands in a solid cell");
  }
}

}  // namespace socialgrid
