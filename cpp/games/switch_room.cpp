// Switch (public code of the social dilemmas): a room whose door is open while all switches are on.
#include <algorithm>

#include "dilemma/dilemma_game.hpp"

namespace socialgrid {
namespace {

using dilemma::kClosedDoor;
using dilemma::kOpenDoor;
using dilemma::kSwitchOff;
using dilemma::kSwitchOn;

const std::vector<std::string> kMap = {
    "@@@@D@@@@",  //
    "@       @",  //
    "s P   P s",  //
    "@       @",  //
    "s   P   s",  //
    "@       @",  //
    "s P   P s",  //
    "@       @",  //
    "@@@@@@@@@",
};

enum Event { kToggles, kExits, kNumEvents };
constexpr std::int32_t kToggle = kNumMoveActions;

class Switch final : public DilemmaGame {
 public:
  explicit Switch(const Config& config)
      : DilemmaGame(config, {.legend = {{'D', kClosedDoor, {kOpenDoor}},
                                        {'s', kSwitchOff, {kSwitchOn}},
                                        {'S', kSwitchOn, {kSwitchOff}}},
                             .more_actions = {"toggle"},
                             .event_names = {"toggles", "exits"},
                             .has_beams = false,
                             .agents_leave = true}),
        doors_(cells_marked("D")),
        switches_(cells_marked("sS")) {
    check_room();
  }

  void reset(World& world, Rng& rng) const override {
    place_all(world, rng);
    set_doors(world);
  }

  void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
            Rng& rng) const override {
    Crowd crowd(world);
    begin_step(world, actions, outcome);
    move_all(world, actions, crowd, rng);
    leave_through_doors(world, outcome);
    toggle_switches(world, actions, outcome);
    set_doors(world);
  }

 private:
  static void leave_through_doors(World& world, const Outcome& outcome) {
    for (std::size_t a = 0; a < world.agents().size(); ++a) {
      Agent& agent = world.agents()[a];
      if (!agent.active() || world.at(agent.position()) != kOpenDoor) continue;
      agent.status = AgentStatus::kEnded;
      outcome.rewards[a] = 1.0f;
      outcome.events[a * kNumEvents + kExits] = 1;
    }
  }

  static void toggle_switches(World& world, std::span<const std::int32_t> actions,
                              const Outcome& outcome) {
    for (std::size_t a = 0; a < actions.size(); ++a) {
      const Agent& agent = world.agents()[a];
      const Position ahead{agent.row + kRowStep[agent.dir], agent.col + kColStep[agent.dir]};
      if (actions[a] != kToggle || !agent.active() || !world.contains(ahead)) continue;
      Tile& tile = world.at(ahead);
      if (tile != kSwitchOff && tile != kSwitchOn) continue;
      tile = tile == kSwitchOff ? kSwitchOn : kSwitchOff;
      outcome.events[a * kNumEvents + kToggles] = 1;
    }
  }

  bool all_on(const World& world) const {
    return std::all_of(switches_.begin(), switches_.end(),
                       [&](std::uint16_t cell) { return world.cells()[cell] == kSwitchOn; });
  }

  void set_doors(World& world) const {
    const Tile door = all_on(world) ? kOpenDoor : kClosedDoor;
    for (const std::uint16_t cell : doors_) world.cells()[cell] = door;
  }

  void check_cells(const World& world) const override {
    const Tile right = all_on(world) ? kOpenDoor : kClosedDoor;
    for (const std::uint16_t cell : doors_) {
      if (world.cells()[cell] != right) {
        throw std::invalid_argument("doors are open (O) exactly while all switches are on (S)");
      }
    }
    for (const Agent& agent : world.agents()) {
      if (agent.active() && world.at(agent.position()) == kOpenDoor) {
        throw std::invalid_argument("an agent in play stands in a door; it would have left");
      }
    }
  }

  std::vector<std::uint16_t> doors_;
  std::vector<std::uint16_t> switches_;
};

}  // namespace

GameEntry switch_room_game() {
  return {"Switch-v0",
          dilemma_options({.map = kMap,
                           .map_help = "one string a row of @ wall, D door, s switch that is off, "
                                       "S one that is on, P where agents start, space",
                           .view_size = 7,
                           .has_beams = false}),
          [](const Config& config) { return std::make_shared<const Switch>(config); }};
}

}  // namespace socialgrid
