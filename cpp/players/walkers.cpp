// Players of the games whose agents turn and walk: goals, doors and cycles of tiles.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "players/kinds.hpp"

namespace socialgrid::players {
namespace {

constexpr const char* kDigits = "0123456789";

class Walker : public Mind {
 public:
  using Mind::Mind;

  void check(const BatchEnv& batch) const override {
    Mind::check(batch);
    if (!batch.spec().shape.has_cells()) refuse("worlds with cells");
  }
};

bool any(std::size_t) { return true; }

// Cycle tiles as targets; a tile on the way to another is a mistake, so walk round it.
Terrain cycle() { return {kDigits, ".", std::string(".") + kDigits}; }

// Knows the order of the tiles and every agent's next one.
class CycleExpert final : public Walker {
 public:
  CycleExpert(Role role, std::size_t tiles) : Walker(std::move(role), {}), tiles_(tiles) {}

  void check(const BatchEnv& batch) const override {
    Walker::check(batch);
    field(batch, "last_tile");
  }

  void act(const Call& call, std::int32_t* actions) const override {
    DistanceMaps& maps = call.maps_of(cycle(), tiles_);
    const Field<std::int32_t> last_tile = field(call.batch, "last_tile");
    const auto wanted = [&](const Seen& seen) {
      return Wanted(maps, seen.env, seen.world.field(last_tile)[role().agent]);
    };
    play(
        call, actions,
        [&](const Seen& seen, int) {
          const Wanted which = wanted(seen);
          std::size_t slot = which.first();
          if (which.count() > 1) {
            slot = maps.nearest(seen.world, seen.env, seen.pos, seen.dir, which).slot;
          }
          return maps.lead(seen.world, seen.env, slot, seen.pos, seen.dir).action;
        },
        [&](const Seen& seen) { maps.expect(seen.env, wanted(seen).first(), seen.pos); });
  }

 private:
  // The tiles of a world that come after the last one, or all of them where there was none.
  class Wanted {
   public:
    Wanted(const DistanceMaps& maps, std::size_t env, std::int32_t last)
        : maps_(maps), env_(env), any_(last < 0) {
      std::int32_t length = 1;
      for (std::size_t slot = 0; slot < maps.count(env); ++slot) {
        length = std::max(length, index(slot) + 1);
      }
      index_ = (last + 1) % length;
    }
    bool operator()(std::size_t slot) const { return any_ || index(slot) == index_; }
    std::size_t count() const {
      std::size_t found = 0;
      for (std::size_t slot = 0; slot < maps_.count(env_); ++slot) found += (*this)(slot) ? 1 : 0;
      return found;
    }
    // 0 where there is none.
    std::size_t first() const {
      for (std::size_t slot = 0; slot < maps_.count(env_); ++slot) {
        if ((*this)(slot)) return slot;
      }
      return 0;
    }

   private:
    std::int32_t index(std::size_t slot) const { return maps_.character(env_, slot) - '0'; }

    const DistanceMaps& maps_;
    std::size_t env_;
    bool any_;
    std::int32_t index_ = 0;
  };

  std::size_t tiles_;
};

// Finds the order out within the episode by its own rewards. It tells tiles apart by their place.
class TrialAndError final : public Walker {
 public:
  TrialAndError(Role role, std::size_t tiles, bool forgets_on_mistake)
      : Walker(std::move(role),
               {{"last", ColumnType::kInt32, 0, -1},       // the tile it entered last
                {"goal", ColumnType::kInt64, 0, -1},       // the tile it goes to
                {"successor", ColumnType::kInt32, 1, -1},  // of each tile, as far as it knows
                {"refuted", ColumnType::kBool, 2, 0}},     // [tile, other] other is not next
               tiles),
        forgets_on_mistake_(forgets_on_mistake) {}

  std::size_t slots(BatchEnv& batch, MapStore& store) const override {
    return store.of(batch, cycle(), Mind::slots()).slots();
  }

  void act(const Call& call, std::int32_t* actions) const override {
    DistanceMaps& maps = call.maps_of(cycle(), Mind::slots());
    std::int64_t* const goals = call.memory.longs(kGoal);
    const auto goal_of = [&](std::size_t env) {
      return static_cast<std::size_t>(std::max<std::int64_t>(goals[env], 0));
    };
    play(
        call, actions,
        [&](const Seen& seen, int) {
          std::int64_t& goal = goals[seen.env];
          if (goal < 0 && seen.pos.row >= 0) {
            const Slots may_be_next = candidates(call.memory, seen.env, maps.count(seen.env));
            const auto best = maps.nearest(seen.world, seen.env, seen.pos, seen.dir,
                                           [&](std::size_t slot) { return may_be_next[slot]; });
            goal = best.lead.cost < kUnreachable ? static_cast<std::int64_t>(best.slot) : -1;
            if (goal >= 0) return best.lead.action;
          }
          return maps.lead(seen.world, seen.env, goal_of(seen.env), seen.pos, seen.dir).action;
        },
        [&](const Seen& seen) { maps.expect(seen.env, goal_of(seen.env), seen.pos); });
  }

