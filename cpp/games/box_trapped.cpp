// BoxTrapped (Jaques et al. 2019, supplement 10.3): an agent that can eat lets out one that cannot.
#include "socialgrid/dilemma_game.hpp"

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

class BoxTrapped final : public DilemmaGame {
 public:
  explicit BoxTrapped(const Config& config)
      : DilemmaGame(config,
                    {.legend = {{'A', kApple, {}}, {'#', kBoxWall, {kGround}}, {'T', kGround, {}}},
                     .more_actions = {"open_box"},
                     .event_names = {"apples", "opened"},
                     .has_beams = false}),
        box_(cells_marked("#")) {
    spec_.action_counts = {kNumMoveActions + 1, kNumMoveActions};
    const std::vector<std::uint16_t> trap = cells_marked("T");
    if (trap.size() != 1) {
      config.fail("map", "has " + std::to_string(trap.size()) +
                             " cells 'T'; agent 1 starts on the only one");
    }
    if (box_.empty()) config.fail("map", "has no box wall '#'");
    start_at(1, trap.front());
    check_room();
  }

  void reset(World& world, Rng& rng) const override { place_all(world, rng); }

  void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
            Rng& rng) const override {
    const Position before[2] = {world.agents()[0].position(), world.agents()[1].position()};
    Crowd crowd(world);
    begin_step(world, actions, outcome);
    move_all(world, actions, crowd, rng);
    for (std::size_t a = 0; a < 2; ++a) {
      const Position now = world.agents()[a].position();
      if (now == before[a] || world.at(now) != kApple) continue;
      outcome.rewards[a] = 1.0f;
      outcome.events[a * kNumEvents + kApples] = 1;
    }
    if (actions[0] == kOpenBox && is_closed(world)) {
      for (const std::uint16_t cell : box_) world.cells()[cell] = kGround;
      outcome.events[kOpened] = 1;
    }
  }

 private:
  bool is_closed(const World& world) const { return world.cells()[box_.front()] == kBoxWall; }

  void check_cells(const World& world) const override {
    for (const std::uint16_t cell : box_) {
      if (world.cells()[cell] != world.cells()[box_.front()]) {
        throw std::invalid_argument("the box is there as a whole or gone as a whole");
      }
    }
  }

  std::vector<std::uint16_t> box_;
};

}  // namespace

GameEntry box_trapped_game() {
  return {"BoxTrapped-v0",
          dilemma_options({.map = kMap,
                           .map_help = "one string a row of @ wall, # box, T where agent 1 starts, "
                                       "P where agent 0 may start, A apple, space",
                           .min_agents = 2,
                           .max_agents = 2,
                           .num_agents = 2,
                           .max_steps = 50,
                           .has_beams = false}),
          [](const Config& config) { return std::make_shared<const BoxTrapped>(config); }};
}

}  // namespace socialgrid
