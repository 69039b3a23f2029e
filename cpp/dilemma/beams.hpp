// Beams: three parallel rays ahead of an agent, in a plane that says which beam covered each cell
// in the last step, 0 where none did.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/game.hpp"
#include "core/rng.hpp"
#include "core/world.hpp"
#include "dilemma/crowd.hpp"

namespace socialgrid {

inline constexpr int kBeamLength = 5;

// Which actions shoot, and which events are counted; -1: there is no such action or event.
struct BeamRules {
  int fire_action = -1;
  int clean_action = -1;
  int shots_event = -1;    // of the agent that fires
  int hits_event = -1;     // of each agent a fire ray reaches
  int cleaned_event = -1;  // of the agent whose cleaning ray turns waste into river
  int num_events = 0;
};

// The plane of beams, of the games that have them, and whether there is anything in it (1 or 0).
inline constexpr std::size_t kBeamPlane = 0;
inline constexpr WorldValue<std::int32_t> kBeamsShown{0};
// Declares both, as the first of the game's.
void declare_beams(GameSpec& spec);
// Whether there are beams in the world now.
inline bool has_beams(const World& world) {
  return world.shape().num_planes() > 0 && world.value(kBeamsShown) != 0;
}

// Takes the beams of the last step off the grid.
void clear_beams(World& world);

// Lets the agents that shoot do so, in random order if there are several. Rays start in the cell
// ahead and in those directly right and left of the agent and are five cells long. A ray ends
// before a wall and at the first agent, whose cell it covers; a cleaning ray also at the first
// waste, which it turns into river, agents on it or not. `events` [A, num_events] is added to.
void shoot(World& world, std::span<const std::int32_t> actions, const Crowd& crowd,
           const BeamRules& rules, std::span<std::uint8_t> events, Rng& rng);

}  // namespace socialgrid