  void observe(const Call& call, const float* rewards, const std::uint8_t* done) const override {
    DistanceMaps& maps = call.maps_of(cycle(), Mind::slots());
    const BatchEnv& batch = call.batch;
    take_in(call, done, [&](std::size_t env, bool over) {
      if (over || call.memory.known[env] == 0) return;
      const Position pos = batch.world(env).agents()[role().agent].position();
      const Position from = call.memory.position(env);
      const int dir = call.memory.dir[env] & 3;
      if (pos != Position{from.row + kRowStep[dir], from.col + kColStep[dir]}) return;
      for (std::size_t slot = 0; slot < maps.count(env); ++slot) {
        if (maps.position(env, slot) != pos) continue;
        learn(call.memory, env, static_cast<std::int32_t>(slot),
              rewards[env * role().num_agents + role().agent]);
        break;
      }
    });
  }

 private:
  enum { kLast, kGoal, kSuccessor, kRefuted };
  using Slots = std::vector<bool>;

  void learn(const Memory& memory, std::size_t env, std::int32_t tile, float reward) const {
    std::int32_t& last = memory.integers(kLast)[env];
    const bool knows = last >= 0 && static_cast<std::size_t>(last) < memory.slots;
    const bool wrong = knows && reward <= 0;
    const std::size_t row = env * memory.slots + static_cast<std::size_t>(knows ? last : 0);
    if (knows && reward > 0) memory.integers(kSuccessor)[row] = tile;
    if (wrong) memory.flags(kRefuted)[row * memory.slots + static_cast<std::size_t>(tile)] = 1;
    if (!wrong || forgets_on_mistake_) last = tile;
    memory.longs(kGoal)[env] = -1;
  }

  // Tiles that may be the next one, by all that was seen in the episode.
  Slots candidates(const Memory& memory, std::size_t env, std::size_t count) const {
    const std::size_t slots = memory.slots;
    const std::int32_t* known = memory.integers(kSuccessor) + env * slots;
    const std::int32_t last = memory.integers(kLast)[env];
    Slots others(slots, false);
    for (std::size_t slot = 0; slot < count; ++slot) others[slot] = true;
    if (last < 0 || static_cast<std::size_t>(last) >= slots) return others;
    const auto at = static_cast<std::size_t>(last);
    if (slots > 1) others[at] = false;
    const auto is_slot = [&](std::int32_t tile) {
      return tile >= 0 && static_cast<std::size_t>(tile) < slots;
    };
    Slots possible(slots, false);
    if (is_slot(known[at])) {
      // Known for certain.
      possible[static_cast<std::size_t>(known[at])] = true;
      return possible;
    }
    const std::uint8_t* refuted = memory.flags(kRefuted) + (env * slots + at) * slots;
    for (std::size_t slot = 0; slot < slots; ++slot)
      possible[slot] = others[slot] && refuted[slot] == 0;
    // A tile follows one tile only, so successors of other tiles are out.
    for (std::size_t slot = 0; slot < slots; ++slot) {
      if (is_slot(known[slot])) possible[static_cast<std::size_t>(known[slot])] = false;
    }
    // The first tile of the chain that ends here closes the cycle: only once all are in it.
    std::int32_t start = last;
    std::size_t length = 1;
    for (std::size_t i = 1; i < slots; ++i) {
      const std::int32_t* before = std::find(known, known + slots, start);
      if (before == known + slots) break;
      start = static_cast<std::int32_t>(before - known);
      ++length;
    }
    if (length < count) possible[static_cast<std::size_t>(start)] = false;
    // The way out when nothing is left (repeated tiles on a map).
    return std::find(possible.begin(), possible.end(), true) == possible.end() ? others : possible;
  }

  bool forgets_on_mistake_;
};

// Walks the shortest way to the nearest goal; never over lava.
class GoalExpert final : public Walker {
 public:
  GoalExpert(Role role, std::size_t goals) : Walker(std::move(role), {}), goals_(goals) {}

