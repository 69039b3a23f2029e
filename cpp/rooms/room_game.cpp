#include "rooms/room_game.hpp"

#include <algorithm>

#include "core/map.hpp"

namespace socialgrid {
namespace {

constexpr float kGoalReward = 1.0f;
constexpr float kStepReward = -0.001f;
// Of the actions down, up, right and left; in one dimension there are only the last two.
constexpr int kRowChange[] = {1, -1, 0, 0};
constexpr int kColChange[] = {0, 0, 1, -1};
constexpr std::int32_t kFirstSideways = 2;

GameSpec make_spec(const Config& config, int dimensions) {
  GameSpec spec;
  spec.name = config.game();
  const int length = config.integer("length");
  spec.shape = {.rows = dimensions > 1 ? length : 1,
                .cols = length,
                .num_agents = config.integer("num_agents"),
                .has_cells = false};
  spec.max_steps = config.integer("max_steps");
  spec.action_names = {"right", "left"};
  if (dimensions > 1) spec.action_names = {"down", "up", "right", "left"};
  spec.action_counts = {static_cast<int>(spec.action_names.size())};
  spec.view = RoomView{.tile_size = config.integer("tile_size")};
  spec.config = config.resolved();
  return spec;
}

void set_goal(World& world, Position goal) {
  world.header().goal_row = static_cast<std::uint8_t>(goal.row);
  world.header().goal_col = static_cast<std::uint8_t>(goal.col);
}

void start_agent(World& world, Position p) {
  Agent& agent = world.agents().front();
  agent = {};
  agent.row = static_cast<std::int16_t>(p.row);
  agent.col = static_cast<std::int16_t>(p.col);
  agent.status = AgentStatus::kActive;
}

}  // namespace

std::vector<Option> room_options(int min_length) {
  using enum OptionType;
  using enum OptionShape;
  return {
      {"num_agents", kInt, kSingle, 1, 1, 1, {}, "agents per world; always 1"},
      {"length",
       kInt,
       kSingle,
       21,
       static_cast<double>(min_length),
       kMaxSide,
       {},
       "cells from wall to wall"},
      {"max_steps", kInt, kSingle, 100, 1, 1e9, {}, "steps until truncation"},
      {"terminate_on_goal", kBool, kSingle, false, 0, 0, {}, "the goal ends the episode"},
      {"tile_size", kInt, kSingle, 8, 1, 64, {}, "pixels a side of a cell"},
  };
}

RoomGame::RoomGame(const Config& config, const Setup& setup)
    : Game(make_spec(config, setup.dimensions)),
      start_{spec_.shape.rows / 2, spec_.shape.cols / 2 - setup.start_offset},
      terminate_on_goal_(config.flag("terminate_on_goal")) {}

void RoomGame::reset(World& world, Rng& rng) const {
  world.header().step = 0;
  start_agent(world, start_);
  const int last = world.cols() - 1;
  Position goal{0, 0};
  int* at_wall = &goal.col;  // the coordinate that is set to one of its ends
  if (world.rows() > 1) {
    // Anywhere short of the last row and column, then to a wall (public code of the paper).
    goal.row = static_cast<int>(rng.uniform_int(static_cast<std::uint32_t>(last)));
    goal.col = static_cast<int>(rng.uniform_int(static_cast<std::uint32_t>(last)));
    if (rng.uniform_int(2) == 0) at_wall = &goal.row;
  }
  *at_wall = rng.uniform_int(2) == 0 ? 0 : last;
  set_goal(world, goal);
}

void RoomGame::step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
                    Rng&) const {
  ++world.header().step;
  Agent& agent = world.agents().front();
  agent.last_action = actions.front();
  const std::int32_t move = actions.front() + (world.rows() > 1 ? 0 : kFirstSideways);
  agent.row =
      static_cast<std::int16_t>(std::clamp(agent.row + kRowChange[move], 0, world.rows() - 1));
  agent.col =
      static_cast<std::int16_t>(std::clamp(agent.col + kColChange[move], 0, world.cols() - 1));
  const bool reached = agent.position() == world.header().goal();
  outcome.rewards.front() = reached ? kGoalReward : kStepReward;
  if (reached && terminate_on_goal_) agent.status = AgentStatus::kEnded;
}

bool RoomGame::at_wall(Position p) const {
  const auto at_end = [](int coordinate, int extent) {
    return coordinate == 0 || coordinate == extent - 1;
  };
  return at_end(p.col, spec_.shape.cols) ||
         (spec_.shape.rows > 1 && at_end(p.row, spec_.shape.rows));
}

