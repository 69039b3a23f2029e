#include "core/batch.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <utility>

#include "core/memory.hpp"

namespace socialgrid {
namespace {

// Half of a signed 64-bit number's range, so that nothing that counts on from here overflows it.
std::uint64_t any_number() {
  std::random_device device;
  return (std::uint64_t{device()} << 32 | device()) >> 2;
}

}  // namespace

BatchEnv::BatchEnv(std::shared_ptr<const Game> game, std::size_t num_envs, int num_threads,
                   std::uint64_t seed, std::uint64_t first_env_index, ObsMode mode,
                   Autoreset autoreset)
    : game_(std::move(game)),
      observer_(make_observer(*game_, mode)),
      num_envs_(num_envs),
      seed_(seed),
      first_env_index_(first_env_index),
      autoreset_(autoreset),
      pool_(num_threads) {
  const std::uint64_t bytes = num_envs_ * spec().shape.bytes();
  const std::string purpose = "the worlds of " + std::to_string(num_envs_) + " environments, twice";
  require_memory(2 * bytes, purpose);
  try {
    for (auto& copy : worlds_) copy.resize(bytes);
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(2 * bytes, purpose);
  }
  const WorldMarks first_marks{.content = any_number(), .restart = any_number()};
  for (auto& copy : marks_) copy.assign(num_envs_, first_marks);
  current_.assign(num_envs_, 0);
  for (int thread = 0; thread < pool_.num_threads(); ++thread) {
    workspaces_.push_back(make_workspace());
  }
  for (std::size_t env = 0; env < num_envs_; ++env) {
    World world = this->world(env);
    world.construct();
    world.header().stream.seed = seed_;
    world.header().stream.stream = first_env_index_ + env;
  }
}

BatchEnv::Workspace BatchEnv::make_workspace() const {
  Workspace workspace;
  workspace.scratch = observer_->make_scratch();
  workspace.visible.resize(num_agents() * num_agents());
  return workspace;
}

void BatchEnv::turn_over() {
  for (std::uint8_t& which : current_) which ^= 1;
}

template <typename Fn>
void BatchEnv::for_each_env(Fn fn) {
  // A cache line of the results that take a byte for each agent: threads that wrote into one line
  // would wait for each other. They take some 5 us; coordinates are a quarter of the work.
  const std::size_t agents_per_range = observer_->mode() == ObsMode::kVector ? 256 : 64;
  const std::size_t little = (agents_per_range + num_agents() - 1) / num_agents();
  pool_.share_out(num_envs_, little, [&](std::size_t begin, std::size_t end, int thread) {
    for (std::size_t env = begin; env < end; ++env) {
      tell_of_faults(env, [&] { fn(env, workspaces_[static_cast<std::size_t>(thread)]); });
    }
  });
}

template <typename StreamOf>
void BatchEnv::restart(StreamOf stream_of, const ObserveBuffers& out, Mask mask) {
  for_each_env([&](std::size_t env, Workspace& workspace) {
    const int now = current_[env], next = 1 - now;
    World world(spec().shape, block(next, env));
    std::memcpy(block(next, env), block(now, env), spec().shape.bytes());
    marks_[next][env] = marks_[now][env];
    if (mask.empty() || mask[env] != 0) {
      marks_[next][env].replaced();
      world.header().stream = stream_of(env, world.header().stream);
      Rng rng(world.header().stream);
      game_->reset(world, rng);
    }
    write_views(world, env, out, workspace);
  });
  turn_over();
  is_reset_ = true;
}

void BatchEnv::reset(const ObserveBuffers& out, Mask mask) {
  const std::uint32_t advance = is_reset_ ? 1 : 0;
  restart(
      [&](std::size_t, StreamState stream) {
        stream.episode += advance;
        stream.used = 0;
        return stream;
      },
      out, mask);
}

void BatchEnv::reset(std::uint64_t seed, const ObserveBuffers& out, Mask mask) {
  restart(
      [&](std::size_t env, const StreamState&) {
        return StreamState{.seed = seed, .stream = first_env_index_ + env};
      },
      out, mask);
}

void BatchEnv::reset(std::span<const std::uint64_t> seeds, const ObserveBuffers& out, Mask mask) {
  restart([&](std::size_t env, const StreamState&) { return StreamState{.seed = seeds[env]}; }, out,
          mask);
}

void BatchEnv::check_actions(std::span<const std::int32_t> actions) const {
  const std::vector<int>& counts = spec().action_counts;
  const std::size_t agents = num_agents();
  if (autoreset_ == Autoreset::kDisabled) {
    for (std::size_t env = 0; env < num_envs_; ++env) {
      if (!is_finished(env)) continue;
      throw FinishedError("environment " + std::to_string(env) +
                          " has finished its episode and does not restart by itself "
                          "(autoreset is disabled); reset it before the next step, with a mask of "
                          "the environments to restart");
    }
  }
  // One branch-free sweep decides; the culprit is looked for only when there is one.
  std::uint32_t wrong = 0;
  for (std::size_t env = 0; env < num_envs_; ++env) {
    const std::int32_t* row = &actions[env * agents];
    for (std::size_t a = 0; a < agents; ++a) {
      wrong |=
          static_cast<std::uint32_t>(row[a]) >= static_cast<std::uint32_t>(counts[a]) ? 1u : 0u;
    }
  }
  if (wrong == 0) return;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    if ((actions[i] < 0 || actions[i] >= counts[i % agents]) && !is_finished(i / agents)) {
      throw action_error(i, std::to_string(actions[i]));
    }
  }
}

