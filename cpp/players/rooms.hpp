// Walking in rooms: coordinates from 0 at one wall to `last` at the other.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "players/streams.hpp"

namespace socialgrid::players {

// Where the adversary goes instead of to the goal: along each axis to the wall farthest from it,
// and from the middle to the far one.
template <typename T>
T opposite(T goal, T last) {
  return goal > last / 2 ? T(0) : last;
}

// The action of someone who walks to a target at a wall and stays there by pressing on that wall;
// off it, uniformly one of those that bring it closer. Action 2k goes up along axis k, 2k + 1 down.
// `draw` gives a random word if one is needed.
template <typename T, typename Draw>
std::int32_t walk_towards(const T* place, const T* target, std::size_t axes, T last, Draw draw) {
  std::uint64_t ways = 0;
  for (std::size_t axis = 0; axis < axes; ++axis) {
    ways += (place[axis] < target[axis] || place[axis] > target[axis]) ? 1 : 0;
  }
  if (ways > 0) {
    std::int32_t rank = as_choice(draw(), ways);
    for (std::size_t axis = 0; axis < axes; ++axis) {
      const auto up = static_cast<std::int32_t>(2 * axis);
      if (place[axis] < target[axis] && rank-- == 0) return up;
      if (place[axis] > target[axis] && rank-- == 0) return up + 1;
    }
  }
  std::size_t wall = 0;
  for (std::size_t axis = 1; axis < axes; ++axis) {
    if (std::abs(target[axis] - last / 2) > std::abs(target[wall] - last / 2)) wall = axis;
  }
  return static_cast<std::int32_t>(2 * wall) + (target[wall] < last / 2 ? 1 : 0);
}

}  // namespace socialgrid::players