void RoomGame::write_glyphs(const World& world, std::uint8_t* out) const {
  std::fill_n(out, world.shape().num_cells(), std::uint8_t{'.'});
  out[world.index(world.header().goal())] = 'G';
}

Layout RoomGame::layout(const World& world) const {
  const Agent& agent = world.agents().front();
  const Position goal = world.header().goal();
  Layout out;
  out.step = world.header().step;
  out.cells.assign(static_cast<std::size_t>(world.rows()),
                   std::string(static_cast<std::size_t>(world.cols()), '.'));
  out.cells[static_cast<std::size_t>(goal.row)][static_cast<std::size_t>(goal.col)] = 'G';
  out.agent_pos = {{agent.row, agent.col}};
  out.agent_dir = {agent.dir};
  out.agent_active = {agent.active()};
  out.agent_carrying = {std::nullopt};
  out.agent_prestige = {0.0};
  out.agent_last_tile = {std::nullopt};
  return out;
}

void RoomGame::apply_layout(World& world, const Layout& layout, bool finished) const {
  check_one_entry_per_agent(layout, world.agents().size());
  refuse_grid_details(layout, spec_.name);
  try {
    check_text(layout.cells, ".G");
  } catch (const std::invalid_argument& error) {
    throw LayoutError(std::string("cells: ") + error.what());
  }
  const int rows = static_cast<int>(layout.cells.size());
  const int cols = static_cast<int>(layout.cells.front().size());
  if (rows != world.rows() || cols != world.cols()) {
    throw LayoutError("cells: the layout is " + std::to_string(rows) + " x " +
                      std::to_string(cols) + ", this environment " + std::to_string(world.rows()) +
                      " x " + std::to_string(world.cols()));
  }
  std::vector<Position> goals;
  for (int r = 0; r < rows; ++r) {
    const std::string& line = layout.cells[static_cast<std::size_t>(r)];
    for (int c = 0; c < cols; ++c) {
      if (line[static_cast<std::size_t>(c)] == 'G') goals.push_back({r, c});
    }
  }
  if (goals.size() != 1) {
    throw LayoutError("cells: there are " + std::to_string(goals.size()) +
                      " goals (G); a room has exactly one");
  }
  const auto [row, col] = layout.agent_pos.front();
  if (!world.contains({row, col})) {
    throw LayoutError("agent 0 at " + place_text(row, col) + " is outside the " +
                      std::to_string(rows) + " x " + std::to_string(cols) + " grid");
  }
  if (layout.agent_dir.front() != 0) {
    throw LayoutError("agent 0: direction " + std::to_string(layout.agent_dir.front()) + "; in " +
                      spec_.name + " agents do not turn and it is always 0");
  }
  const bool ended = !layout.agent_active.empty() && !layout.agent_active.front();
  if (ended && !(finished && terminate_on_goal_)) {
    throw LayoutError("agent 0 is out of play, which does not happen in " + spec_.name);
  }

  // Everything is built beside the world, which is replaced only when all of it is right.
  std::vector<std::byte> block(world.block().begin(), world.block().end());
  World next(world.shape(), block.data());
  next.header().step = layout.step;
  set_goal(next, goals.front());
  start_agent(next, {row, col});
  if (ended) next.agents().front().status = AgentStatus::kEnded;
  try {
    check_world(next, finished);
  } catch (const std::invalid_argument& error) {
    throw LayoutError(error.what());
  }
  std::copy(block.begin(), block.end(), world.block().begin());
}

void RoomGame::validate(const World& world, bool finished) const {
  const Agent& agent = world.agents().front();
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
  };
  require(world.header().stream.used <= (std::uint64_t{1} << 34),
          "random stream position out of range");
  require(agent.status == AgentStatus::kActive || (finished && agent.status == AgentStatus::kEnded),
          "the agent is out of play");
  require(agent.dir == 0, "the agent has turned");
  require(agent.last_action >= -1 && agent.last_action < spec_.action_counts.front(),
          "the agent's last action is unknown");
  require(world.contains(agent.position()), "the agent is outside the room");
  check_world(world, finished);
}

void RoomGame::check_world(const World& world, bool finished) const {
  const int step = world.header().step;
  const int last = spec_.max_steps - (finished ? 0 : 1);
  if (step < 0 || step > last) {
    throw std::invalid_argument("step = " + std::to_string(step) +
                                " is out of range; allowed: 0 to " + std::to_string(last));
  }
  const Position goal = world.header().goal();
  if (!world.contains(goal) || !at_wall(goal)) {
    throw std::invalid_argument("the goal at " + place_text(goal.row, goal.col) +
                                " is not at a wall of the " + std::to_string(world.rows()) + " x " +
                                std::to_string(world.cols()) + " room");
  }
}

}  // namespace socialgrid
