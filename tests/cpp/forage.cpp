// Forage, an example of a game whose agents have something new (CONTRIBUTING.md). It is built for
// tests only: there its line in CMakeLists.txt is among SOCIALGRID_EXAMPLES.
//
// Apples are worth 1. A step to another cell takes one unit of energy, an apple gives all of it
// back, and who has none left stays where it is.
#include <array>

#include "dilemma/dilemma_game.hpp"

namespace socialgrid {
namespace {

const std::vector<std::string> kMap = {
    "@@@@@@@@@",  //
    "@P  A  P@",  //
    "@ A   A @",  //
    "@P  A  P@",  //
    "@@@@@@@@@",
};

class Forage final : public DilemmaGame {
 public:
  explicit Forage(const Config& config)
      : DilemmaGame(config, {.legend = {{'A', dilemma::kApple, {dilemma::kGround}}},
                             .event_names = {"apples"},
                             .has_beams = false}),
        most_(config.integer("energy")),
        energy_(spec_.add_integer(
            {.name = "energy", .fallback = double(most_), .high = double(most_)})) {
    check_room();
  }

  void reset(World& world, Rng& rng) const override { place_all(world, rng); }

  void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
            Rng& rng) const override {
    const std::span<std::int32_t> energy = world.field(energy_);
    std::array<std::int32_t, kMaxAgents> moves;
    std::array<Position, kMaxAgents> before;
    for (std::size_t a = 0; a < actions.size(); ++a) {
      moves[a] = energy[a] > 0 ? actions[a] : static_cast<std::int32_t>(MoveAction::kStay);
      before[a] = world.agents()[a].position();
    }
    Crowd crowd(world);
    begin_step(world, actions, outcome);
    move_all(world, {moves.data(), actions.size()}, crowd, rng);
    eat_apples(world, 0, outcome);
    for (std::size_t a = 0; a < actions.size(); ++a) {
      if (world.agents()[a].position() != before[a]) --energy[a];
      if (outcome.events[a] > 0) energy[a] = most_;
      outcome.rewards[a] = outcome.events[a];
    }
  }

 private:
  int most_;
  Field<std::int32_t> energy_;  // in layouts, in worlds(["agent_energy"]), in snapshots
};

}  // namespace

GameEntry forage_game() {
  return {"Forage-v0",
          option::joined(
              {dilemma_options({.map = kMap,
                                .map_help = "one string a row of @ wall, A apple, P where agents "
                                            "start, space",
                                .num_agents = 2,
                                .max_steps = 50,
                                .has_beams = false}),
               {option::integer("energy", 8, {1, 1000}, "steps an agent can go after an apple")}}),
          [](const Config& config) { return std::make_shared<const Forage>(config); }};
}

}  // namespace socialgrid