ActionError BatchEnv::action_error(std::size_t index, const std::string& value) const {
  const std::size_t agent = index % num_agents();
  return ActionError("actions[environment " + std::to_string(index / num_agents()) + ", agent " +
                     std::to_string(agent) + "] = " + value + " is out of range; " + spec().name +
                     " allows 0 to " + std::to_string(spec().action_counts[agent] - 1));
}

void BatchEnv::step(std::span<const std::int32_t> actions, const StepBuffers& out) {
  const std::size_t agents = num_agents();
  const std::vector<Injected> injected = std::exchange(injected_, {});
  for (const auto& [env, later] : injected) {
    if (later > 0) injected_.push_back({env, later - 1});
  }
  for_each_env([&](std::size_t env, Workspace& workspace) {
    fail_if_injected(injected, env, 0);
    step_one(env, actions.subspan(env * agents, agents), out, workspace);
  });
  turn_over();
}

void BatchEnv::fail_if_injected(const std::vector<Injected>& all, std::size_t env,
                                std::size_t later) {
  for (const Injected& one : all) {
    if (one.env == env && one.later == later) throw std::runtime_error("injected failure");
  }
}

void BatchEnv::step_one(std::size_t env, std::span<const std::int32_t> actions,
                        const StepBuffers& out, Workspace& workspace) {
  const std::size_t agents = num_agents();
  const std::size_t first = env * agents;
  const int now = current_[env];
  World world(spec().shape, block(1 - now, env));
  std::memcpy(world.block().data(), block_of(now, env), spec().shape.bytes());
  WorldMarks& marks = marks_[1 - now][env];
  marks = marks_[now][env];
  if (is_finished(env)) {
    begin_next_episode(world, marks);
    write_nothing_happened(env, out);
    write_views(world, env, {out.obs, out.active, out.visible, out.last_actions}, workspace);
    return;
  }
  {
    Rng rng(world.header().stream);
    const std::size_t kinds = spec().event_names.size();
    game_->step(world, actions,
                {.rewards = {out.reward + first, agents},
                 .events = kinds > 0 ? std::span(out.events + first * kinds, agents * kinds)
                                     : std::span<std::uint8_t>()},
                rng);
  }
  const std::span<const Tile> before = std::as_const(*this).world(env).cells();
  if (!std::equal(before.begin(), before.end(), world.cells().begin())) ++marks.content;
  const bool out_of_time = world.header().step >= spec().max_steps;
  bool all_ended = true;
  for (std::size_t a = 0; a < agents; ++a) {
    const bool ended = world.agents()[a].status == AgentStatus::kEnded;
    all_ended = all_ended && ended;
    out.terminated[first + a] = ended ? 1 : 0;
    out.truncated[first + a] = !ended && out_of_time ? 1 : 0;
  }
  const bool done = all_ended || out_of_time;
  out.done[env] = done ? 1 : 0;
  if (out.final_rows != nullptr) out.final_rows[env] = done ? 1 : 0;
  const std::size_t bytes = agents * observer_->bytes_per_agent();
  const std::size_t place = env * bytes;
  if (done && autoreset_ == Autoreset::kSameStep) {
    observer_->observe(world, *workspace.scratch, out.final_obs + place, workspace.visible.data());
    begin_next_episode(world, marks);
  }
  write_views(world, env, {out.obs, out.active, out.visible, out.last_actions}, workspace);
  if (done && autoreset_ != Autoreset::kSameStep) {
    std::memcpy(out.final_obs + place, out.obs + place, bytes);
  }
}

