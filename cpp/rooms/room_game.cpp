#include "rooms/room_game.hpp"

#include <algorithm>

#include "core/map.hpp"
#include "rooms/room_observer.hpp"

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
  spec.shape = WorldShape(dimensions > 1 ? length : 1, length, config.integer("num_agents"), false);
  spec.max_steps = config.integer("max_steps");
  spec.action_names = {"right", "left"};
  if (dimensions > 1) spec.action_names = {"down", "up", "right", "left"};
  spec.action_counts = {static_cast<int>(spec.action_names.size())};
  spec.agents_turn = false;
  spec.config = config.resolved();
  spec.add_value({.name = "goal_row", .high = spec.shape.rows - 1.0});
  spec.add_value({.name = "goal_col", .high = spec.shape.cols - 1.0});
  return spec;
}

void set_goal(World& world, Position goal) {
  world.value(kGoalRow) = goal.row;
  world.value(kGoalCol) = goal.col;
}

}  // namespace

std::vector<Option> room_options(int min_length) {
  return {
      option::integer("num_agents", 1, {1, 1}, "agents per world; always 1"),
      option::integer("length", 21, {static_cast<double>(min_length), kMaxSide},
                      "cells from wall to wall"),
      option::integer("max_steps", 100, {1, 1e9}, "steps until truncation"),
      option::flag("terminate_on_goal", false, "the goal ends the episode"),
      option::integer("tile_size", 8, {1, 64}, "pixels a side of a cell"),
  };
}

RoomGame::RoomGame(const Config& config, const Setup& setup)
    : Game(make_spec(config, setup.dimensions)),
      start_{spec_.shape.rows / 2, spec_.shape.cols / 2 - setup.start_offset},
      tile_size_(config.integer("tile_size")),
      terminate_on_goal_(config.flag("terminate_on_goal")) {}

void RoomGame::reset(World& world, Rng& rng) const {
  begin_episode(world);
  Agent& agent = world.agents().front();
  agent.row = static_cast<std::int16_t>(start_.row);
  agent.col = static_cast<std::int16_t>(start_.col);
  agent.status = AgentStatus::kActive;
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
  const bool reached = agent.position() == goal_of(world);
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
  out[world.index(goal_of(world))] = 'G';
}

std::unique_ptr<const Observer> RoomGame::observer(ObsMode mode) const {
  return std::make_unique<const RoomObserver>(spec_.shape, tile_size_, mode);
}

void RoomGame::read_cells(World& next, const Layout& layout) const {
  try {
    check_text(layout.cells, ".G");
  } catch (const std::invalid_argument& error) {
    throw LayoutError(std::string("cells: ") + error.what());
  }
  const int rows = static_cast<int>(layout.cells.size());
  const int cols = static_cast<int>(layout.cells.front().size());
  if (rows != next.rows() || cols != next.cols()) {
    throw LayoutError("cells: the layout is " + std::to_string(rows) + " x " +
                      std::to_string(cols) + ", this environment " + std::to_string(next.rows()) +
                      " x " + std::to_string(next.cols()));
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
  set_goal(next, goals.front());
}

void RoomGame::check(const World& world, bool finished) const {
  const AgentStatus status = world.agents().front().status;
  const bool may_end = finished && terminate_on_goal_;
  if (status != AgentStatus::kActive && !(may_end && status == AgentStatus::kEnded)) {
    throw std::invalid_argument("agent 0 is out of play, which does not happen in " + spec_.name);
  }
  const Position goal = goal_of(world);
  if (!at_wall(goal)) {
    throw std::invalid_argument("the goal at " + place_text(goal.row, goal.col) +
                                " is not at a wall of the " + std::to_string(world.rows()) + " x " +
                                std::to_string(world.cols()) + " room");
  }
}

}  // namespace socialgrid
