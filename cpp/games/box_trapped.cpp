// BoxTrapped (Jaques et al. 2019, supplement 10.3): an agent that can eat lets out one that cannot.
//
// The paper says that agent 1 is trapped in a box, that only agent 0 can open it, by an action of
// its own, and that apples are worth 1. It leaves open when in a step the box opens, whether it
// stays open, and what moving in it costs. BoxTrapped-v0 opens it after the moves, once for good,
// and moving is free. There nothing that agent 1 does can depend on the opening in a way that pays.
// BoxTrapped-v1: a step begins with the box; agent 0 has to hold it open; and pushing against the
// shut box costs, so that agent 1 has a reason to watch what agent 0 does.
#include <algorithm>
#include <bit>
#include <cstdlib>

#include "dilemma/dilemma_game.hpp"

namespace socialgrid {
namespace {

using dilemma::kApple;
using dilemma::kBoxWall;
using dilemma::kGround;

const std::vector<std::string> kMap = {
    "@@@@@@@@@",  //
    "@ A   A @",  //
    "@       @",  //
    "@  ### P@",  //
    "@  #T#  @",  //
    "@  ###  @",  //
    "@ P   P @",  //
    "@A     A@",  //
    "@@@@@@@@@",
};

enum Event { kApples, kOpened, kNumEvents };
constexpr std::int32_t kOpenBox = kNumMoveActions;

// How the box works; the defaults are version 0.
struct BoxRules {
  bool opens_first = false;  // before the moves of the step
  bool held = false;         // open only while agent 0 chooses open_box
  float push_cost = 0.0f;  // of a move by agent 1 on its start cell while a wall of the box stands
  bool one_cell = false;   // the map must enclose agent 1's start cell
};

class BoxTrapped final : public DilemmaGame {
 public:
  BoxTrapped(const Config& config, const BoxRules& rules)
      : DilemmaGame(config,
                    {.legend = {{'A', kApple, {}}, {'#', kBoxWall, {kGround}}, {'T', kGround, {}}},
                     .more_actions = {"open_box"},
                     .event_names = {"apples", "opened"},
                     .has_beams = false}),
        rules_(rules),
        box_(cells_marked("#")) {
    spec_.action_counts = {kNumMoveActions + 1, kNumMoveActions};
    const std::vector<std::uint16_t> trap = cells_marked("T");
    if (trap.size() != 1) {
      config.fail("map", "has " + std::to_string(trap.size()) +
                             " cells 'T'; agent 1 starts on the only one");
    }
    if (box_.empty()) config.fail("map", "has no box wall '#'");
    trap_ = trap.front();
    if (rules_.one_cell) check_enclosed(config);
    start_at(1, trap_);
    check_room();
  }

  void reset(World& world, Rng& rng) const override { place_all(world, rng); }

  void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
            Rng& rng) const override {
    const Position before[2] = {world.agents()[0].position(), world.agents()[1].position()};
    Crowd crowd(world);
    begin_step(world, actions, outcome);
    const bool asked = actions[0] == kOpenBox;
    if (rules_.opens_first) work_box(world, asked, crowd, outcome);
    const bool pushes = actions[1] < static_cast<std::int32_t>(MoveAction::kStay) &&
                        world.index(before[1]) == trap_ && !is_open(world);
    move_all(world, actions, crowd, rng);
    for (std::size_t a = 0; a < 2; ++a) {
      const Position now = world.agents()[a].position();
      if (now == before[a] || world.at(now) != kApple) continue;
      outcome.rewards[a] = 1.0f;
      outcome.events[a * kNumEvents + kApples] = 1;
    }
    if (pushes) outcome.rewards[1] -= rules_.push_cost;
    if (!rules_.opens_first) work_box(world, asked, crowd, outcome);
  }

 private:
  bool is_open(const World& world) const {
    return std::none_of(box_.begin(), box_.end(),
                        [&](std::uint16_t cell) { return world.cells()[cell] == kBoxWall; });
  }

  // Opens the box if agent 0 asked for it. A box that must be held shuts otherwise, but for cells
  // on which an agent stands: these become wall when the box shuts after it has gone.
  void work_box(World& world, bool asked, const Crowd& crowd, const Outcome& outcome) const {
    if (asked && !is_open(world)) {
      for (const std::uint16_t cell : box_) world.cells()[cell] = kGround;
      outcome.events[kOpened] = 1;
    } else if (!asked && rules_.held) {
      for (const std::uint16_t cell : box_) {
        if (crowd.agent_at(cell) == Crowd::kNobody) world.cells()[cell] = kBoxWall;
      }
    }
  }

