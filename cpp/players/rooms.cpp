#include "players/rooms.hpp"

#include <array>
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
    const std::size_t first = shape.rows > 1 ? 0 : 1;
    const auto last = static_cast<float>(shape.cols - 1);
    play(call, actions, [&](const Seen& seen, int) {
      const std::array<float, 2> place{static_cast<float>(seen.pos.row),
                                       static_cast<float>(seen.pos.col)};
      std::array<float, 2> target{static_cast<float>(seen.world.value(goal_row)),
                                  static_cast<float>(seen.world.value(goal_col))};
      if (opposite_) target = {opposite(target[0], last), opposite(target[1], last)};
      return walk_towards(place.data() + first, target.data() + first, 2 - first, last,
                          [&] { return way.word(global(seen.env)); });
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