// The results of a step in which an environment only began an episode, but for its views.
void BatchEnv::write_nothing_happened(std::size_t env, const StepBuffers& out) const {
  const std::size_t agents = num_agents();
  const std::size_t first = env * agents;
  std::fill_n(out.reward + first, agents, 0.0f);
  std::fill_n(out.terminated + first, agents, std::uint8_t{0});
  std::fill_n(out.truncated + first, agents, std::uint8_t{0});
  out.done[env] = 0;
  const std::size_t counts = agents * spec().event_names.size();
  if (counts > 0) std::fill_n(out.events + env * counts, counts, std::uint8_t{0});
  if (out.final_rows != nullptr) out.final_rows[env] = 0;
}

bool BatchEnv::is_over(const World& world) const {
  return world.header().step >= spec().max_steps ||
         std::all_of(world.agents().begin(), world.agents().end(),
                     [](const Agent& agent) { return agent.status == AgentStatus::kEnded; });
}

void BatchEnv::begin_next_episode(World& world, WorldMarks& marks) const {
  marks.replaced();
  StreamState& stream = world.header().stream;
  ++stream.episode;
  stream.used = 0;
  Rng rng(stream);
  game_->reset(world, rng);
}

void BatchEnv::write_views(const World& world, std::size_t env, const ObserveBuffers& out,
                           Workspace& workspace) const {
  const std::size_t agents = num_agents();
  const std::size_t first = env * agents;
  observer_->observe(world, *workspace.scratch, out.obs + first * observer_->bytes_per_agent(),
                     out.visible + first * agents);
  // A finished environment's next step is nobody's.
  const bool waits = autoreset_ != Autoreset::kSameStep && is_over(world);
  for (std::size_t a = 0; a < agents; ++a) {
    out.active[first + a] = !waits && world.agents()[a].active() ? 1 : 0;
    out.last_actions[first + a] = world.agents()[a].last_action;
  }
}

void BatchEnv::observe(const ObserveBuffers& out) {
  for_each_env(
      [&](std::size_t env, Workspace& workspace) { write_views(world(env), env, out, workspace); });
}

Layout BatchEnv::layout(std::size_t env) const { return game_->layout(world(env)); }

void BatchEnv::write_glyphs(std::size_t env, std::uint8_t* out) const {
  game_->write_glyphs(world(env), out);
}

void BatchEnv::set_layout(std::size_t env, const Layout& layout) {
  World target = world(env);
  game_->apply_layout(target, layout, autoreset_ != Autoreset::kSameStep);
  marks_[current_[env]][env].replaced();
}

std::vector<std::uint8_t> BatchEnv::render(std::size_t env, int tile_size) const {
  return observer_->render(world(env), tile_size);
}

}  // namespace socialgrid