  void check_enclosed(const Config& config) const {
    const int row = trap_ / spec_.shape.cols;
    const int col = trap_ % spec_.shape.cols;
    const std::vector<std::string> map = config.texts("map");
    bool has_way_out = false;
    for (int way = 0; way < 4; ++way) {
      const int r = row + kRowStep[way];
      const int c = col + kColStep[way];
      if (r < 0 || c < 0 || r >= spec_.shape.rows || c >= spec_.shape.cols) continue;
      const char found = map[static_cast<std::size_t>(r)][static_cast<std::size_t>(c)];
      has_way_out |= found == '#';
      if (found == '#' || found == '@') continue;
      config.fail("map", "has '" + std::string(1, found) + "' beside the 'T', in line " +
                             std::to_string(r + 1) + ", column " + std::to_string(c + 1) +
                             "; there must be box wall '#' or wall '@' on all sides of it");
    }
    if (!has_way_out) config.fail("map", "has no box wall '#' beside the 'T': no way out of it");
  }

  // A box is there as a whole or gone as a whole. Of one that is shut again a cell may be missing
  // for each agent: that on which it stands or, where the box is worked before the moves, from
  // which it has just gone.
  void check_cells(const World& world) const override {
    std::size_t missing = 0;
    unsigned somebody = 0;  // bit a: agent a is near a missing cell
    bool all_near = true;
    for (const std::uint16_t cell : box_) {
      if (world.cells()[cell] == kBoxWall) continue;
      ++missing;
      const unsigned near = near_agents(world, cell);
      all_near &= near != 0;
      somebody |= near;
    }
    if (missing == 0 || missing == box_.size()) return;
    if (!rules_.held) {
      throw std::invalid_argument("the box is there as a whole or gone as a whole");
    }
    if (!all_near || missing > static_cast<std::size_t>(std::popcount(somebody))) {
      throw std::invalid_argument(
          "the box is there or gone as a whole, but for cells on which an agent stands" +
          std::string(rules_.opens_first ? " or has just stood" : ""));
    }
  }

  unsigned near_agents(const World& world, std::uint16_t cell) const {
    unsigned near = 0;
    for (std::size_t a = 0; a < 2; ++a) {
      const Agent& agent = world.agents()[a];
      const int distance =
          std::abs(agent.row - cell / world.cols()) + std::abs(agent.col - cell % world.cols());
      if (distance <= (rules_.opens_first ? 1 : 0)) near |= 1u << a;
    }
    return near;
  }

  BoxRules rules_;
  std::vector<std::uint16_t> box_;
  std::uint16_t trap_ = 0;
};

std::vector<Option> common_options() {
  return dilemma_options({.map = kMap,
                          .map_help = "one string a row of @ wall, # box, T where agent 1 starts, "
                                      "P where agent 0 may start, A apple, space",
                          .min_agents = 2,
                          .max_agents = 2,
                          .num_agents = 2,
                          .max_steps = 50,
                          .has_beams = false});
}

std::vector<Option> options_v1() {
  return option::joined(
      {common_options(),
       {option::choice(
            "opening", "first", {"first", "last"},
            "first: the box opens and shuts before the moves of a step, so that agent 1 "
            "gets out in the step in which agent 0 opens it; last: after them, as in v0"),
        option::flag("held", true,
                     "the box is open only in steps in which agent 0 chooses open_box; false: once "
                     "opened it is gone for good, as in v0"),
        option::number("push_cost", 0.1, {0, 1e6},
                       "what a move (no turn) on its start cell costs agent 1 while the box is "
                       "shut; 0 in v0")}});
}

}  // namespace

GameEntry box_trapped_game() {
  return {"BoxTrapped-v0", common_options(), [](const Config& config) {
            return std::make_shared<const BoxTrapped>(config, BoxRules{});
          }};
}

GameEntry box_trapped_v1_game() {
  return {"BoxTrapped-v1", options_v1(), [](const Config& config) {
            return std::make_shared<const BoxTrapped>(
                config, BoxRules{.opens_first = config.text("opening") == "first",
                                 .held = config.flag("held"),
                                 .push_cost = static_cast<float>(config.number("push_cost")),
                                 .one_cell = true});
          }};
}

}  // namespace socialgrid