  void act(const Call& call, std::int32_t* actions) const override {
    DistanceMaps& maps = call.maps_of({"G", ".", ".G"}, goals_);
    play(
        call, actions,
        [&](const Seen& seen, int) {
          return maps.nearest(seen.world, seen.env, seen.pos, seen.dir, any).lead.action;
        },
        [&](const Seen& seen) { maps.expect(seen.env, 0, seen.pos); });
  }

 private:
  std::size_t goals_;
};

// Fetches the key, opens the door, walks to the goal. What state the door is in it infers from what
// came of its own actions.
class DoorKeyExpert final : public Walker {
 public:
  DoorKeyExpert(Role role, std::size_t goals)
      : Walker(std::move(role), {{"lock", ColumnType::kInt32, 0, kLocked}}), goals_(goals) {}

  void check(const BatchEnv& batch) const override {
    Walker::check(batch);
    field(batch, "carrying");
  }

  void act(const Call& call, std::int32_t* actions) const override {
    DistanceMaps& key = call.maps_of({"K", ".", ".D"}, 1);
    DistanceMaps& door = call.maps_of({"D", ".", "."}, 1);
    DistanceMaps& goal = call.maps_of({"G", ".D", ".DG"}, goals_);
    const Field<std::int32_t> carries = field(call.batch, "carrying");
    std::array<bool, 256> is_key{};
    for (const Thing& thing : call.batch.spec().agent_fields[carries.index].things) {
      is_key[thing.tile] = thing.glyph == 'K';
    }
    play(call, actions, [&](const Seen& seen, int) {
      const std::int32_t thing = seen.world.field(carries)[role().agent];
      const bool carrying = is_key[static_cast<std::size_t>(thing) & 255];
      const bool there_is_a_door = door.count(seen.env) > 0;
      const std::int32_t lock = infer_lock(
          call.memory, seen, there_is_a_door ? door.position(seen.env, 0) : Position{-9, -9},
          carrying, key.count(seen.env) > 0);
      const auto to = [&](DistanceMaps& maps) {
        return maps.lead(seen.world, seen.env, 0, seen.pos, seen.dir);
      };
      const auto arrives = [](const Lead& way) { return way.cost == 1 && way.action == kForward; };
      const Lead to_door = to(door);
      if (there_is_a_door && lock == kLocked) {
        if (carrying) return arrives(to_door) ? kToggle : to_door.action;
        const Lead to_key = to(key);
        return arrives(to_key) ? kPickup : to_key.action;
      }
      const Lead walk = goal.nearest(seen.world, seen.env, seen.pos, seen.dir, any).lead;
      if (walk.cost >= kUnreachable) return kNoop;
      return arrives(to_door) && walk.action == kForward && lock != kOpen ? kToggle : walk.action;
    });
  }

 private:
  static constexpr std::int32_t kLocked = 0, kClosed = 1, kOpen = 2;

  std::int32_t infer_lock(const Memory& memory, const Seen& seen, Position door, bool carrying,
                          bool key_lies_about) const {
    std::int32_t& lock = memory.integers(0)[seen.env];
    const Position from = memory.position(seen.env);
    const int dir = memory.dir[seen.env] & 3;
    const bool faced = memory.known[seen.env] != 0 &&
                       door == Position{from.row + kRowStep[dir], from.col + kColStep[dir]};
    const std::int32_t action = memory.action[seen.env];
    if (faced && action == kToggle) {
      if (lock == kLocked) {
        lock = carrying ? kClosed : kLocked;
      } else {
        lock = lock == kClosed ? kOpen : kClosed;
      }
    }
    if (faced && action == kForward && seen.pos == from && lock == kOpen) lock = kClosed;
    // Somebody else has the key, so the door may be open by now: try.
    if (lock == kLocked && !carrying && !key_lies_about) lock = kOpen;
    return lock;
  }

  std::size_t goals_;
};

}  // namespace

std::unique_ptr<const Mind> cycle_expert(Role role, const Numbers& numbers) {
  return std::make_unique<CycleExpert>(std::move(role), numbers.count("targets"));
}
std::unique_ptr<const Mind> trial_and_error(Role role, const Numbers& numbers) {
  return std::make_unique<TrialAndError>(std::move(role), numbers.count("targets"),
                                         numbers.of("forgets_on_mistake") != 0);
}
std::unique_ptr<const Mind> goal_expert(Role role, const Numbers& numbers) {
  return std::make_unique<GoalExpert>(std::move(role), numbers.count("targets"));
}
std::unique_ptr<const Mind> door_key_expert(Role role, const Numbers& numbers) {
  return std::make_unique<DoorKeyExpert>(std::move(role), numbers.count("targets"));
}

}  // namespace socialgrid::players
