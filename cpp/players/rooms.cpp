// Players of Room and Hallway.
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>

#include "players/kinds.hpp"

namespace socialgrid::players {
namespace {

// Walks the shortest way to the goal, or to the corner farthest from it, and stays there by
// pressing on the wall. Off its target it goes uniformly in one of the directions that bring it
// closer.
class RoomPlayer final : public Mind {
 public:
  RoomPlayer(Role role, bool opposite) : Mind(std::move(role), {}), opposite_(opposite) {}

  void check(const BatchEnv& batch) const override {
    Mind::check(batch);
    value(batch, "goal_row");
  }

  void act(const Call& call, std::int32_t* actions) const override {
    constexpr std::uint64_t kPurpose = 64;
    const Draws way = draws(call, kPurpose);
    const WorldShape& shape = call.batch.spec().shape;
    const WorldValue<std::int32_t> goal_row = value(call.batch, "goal_row");
    const WorldValue<std::int32_t> goal_col = value(call.batch, "goal_col");
    const int first_axis = shape.rows > 1 ? 0 : 1;
    const double last = shape.cols - 1;
    play(call, actions, [&](const Seen& seen, int) {
      const std::array<int, 2> at{seen.pos.row, seen.pos.col};
      const std::array<int, 2> goals{seen.world.value(goal_row), seen.world.value(goal_col)};
      std::array<bool, 4> closer{};
      std::int32_t ways = 0, press = 0;
      double farthest = -1;
      for (int axis = first_axis; axis < 2; ++axis) {
        const double place = at[static_cast<std::size_t>(axis)] / last;
        double target = goals[static_cast<std::size_t>(axis)] / last;
        if (opposite_) target = 1 - std::nearbyint(target);
        const int up = 2 * (axis - first_axis);
        closer[static_cast<std::size_t>(up)] = place < target;
        closer[static_cast<std::size_t>(up + 1)] = place > target;
        ways += place != target ? 1 : 0;
        const double off_middle = std::abs(target - 0.5);
        if (off_middle > farthest) {
          farthest = off_middle;
          press = up + (target < 0.5 ? 1 : 0);
        }
      }
      if (ways == 0) return press;
      std::int32_t rank = as_choice(way.word(global(seen.env)), static_cast<std::uint64_t>(ways));
      for (std::int32_t step = 0; step < 4; ++step) {
        if (closer[static_cast<std::size_t>(step)] && rank-- == 0) return step;
      }
      return press;
    });
  }

 private:
  bool opposite_;
};

}  // namespace

std::unique_ptr<const Mind> room_expert(Role role, const Numbers&) {
  return std::make_unique<RoomPlayer>(std::move(role), false);
}
std::unique_ptr<const Mind> room_adversary(Role role, const Numbers&) {
  return std::make_unique<RoomPlayer>(std::move(role), true);
}

}  // namespace socialgrid::players
