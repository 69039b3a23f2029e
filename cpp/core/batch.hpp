// Many environments of one game, stepped together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/game.hpp"
#include "core/thread_pool.hpp"

namespace socialgrid {

// An environment's rules threw while the batch was stepped; the batch is as it was before.
class EnvStepError : public std::runtime_error {
 public:
  EnvStepError(std::size_t env, const std::string& what)
      : std::runtime_error("environment " + std::to_string(env) + ": " + what), env_(env) {}
  std::size_t env() const { return env_; }

 private:
  std::size_t env_;
};

// An action outside its agent's range; nothing was changed.
class ActionError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// A snapshot that is damaged or belongs to another configuration; nothing was changed.
class SnapshotError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// An action for an environment whose episode is over and that does not restart by itself.
class FinishedError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What becomes of an environment whose episode has ended.
enum class Autoreset {
  kSameStep,  // the next episode begins in the same step
  kNextStep,  // the next step ignores its actions and begins the next episode
  kDisabled   // it holds its last state until it is reset; to step it is an error
};

// Where a step's results go. E environments, A agents; all memory is the caller's.
struct StepBuffers {
  std::byte* obs = nullptr;              // [E, A, ...] views before the next step
  float* reward = nullptr;               // [E, A]
  std::uint8_t* terminated = nullptr;    // [E, A] the agent's play has ended in this episode
  std::uint8_t* truncated = nullptr;     // [E, A] the time limit cut the agent off
  std::uint8_t* done = nullptr;          // [E] the episode ended in this step
  std::byte* final_obs = nullptr;        // [E, A, ...] last views; only rows that are done
  std::uint8_t* active = nullptr;        // [E, A] in play before the next step
  std::uint8_t* visible = nullptr;       // [E, A, A] agent i sees agent j
  std::int32_t* last_actions = nullptr;  // [E, A] -1 at the start of an episode
  std::uint8_t* events = nullptr;        // [E, A, event_names] counts of this step
  std::uint8_t* final_rows = nullptr;    // [E] as done, for who keeps final_obs; or nothing
};

// The part of StepBuffers that reset and observe fill.
struct ObserveBuffers {
  std::byte* obs = nullptr;
  std::uint8_t* active = nullptr;
  std::uint8_t* visible = nullptr;
  std::int32_t* last_actions = nullptr;
};

// Numbers by which whoever derives something from a world (a map, a plan) sees that it has changed.
// They never come back in the life of a batch and are no part of the state; only whether two are
// equal means anything. They begin at random, so that those of another batch are others.
struct WorldMarks {
  std::uint64_t content = 0;  // moves with `restart`, and when a step changes what a cell holds
  std::uint64_t restart =
      0;  // moves when the world is replaced: reset, next episode, layout, state

  void replaced() {
    ++content;
    ++restart;
  }
};

class BatchEnv {
 public:
  BatchEnv(std::shared_ptr<const Game> game, std::size_t num_envs, int num_threads,
           std::uint64_t seed, std::uint64_t first_env_index, ObsMode mode,
           Autoreset autoreset = Autoreset::kSameStep);

  const GameSpec& spec() const { return game_->spec(); }
  const Observer& observer() const { return *observer_; }
  std::size_t num_envs() const { return num_envs_; }
  std::size_t num_agents() const { return static_cast<std::size_t>(spec().shape.num_agents); }
  int num_threads() const { return pool_.num_threads(); }
  Autoreset autoreset() const { return autoreset_; }
  bool is_reset() const { return is_reset_; }
  std::size_t state_bytes_per_env() const { return spec().shape.bytes(); }

  // The environments that a reset begins anew: bytes [E], 0 leaves one as it is; empty: all.
  using Mask = std::span<const std::uint8_t>;
  // Starts the next episode of every environment's stream.
  void reset(const ObserveBuffers& out, Mask mask = {});
  // Starts episode 0 of the streams (seed, first_env_index + e).
  void reset(std::uint64_t seed, const ObserveBuffers& out, Mask mask = {});
  // Starts episode 0 of the streams (seeds[e], 0).
  void reset(std::span<const std::uint64_t> seeds, const ObserveBuffers& out, Mask mask = {});

  // The environment's episode is over and it waits for a reset, its own or the caller's.
  bool is_finished(std::size_t env) const {
    return autoreset_ != Autoreset::kSameStep && is_over(world(env));
  }

