#include "dilemma/dilemma_game.hpp"

#include <algorithm>

#include "core/map.hpp"
#include "core/text.hpp"

namespace socialgrid {
namespace {

using dilemma::kGround;
using dilemma::kTileTraits;

std::uint16_t bit(Tile tile) { return static_cast<std::uint16_t>(1u << tile); }

GameSpec make_spec(const Config& config, const std::vector<std::string>& map,
                   const std::vector<std::string>& more_actions) {
  GameSpec spec;
  spec.name = config.game();
  spec.shape = {.rows = static_cast<int>(map.size()),
                .cols = static_cast<int>(map.front().size()),
                .num_agents = config.integer("num_agents")};
  spec.max_steps = config.integer("max_steps");
  spec.action_names = {
      "left", "right", "up", "down", "stay", "turn_clockwise", "turn_counterclockwise"};
  spec.action_names.insert(spec.action_names.end(), more_actions.begin(), more_actions.end());
  spec.action_counts.assign(static_cast<std::size_t>(spec.shape.num_agents),
                            static_cast<int>(spec.action_names.size()));
  std::transform(kTileTraits.begin(), kTileTraits.end(), spec.glyphs.begin(),
                 [](const dilemma::TileTraits& traits) { return traits.glyph; });
  SquareView view;
  view.size = config.integer("view_size");
  view.tile_size = config.integer("tile_size");
  view.heading_up = config.text("view_rotation") == "egocentric";
  if (view.size % 2 == 0) {
    config.fail("view_size", "= " + std::to_string(view.size) + " must be odd");
  }
  spec.view = view;
  spec.config = config.resolved();
  return spec;
}

}  // namespace

std::vector<Option> dilemma_options(const DilemmaDefaults& defaults) {
  using enum OptionType;
  using enum OptionShape;
  const Value::List map(defaults.map.begin(), defaults.map.end());
  std::vector<Option> options = {
      {"num_agents",
       kInt,
       kSingle,
       defaults.num_agents,
       static_cast<double>(defaults.min_agents),
       static_cast<double>(defaults.max_agents),
       {},
       "agents per world"},
      {"map", kText, kList, map, 0, 0, {}, defaults.map_help},
      {"max_steps", kInt, kSingle, defaults.max_steps, 1, 1e9, {}, "steps until truncation"},
      {"view_size",
       kInt,
       kSingle,
       defaults.view_size,
       3,
       kMaxViewSize,
       {},
       "cells a side of the view, odd; the agent is in the middle"},
      {"tile_size", kInt, kSingle, 1, 1, 64, {}, "pixels a side of a cell"},
      {"view_rotation",
       kText,
       kSingle,
       "egocentric",
       0,
       0,
       {"egocentric", "public"},
       "public: agents facing sideways look down in their views, as in the public code"},
  };
  if (defaults.has_beams) {
    options.push_back(
        {"show_beams", kBool, kSingle, true, 0, 0, {}, "draw beams in agents' views"});
  }
  return options;
}

std::vector<Option> fine_options() {
  using enum OptionType;
  using enum OptionShape;
  return {{"fire_cost", kNumber, kSingle, 1.0, 0, 1e6, {}, "what a shot costs the shooter"},
          {"hit_penalty", kNumber, kSingle, 50.0, 0, 1e6, {}, "what a hit costs the agent hit"}};
}

Fines read_fines(const Config& config) {
  return {config.number("fire_cost"), config.number("hit_penalty")};
}

DilemmaGame::DilemmaGame(const Config& config, const Setup& setup)
    : Game({}), map_(config.texts("map")), agents_leave_(setup.agents_leave) {
  std::vector<MapSymbol> legend = {
      {'@', dilemma::kWall, {}}, {' ', kGround, {}}, {'P', kGround, {}}};
  legend.insert(legend.end(), setup.legend.begin(), setup.legend.end());
  std::string symbols;
  for (const MapSymbol& entry : legend) symbols += entry.symbol;
  try {
    check_text(map_, symbols);
  } catch (const std::invalid_argument& error) {
    config.fail("map", std::string("is wrong: ") + error.what());
  }
  spec_ = make_spec(config, map_, setup.more_actions);
  spec_.event_names = setup.event_names;
  spec_.shape.has_beams = setup.has_beams;
  if (setup.has_beams) std::get<SquareView>(spec_.view).show_beams = config.flag("show_beams");
  for (const std::string& line : map_) {
    for (const char symbol : line) {
      const MapSymbol& entry = legend[symbols.find(symbol)];
      base_.push_back(entry.start);
      allowed_.push_back(bit(entry.start));
      for (const Tile tile : entry.later) allowed_.back() |= bit(tile);
    }
  }
  spawns_ = cells_marked("P");
  ground_ = cells_marked(" ");
  starts_.assign(static_cast<std::size_t>(spec_.shape.num_agents), -1);
}

std::vector<std::uint16_t> DilemmaGame::cells_marked(const std::string& symbols) const {
  std::vector<std::uint16_t> cells;
  std::uint16_t cell = 0;
  for (const std::string& line : map_) {
    for (const char symbol : line) {
      if (symbols.find(symbol) != std::string::npos) cells.push_back(cell);
      ++cell;
    }
  }
  return cells;
}

void DilemmaGame::start_at(std::size_t agent, std::uint16_t cell) { starts_[agent] = cell; }

void DilemmaGame::check_room() const {
  const auto needed = static_cast<std::size_t>(std::count(starts_.begin(), starts_.end(), -1));
  const std::size_t room = spawns_.size() + ground_.size();
  if (needed > room) {
    throw ConfigError(spec_.name + ": num_agents = " + std::to_string(starts_.size()) +
                      ", but the map has only " + std::to_string(room) +
                      " cells where agents can start (P and empty ground)");
  }
}

void DilemmaGame::place_all(World& world, Rng& rng) const {
  WorldHeader& header = world.header();
  header.step = 0;
  header.arrivals = 0;
  header.spawn_cols = 0;
  std::copy(base_.begin(), base_.end(), world.cells().begin());
  clear_beams(world);
  std::vector<std::uint16_t> pool = spawns_;
  bool spawns_left = true;
  for (std::size_t a = 0; a < starts_.size(); ++a) {
    auto cell = static_cast<std::uint16_t>(starts_[a]);
    if (starts_[a] < 0) {
      if (pool.empty() && spawns_left) {
        pool = ground_;
        spawns_left = false;
      }
      const std::uint32_t k = rng.uniform_int(static_cast<std::uint32_t>(pool.size()));
      cell = pool[k];
      pool[k] = pool.back();
      pool.pop_back();
    }
    Agent& agent = world.agents()[a];
    agent = {};
    agent.row = static_cast<std::int16_t>(cell / world.cols());
    agent.col = static_cast<std::int16_t>(cell % world.cols());
    agent.dir = static_cast<std::uint8_t>(rng.uniform_int(4));
    agent.status = AgentStatus::kActive;
  }
}

void DilemmaGame::begin_step(World& world, std::span<const std::int32_t> actions,
                             const Outcome& outcome) const {
  ++world.header().step;
  for (std::size_t a = 0; a < actions.size(); ++a) world.agents()[a].last_action = actions[a];
  clear_beams(world);
  std::fill(outcome.rewards.begin(), outcome.rewards.end(), 0.0f);
  std::fill(outcome.events.begin(), outcome.events.end(), std::uint8_t{0});
}

void DilemmaGame::eat_apples(World& world, int event, const Outcome& outcome) const {
  const std::size_t kinds = spec_.event_names.size();
  for (std::size_t a = 0; a < world.agents().size(); ++a) {
    Tile& tile = world.at(world.agents()[a].position());
    if (tile != dilemma::kApple) continue;
    tile = kGround;
    ++outcome.events[a * kinds + static_cast<std::size_t>(event)];
  }
}

void DilemmaGame::pay(int apples_event, const BeamRules& beams, const Fines& fines,
                      const Outcome& outcome) const {
  const std::uint8_t* counts = outcome.events.data();
  for (float& reward : outcome.rewards) {
    reward = static_cast<float>(counts[apples_event] - fines.shot * counts[beams.shots_event] -
                                fines.hit * counts[beams.hits_event]);
    counts += beams.num_events;
  }
}

Layout DilemmaGame::layout(const World& world) const {
  Layout out;
  out.step = world.header().step;
  for (int row = 0; row < world.rows(); ++row) {
    std::string line;
    for (int col = 0; col < world.cols(); ++col) line += spec_.glyphs[world.at({row, col})];
    out.cells.push_back(std::move(line));
  }
  for (const Agent& agent : world.agents()) {
    out.agent_pos.emplace_back(agent.row, agent.col);
    out.agent_dir.push_back(agent.dir);
    out.agent_active.push_back(agent.active());
    out.agent_carrying.emplace_back();
    out.agent_prestige.push_back(0.0);
    out.agent_last_tile.emplace_back();
  }
  return out;
}

void DilemmaGame::apply_layout(World& world, const Layout& layout, bool finished) const {
  if (static_cast<int>(layout.cells.size()) != world.rows()) {
    throw LayoutError("cells: the layout has " + std::to_string(layout.cells.size()) +
                      " rows, this environment " + std::to_string(world.rows()));
  }
  const std::size_t num_agents = world.agents().size();
  check_one_entry_per_agent(layout, num_agents);
  refuse_grid_details(layout, spec_.name);

  // Everything is built beside the world, which is replaced only when all of it is right.
  std::vector<std::byte> block(world.block().begin(), world.block().end());
  World next(world.shape(), block.data());
  next.header().step = layout.step;
  clear_beams(next);
  for (int row = 0; row < world.rows(); ++row) {
    const std::string& line = layout.cells[static_cast<std::size_t>(row)];
    const std::size_t length = num_characters(line);
    if (static_cast<int>(length) != world.cols()) {
      throw LayoutError("cells: line " + std::to_string(row + 1) + " has " +
                        std::to_string(length) + " characters, this environment's map " +
                        std::to_string(world.cols()));
    }
    for (int col = 0; col < world.cols(); ++col) {
      const char glyph = line[static_cast<std::size_t>(col)];
      const std::uint16_t allowed = allowed_[world.index({row, col})];
      std::string choices;
      bool found = false;
      for (Tile tile = 0; tile < dilemma::kNumTiles; ++tile) {
        if ((allowed & bit(tile)) == 0) continue;
        choices += std::string(choices.empty() ? "" : " or ") + "'" + kTileTraits[tile].glyph + "'";
        if (kTileTraits[tile].glyph != glyph) continue;
        next.at({row, col}) = tile;
        found = true;
      }
      if (!found) {
        throw LayoutError("cells: line " + std::to_string(row + 1) + ", column " +
                          std::to_string(col + 1) + ": '" +
                          printable(character_at(line, static_cast<std::size_t>(col))) +
                          "' cannot be here; by this environment's map the cell holds " + choices);
      }
    }
  }
  for (std::size_t a = 0; a < num_agents; ++a) {
    Agent& agent = next.agents()[a];
    const auto [row, col] = layout.agent_pos[a];
    if (!next.contains({row, col})) {
      throw LayoutError("agent " + std::to_string(a) + " at " + place_text(row, col) +
                        " is outside the " + std::to_string(next.rows()) + " x " +
                        std::to_string(next.cols()) + " grid");
    }
    if (layout.agent_dir[a] < 0 || layout.agent_dir[a] > 3) {
      throw LayoutError("agent " + std::to_string(a) + ": direction " +
                        std::to_string(layout.agent_dir[a]) +
                        " is not one of 0 right, 1 down, 2 left, 3 up");
    }
    agent = {};
    agent.row = static_cast<std::int16_t>(row);
    agent.col = static_cast<std::int16_t>(col);
    agent.dir = static_cast<std::uint8_t>(layout.agent_dir[a]);
    agent.status = layout.agent_active.empty() || layout.agent_active[a] ? AgentStatus::kActive
                                                                         : AgentStatus::kEnded;
  }
  try {
    check_world(next, finished);
  } catch (const std::invalid_argument& error) {
    throw LayoutError(error.what());
  }
  std::copy(block.begin(), block.end(), world.block().begin());
}

void DilemmaGame::validate(const World& world, bool finished) const {
  if (world.header().stream.used > (std::uint64_t{1} << 34)) {
    throw std::invalid_argument("random stream position out of range");
  }
  check_world(world, finished);
}

void DilemmaGame::check_world(const World& world, bool finished) const {
  const auto require = [](bool holds, const std::string& what) {
    if (!holds) throw std::invalid_argument(what);
  };
  const int step = world.header().step;
  const int last = spec_.max_steps - (finished ? 0 : 1);
  require(step >= 0 && step <= last, "step = " + std::to_string(step) +
                                         " is out of range; allowed: 0 to " + std::to_string(last));
  for (std::size_t cell = 0; cell < base_.size(); ++cell) {
    const Tile tile = world.cells()[cell];
    require(tile < dilemma::kNumTiles && (allowed_[cell] & bit(tile)) != 0,
            "a cell holds what it cannot hold on this map");
  }
  for (const std::uint8_t beam : world.beams()) {
    require(beam <= dilemma::kNumBeams, "a beam is unknown");
    require(beam == 0 || world.header().beams != 0, "there are beams, but none are noted");
  }
  std::vector<bool> taken(base_.size());
  bool any_active = false;
  for (std::size_t a = 0; a < world.agents().size(); ++a) {
    const Agent& agent = world.agents()[a];
    const std::string who =
        "agent " + std::to_string(a) + " at " + place_text(agent.row, agent.col);
    require(agent.status == AgentStatus::kActive ||
                (agents_leave_ && agent.status == AgentStatus::kEnded),
            who + " is out of play, which does not happen in " + spec_.name);
    require(agent.dir < 4, who + " faces an unknown direction");
    require(agent.last_action >= -1 && agent.last_action < spec_.action_counts[a],
            who + ": its last action is unknown");
    require(world.contains(agent.position()), who + " is outside the grid");
    if (!agent.active()) continue;
    any_active = true;
    const Tile under = world.at(agent.position());
    require(!dilemma::is_solid(under),
            who + " stands in '" + std::string(1, kTileTraits[under].glyph) + "'");
    require(!taken[world.index(agent.position())], who + " stands where another agent is");
    taken[world.index(agent.position())] = true;
  }
  require(any_active || finished, "no agent is in play");
  check_cells(world);
}

}  // namespace socialgrid
