// How scripted players choose: a mind plays one agent of every environment of a batch, in the
// batch's threads. It keeps nothing itself; what a player remembers lies in arrays of the caller's.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/batch.hpp"
#include "players/distance_maps.hpp"
#include "players/streams.hpp"

namespace socialgrid::players {

// Who plays where.
struct Role {
  std::string game;
  std::size_t num_envs = 0;
  std::size_t num_agents = 0;
  std::size_t agent = 0;
  int num_actions = 0;  // of that agent
  std::int32_t idle_action = 0;
  bool can_block = false;  // agents stand in each other's way
  std::uint64_t seed = 0;
  std::uint64_t first_env_index = 0;
  double error_rate = 0;
};

// An array that players of some kind remember by: [E], or [E, slots] or [E, slots, slots].
enum class ColumnType { kBool, kInt32, kInt64 };
struct Column {
  std::string name;
  ColumnType type;
  int rank = 0;  // how many times `slots`
  std::int64_t fallback = 0;

  std::size_t width(std::size_t slots) const {
    std::size_t items = 1;
    for (int i = 0; i < rank; ++i) items *= slots;
    return items;
  }
};

// What a player remembers; the memory is the caller's. What was seen and done at the last call is
// there to notice what came of it.
struct Memory {
  static constexpr std::size_t kMaxColumns = 4;

  std::uint8_t* known = nullptr;         // [E] it was in play
  std::int32_t* pos = nullptr;           // [E, 2] (row, col)
  std::int32_t* dir = nullptr;           // [E]
  std::int32_t* action = nullptr;        // [E]
  std::uint8_t* aside = nullptr;         // [E] it has turned to let somebody past
  std::int64_t* restart = nullptr;       // [E] WorldMarks::restart of the world it knows, -1 none
  std::array<void*, kMaxColumns> own{};  // in the order of Mind::columns()
  std::size_t slots = 0;

  std::uint8_t* flags(std::size_t column) const { return static_cast<std::uint8_t*>(own[column]); }
  std::int32_t* integers(std::size_t column) const {
    return static_cast<std::int32_t*>(own[column]);
  }
  std::int64_t* longs(std::size_t column) const { return static_cast<std::int64_t*>(own[column]); }

  // Grids are small; anything else that a caller may have put there does no harm.
  Position position(std::size_t env) const {
    return {static_cast<std::int16_t>(pos[2 * env]), static_cast<std::int16_t>(pos[2 * env + 1])};
  }
};

// A call of a player: the batch between two steps.
struct Call {
  BatchEnv& batch;
  MapStore& maps;
  const Memory& memory;
  std::uint64_t number;  // how many came before
  // Only of these environments, in the calling thread: they are apart from the others, for all of
  // which there has been a call before. Otherwise of all, in the batch's threads.
  std::optional<Envs> only = {};

  int threads() const { return only ? 1 : batch.num_threads(); }
  // Calls fn(begin, end, thread) on ranges of environments, of which `little` are little work.
  template <typename Fn>
  void share_out(std::size_t little, Fn fn) const {
    if (only) {
      fn(only->begin, only->end, 0);
    } else {
      batch.pool().share_out(batch.num_envs(), little, fn);
    }
  }
  // Maps of the environments, up to date.
  DistanceMaps& maps_of(const Terrain& terrain, std::size_t slots) const {
    return only ? maps.of(batch, terrain, slots, *only) : maps.of(batch, terrain, slots);
  }
};

// One environment as an agent finds it.
struct Seen {
  const World& world;
  std::size_t env;
  Position pos;
  int dir;
};

class Mind {
 public:
  Mind(Role role, std::vector<Column> columns, std::size_t slots = 0);
  virtual ~Mind() = default;
  Mind(const Mind&) = delete;
  Mind& operator=(const Mind&) = delete;

  const Role& role() const { return role_; }
  std::span<const Column> columns() const { return columns_; }
  // What Memory::slots must be at least when it begins.
  std::size_t slots() const { return slots_; }
  // What it must be in these worlds.
  virtual std::size_t slots(BatchEnv&, MapStore&) const { return slots_; }

  // Throws std::invalid_argument for a batch that it cannot play in.
  virtual void check(const BatchEnv& batch) const;

  // Writes an action for every environment, the idle one where the agent is not in play.
  virtual void act(const Call& call, std::int32_t* actions) const = 0;
  // Takes in what a step brought: rewards [E, A] and where an episode ended, bytes [E].
  virtual void observe(const Call& call, const float* rewards, const std::uint8_t* done) const;

