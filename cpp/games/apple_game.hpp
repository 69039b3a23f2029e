// What Cleanup and Harvest share: apples that grow and are eaten, and beams that fine.
#pragma once

#include <span>
#include <utility>

#include "dilemma/dilemma_game.hpp"
#include "dilemma/growth.hpp"

namespace socialgrid {

// Growth: how apples and all else come back, with grow(World&, Rng&).
template <typename Growth>
class AppleGame final : public DilemmaGame {
 public:
  // make_growth(const AppleGame&, const Config&), once the map is known.
  template <typename MakeGrowth>
  AppleGame(const Config& config, const Setup& setup, int apples_event, const BeamRules& beams,
            const MakeGrowth& make_growth)
      : DilemmaGame(config, setup),
        apples_event_(apples_event),
        beams_(beams),
        fines_(read_fines(config)),
        growth_(make_growth(*this, config)) {
    check_room();
  }

  void reset(World& world, Rng& rng) const override {
    place_all(world, rng);
    growth_.grow(world, rng);
  }

  void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
            Rng& rng) const override {
    Crowd crowd(world);
    begin_step(world, actions, outcome);
    move_all(world, actions, crowd, rng);
    eat_apples(world, apples_event_, outcome);
    shoot(world, actions, crowd, beams_, outcome.events, rng);
    pay(apples_event_, beams_, fines_, outcome);
    growth_.grow(world, rng);
  }

 private:
  int apples_event_;
  BeamRules beams_;
  Fines fines_;
  Growth growth_;
};

}  // namespace socialgrid
