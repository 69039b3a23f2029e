#include "dilemma/dilemma_game.hpp"

#include <algorithm>

#include "core/map.hpp"
#include "core/text.hpp"
#include "dilemma/square_observer.hpp"

namespace socialgrid {
namespace {

using dilemma::kGround;
using dilemma::kTileTraits;

std::uint16_t bit(Tile tile) { return static_cast<std::uint16_t>(1u << tile); }

GameSpec make_spec(const Config& config, const std::vector<std::string>& map,
                   const std::vector<std::string>& more_actions) {
  GameSpec spec;
  spec.name = config.game();
  spec.shape = WorldShape(static_cast<int>(map.size()), static_cast<int>(map.front().size()),
                          config.integer("num_agents"));
  spec.max_steps = config.integer("max_steps");
  spec.action_names = {
      "left", "right", "up", "down", "stay", "turn_clockwise", "turn_counterclockwise"};
  spec.action_names.insert(spec.action_names.end(), more_actions.begin(), more_actions.end());
  spec.action_counts.assign(static_cast<std::size_t>(spec.shape.num_agents),
                            static_cast<int>(spec.action_names.size()));
  std::transform(kTileTraits.begin(), kTileTraits.end(), spec.glyphs.begin(),
                 [](const dilemma::TileTraits& traits) { return traits.glyph; });
  spec.config = config.resolved();
  return spec;
}

SquareView read_view(const Config& config, bool has_beams) {
  SquareView view;
  view.size = config.integer("view_size");
  view.tile_size = config.integer("tile_size");
  view.heading_up = config.text("view_rotation") == "egocentric";
  if (view.size % 2 == 0) {
    config.fail("view_size", "= " + std::to_string(view.size) + " must be odd");
  }
  if (has_beams) view.show_beams = config.flag("show_beams");
  return view;
}

}  // namespace

std::vector<Option> dilemma_options(const DilemmaDefaults& defaults) {
  const Value::List map(defaults.map.begin(), defaults.map.end());
  const option::Range agents{static_cast<double>(defaults.min_agents),
                             static_cast<double>(defaults.max_agents)};
  std::vector<Option> options = {
      option::integer("num_agents", defaults.num_agents, agents, "agents per world"),
      option::text("map", map, defaults.map_help).list(),
      option::integer("max_steps", defaults.max_steps, {1, 1e9}, "steps until truncation"),
      option::integer("view_size", defaults.view_size, {3, kMaxViewSize},
                      "cells a side of the view, odd; the agent is in the middle"),
      option::integer("tile_size", 1, {1, 64}, "pixels a side of a cell"),
      option::choice("view_rotation", "egocentric", {"egocentric", "public"},
                     "public: agents facing sideways look down in their views, as in the public "
                     "code"),
  };
  if (defaults.has_beams) {
    options.push_back(option::flag("show_beams", true, "draw beams in agents' views"));
  }
  return options;
}

std::vector<Option> fine_options() {
  return {option::number("fire_cost", 1.0, {0, 1e6}, "what a shot costs the shooter"),
          option::number("hit_penalty", 50.0, {0, 1e6}, "what a hit costs the agent hit")};
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
  view_ = read_view(config, setup.has_beams);
  spec_.event_names = setup.event_names;
  if (setup.has_beams) declare_beams(spec_);
  for (const std::string& line : map_) {
    for (const char symbol : line) {
      const MapSymbol& entry = legend[symbols.find(symbol)];
      base_.push_back(entry.start);
      allowed_.push_back(bit(entry.start));
      for (const Tile tile : entry.later) allowed_.back() |= bit(tile);
      view_.tiles |= allowed_.back();
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
  begin_episode(world);
  std::copy(base_.begin(), base_.end(), world.cells().begin());
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

std::unique_ptr<const Observer> DilemmaGame::observer(ObsMode mode) const {
  return std::make_unique<const SquareObserver>(spec_.shape, view_, mode);
}

void DilemmaGame::read_cells(World& next, const Layout& layout) const {
  if (static_cast<int>(layout.cells.size()) != next.rows()) {
    throw LayoutError("cells: the layout has " + std::to_string(layout.cells.size()) +
                      " rows, this environment " + std::to_string(next.rows()));
  }
  for (int row = 0; row < next.rows(); ++row) {
    const std::string& line = layout.cells[static_cast<std::size_t>(row)];
    const std::size_t length = num_characters(line);
    if (static_cast<int>(length) != next.cols()) {
      throw LayoutError("cells: line " + std::to_string(row + 1) + " has " +
                        std::to_string(length) + " characters, this environment's map " +
                        std::to_string(next.cols()));
    }
    for (int col = 0; col < next.cols(); ++col) {
      const char glyph = line[static_cast<std::size_t>(col)];
      const std::uint16_t allowed = allowed_[next.index({row, col})];
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
}

void DilemmaGame::check(const World& world, bool finished) const {
  const auto require = [](bool holds, const std::string& what) {
    if (!holds) throw std::invalid_argument(what);
  };
  for (std::size_t cell = 0; cell < base_.size(); ++cell) {
    const Tile tile = world.cells()[cell];
    require(tile < dilemma::kNumTiles && (allowed_[cell] & bit(tile)) != 0,
            "a cell holds what it cannot hold on this map");
  }
  if (world.shape().num_planes() > 0) {
    for (const std::uint8_t beam : world.plane(kBeamPlane)) {
      require(beam <= dilemma::kNumBeams, "a beam is unknown");
      require(beam == 0 || has_beams(world), "there are beams, but none are noted");
    }
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