  // Throws ActionError naming environment, agent, value and allowed range (where the next step
  // begins an episode every action will do), FinishedError naming the environment.
  void check_actions(std::span<const std::int32_t> actions) const;
  // The error for action number `index` of [E, A].
  ActionError action_error(std::size_t index, const std::string& value) const;
  // Steps all environments with checked actions [E, A].
  // All or nothing: if an environment throws, EnvStepError tells which (of several, the first one)
  // and no state changes (the contents of the buffers are then undefined).
  void step(std::span<const std::int32_t> actions, const StepBuffers& out);

  // For tests of error handling: makes environment `env` throw in the next step, or so many steps
  // later; several may.
  void inject_failure(std::size_t env, std::size_t later = 0) { injected_.push_back({env, later}); }

  void observe(const ObserveBuffers& out);

  // The whole state, random streams included: versioned, with a checksum, little-endian.
  std::vector<std::byte> snapshot() const;
  // Throws SnapshotError and changes nothing if it does not fit.
  void restore(std::span<const std::byte> bytes);

  Layout layout(std::size_t env) const;
  // What each cell holds, as the characters of layouts: [rows, cols].
  void write_glyphs(std::size_t env, std::uint8_t* out) const;
  void set_layout(std::size_t env, const Layout& layout);
  std::vector<std::uint8_t> render(std::size_t env, int tile_size) const;

  // For others' work on the worlds between two steps.
  ThreadPool& pool() { return pool_; }

  const WorldMarks& marks(std::size_t env) const { return marks_[current_[env]][env]; }

  World world(std::size_t env) { return {spec().shape, block(current_[env], env)}; }
  // Read-only by convention: World views do not own.
  World world(std::size_t env) const {
    return {spec().shape, const_cast<std::byte*>(block_of(current_[env], env))};
  }

 private:
  friend class Excursion;

  struct Injected {
    std::size_t env, later;
  };
  struct alignas(64) Workspace {  // one per thread
    std::unique_ptr<ObserverScratch> scratch;
    std::vector<std::uint8_t> visible;
  };

  std::byte* block(int which, std::size_t env) {
    return worlds_[which].data() + env * spec().shape.bytes();
  }
  const std::byte* block_of(int which, std::size_t env) const {
    return worlds_[which].data() + env * spec().shape.bytes();
  }
  template <typename StreamOf>
  void restart(StreamOf stream_of, const ObserveBuffers& out, Mask mask);
  void step_one(std::size_t env, std::span<const std::int32_t> actions, const StepBuffers& out,
                Workspace& workspace);
  // Throws if the environment is to fail so many steps later.
  static void fail_if_injected(const std::vector<Injected>& all, std::size_t env,
                               std::size_t later);
  void write_nothing_happened(std::size_t env, const StepBuffers& out) const;
  bool is_over(const World& world) const;
  void begin_next_episode(World& world, WorldMarks& marks) const;
  void write_views(const World& world, std::size_t env, const ObserveBuffers& out,
                   Workspace& workspace) const;
  // Throws EnvStepError where fn() is at fault.
  template <typename Fn>
  static void tell_of_faults(std::size_t env, Fn fn) {
    try {
      fn();
    } catch (const std::bad_alloc&) {
      throw;  // no fault of the environment's
    } catch (const std::exception& error) {
      throw EnvStepError(env, error.what());
    }
  }
  template <typename Fn>
  void for_each_env(Fn fn);
  Workspace make_workspace() const;
  // The other copies become the current ones.
  void turn_over();

  std::shared_ptr<const Game> game_;
  std::unique_ptr<const Observer> observer_;
  std::size_t num_envs_;
  std::uint64_t seed_;
  std::uint64_t first_env_index_;
  Autoreset autoreset_;
  bool is_reset_ = false;
  std::vector<Injected> injected_;
  // Two copies of all worlds: a step writes into the other copy, which becomes current only when
  // all environments have succeeded.
  std::vector<std::byte> worlds_[2];
  std::vector<WorldMarks> marks_[2];
  std::vector<std::uint8_t> current_;  // [E] all equal, but in the middle of an excursion
  std::vector<Workspace> workspaces_;
  ThreadPool pool_;
};

// Some environments of a snapshot, as the snapshot of a batch that has only them.
std::vector<std::byte> take_from_snapshot(std::span<const std::byte> bytes, std::size_t first,
                                          std::size_t count);
// The snapshot of one batch from those of batches whose environments follow each other.
std::vector<std::byte> join_snapshots(std::span<const std::span<const std::byte>> parts);

}  // namespace socialgrid