 protected:
  static constexpr std::size_t kLittle = 32;  // environments whose choices are little work

  Draws draws(const Call& call, std::uint64_t purpose) const {
    return {role_.seed, role_.agent, call.number, purpose};
  }
  std::uint64_t global(std::size_t env) const { return role_.first_env_index + env; }
  // The field of that name, an integer of every agent. Throws std::invalid_argument.
  Field<std::int32_t> field(const BatchEnv& batch, const std::string& name) const;
  // The worlds' integer of that name. Throws std::invalid_argument.
  WorldValue<std::int32_t> value(const BatchEnv& batch, const std::string& name) const;
  [[noreturn]] void refuse(const std::string& why) const;

  // act() of a player that chooses choose(seen, thread), with errors, and out of the way of others.
  // It is told by expect(seen) that it will soon have to.
  template <typename Choose, typename Expect>
  void play(const Call& call, std::int32_t* actions, Choose choose, Expect expect) const;
  template <typename Choose>
  void play(const Call& call, std::int32_t* actions, Choose choose) const {
    play(call, actions, choose, [](const Seen&) {});
  }
  // observe() of a player that learns by learn(seen, over).
  template <typename Learn>
  void take_in(const Call& call, const std::uint8_t* done, Learn learn) const;

 private:
  void forget(const Memory& memory, std::size_t env) const;
  // The action in the place of `chosen` where somebody may stand in the way.
  std::int32_t past_others(const Memory& memory, std::size_t env, const Agent& agent,
                           std::int32_t chosen, std::uint64_t whether, std::uint64_t side) const;

  Role role_;
  std::vector<Column> columns_;
  std::size_t slots_;
};

// What draws are for. Those of a kind of player begin at 16.
inline constexpr std::uint64_t kError = 0, kErrorAction = 1, kBlocked = 2, kBlockedAction = 3;

template <typename Choose, typename Expect>
void Mind::play(const Call& call, std::int32_t* actions, Choose choose, Expect expect) const {
  constexpr std::size_t kSoon = 8;  // environments
  const BatchEnv& batch = call.batch;
  const Memory& memory = call.memory;
  const Draws errs = draws(call, kError), error = draws(call, kErrorAction);
  const Draws blocked = draws(call, kBlocked), side = draws(call, kBlockedAction);
  const auto count = static_cast<std::uint64_t>(role_.num_actions);
  const std::int32_t idle = std::min(role_.idle_action, role_.num_actions - 1);
  call.share_out(kLittle, [&](std::size_t begin, std::size_t end, int thread) {
    for (std::size_t env = begin; env < end; ++env) {
      const auto mark = static_cast<std::int64_t>(batch.marks(env).restart);
      if (memory.restart[env] >= 0 && memory.restart[env] != mark) forget(memory, env);
      memory.restart[env] = mark;
      if (env + kSoon < end) {
        const World next = batch.world(env + kSoon);
        const Agent& agent = next.agents()[role_.agent];
        expect(Seen{next, env + kSoon, agent.position(), agent.dir});
      }
      const World world = batch.world(env);
      const Agent& agent = world.agents()[role_.agent];
      std::int32_t action = choose(Seen{world, env, agent.position(), agent.dir}, thread);
      if (role_.can_block) {
        const std::uint64_t at = global(env);
        action = past_others(memory, env, agent, action, blocked.word(at), side.word(at));
      }
      if (role_.error_rate > 0 && as_unit(errs.word(global(env))) < role_.error_rate) {
        action = as_choice(error.word(global(env)), count);
      }
      if (!agent.active()) action = idle;
      memory.pos[2 * env] = agent.row;
      memory.pos[2 * env + 1] = agent.col;
      memory.dir[env] = agent.dir;
      memory.action[env] = action;
      memory.known[env] = agent.active() ? 1 : 0;
      actions[env] = action;
    }
  });
}

template <typename Learn>
void Mind::take_in(const Call& call, const std::uint8_t* done, Learn learn) const {
  const BatchEnv& batch = call.batch;
  const Memory& memory = call.memory;
  call.share_out(8 * kLittle, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t env = begin; env < end; ++env) {
      const auto mark = static_cast<std::int64_t>(batch.marks(env).restart);
      const bool over = done[env] != 0 || (memory.restart[env] >= 0 && memory.restart[env] != mark);
      learn(env, over);
      if (over) forget(memory, env);
      memory.restart[env] = mark;
    }
  });
}

}  // namespace socialgrid::players
