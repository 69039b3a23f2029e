#include "grid/grid_game.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "grid/egocentric_observer.hpp"
#include "grid/grid_spec.hpp"
#include "grid/solvable.hpp"

namespace socialgrid {

GridGame::GridGame(const Config& config, Setup setup)
    : Game({}), setup_(std::move(setup)), map_(read_map(config)) {
  if (map_.rows > 0) {
    setup_.num_cycle_tiles = count_cycle_tiles(config, map_);
    setup_.has_objects =
        setup_.has_objects || std::any_of(map_.cells.begin(), map_.cells.end(), is_object);
  }
  spec_ = make_grid_spec(config, map_);
  view_ = read_view(config, make_tile_set(setup_.num_cycle_tiles, setup_.has_objects));
  declare_grid_state(spec_, view_.tile_set, setup_.num_cycle_tiles);
  spec_.config = in_force(config, setup_.num_cycle_tiles, spec_.shape, view_.look);
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
  begin_episode(world);
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
    place(world, a, solvable_ && map_.rows > 0, rng);
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
    agents[a].last_action = actions[a];
    outcome.rewards[a] =
        agents[a].status == AgentStatus::kActive
            ? static_cast<float>(act(world, a, static_cast<GridAction>(actions[a])))
            : 0.0f;
  }
  retire_leaving_agents(world, rng);
}

void GridGame::place(World& world, std::size_t a, bool solvable, Rng& rng) const {
  std::vector<std::uint8_t> starts;
  if (solvable) starts = solving_starts(world);
  // None at all is left where play itself has undone the way, as with a key that is out of reach.
  const bool limited = solvable && count_places(world, starts, true) > 0;
  if (!place_agent(world, a, limited ? starts : map_.spawns, ghost_mode_, rng)) {
    Agent& agent = world.agents()[a];
    agent.row = agent.col = -1;
    agent.dir = 0;
  }
}

void GridGame::spawn_due_agents(World& world, Rng& rng) const {
  for (std::size_t a = 0; a < world.agents().size(); ++a) {
    const bool waits = world.agents()[a].status == AgentStatus::kWaiting;
    if (waits && spawn_delay_[a] <= world.header().step) {
      place(world, a, solvable_, rng);
    }
  }
}

double GridGame::act(World& world, std::size_t a, GridAction action) const {
  Agent& agent = world.agents()[a];
  double& prestige = world.field(kPrestige)[a];
  double reward = 0.0;
  switch (action) {
    case GridAction::kTurnLeft:
      agent.dir = (agent.dir + 3) % 4;
      break;
    case GridAction::kTurnRight:
      agent.dir = (agent.dir + 1) % 4;
      break;
    case GridAction::kForward:
      if (move_forward(world, a, ghost_mode_)) {
        reward = enter_tile(world, a);
        if (reward_decay_) reward *= 1.0 - 0.9 * (double(world.header().step) / spec_.max_steps);
        prestige = reward >= 0 ? prestige + reward : 0.0;
      }
      break;
    default:
      handle_object(world, a, action);
  }
  prestige *= prestige_decay_;
  return reward;
}

double GridGame::enter_tile(World& world, std::size_t a) const {
  Agent& agent = world.agents()[a];
  const TileTraits& tile = kTiles[world.at(agent.position())];
  switch (tile.kind) {
    case TileKind::kGoal:
      agent.status = AgentStatus::kLeaving;
      return 1.0;
    case TileKind::kLava:
      agent.status = AgentStatus::kLeaving;
      return 0.0;
    case TileKind::kCycle:
      return enter_cycle_tile(world.field(kLastTile)[a], tile.cycle_index);
    default:
      return 0.0;
  }
}

double GridGame::enter_cycle_tile(std::int32_t& last_tile, int index) const {
  const CycleRules& rules = setup_.cycle;
  const bool first = last_tile < 0;
  if (first || (last_tile + 1) % setup_.num_cycle_tiles == index) {
    last_tile = index;
    return first && !rules.initial_reward ? 0.0 : rules.reward;
  }
  if (rules.reset_on_mistake) last_tile = index;
  return -std::abs(rules.penalty);
}

void GridGame::retire_leaving_agents(World& world, Rng& rng) const {
  for (std::size_t a = 0; a < world.agents().size(); ++a) {
    Agent& agent = world.agents()[a];
    if (agent.status != AgentStatus::kLeaving) continue;
    if (respawn_) {
      agent.status = AgentStatus::kWaiting;
      world.field(kCarrying)[a] = kEmpty;
      place(world, a, solvable_, rng);
    } else {
      agent.status = AgentStatus::kEnded;
    }
  }
}

std::unique_ptr<const Observer> GridGame::observer(ObsMode mode) const {
  return std::make_unique<const EgocentricObserver>(spec_, view_, mode);
}

}  // namespace socialgrid
