// Steps of learners, players and worlds in one call, with nothing of Python between two steps.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "acting.hpp"
#include "bindings/arrays.hpp"
#include "bindings/batch.hpp"
#include "bindings/heard.hpp"
#include "bindings/players.hpp"
#include "bindings/register.hpp"
#include "bindings/unlocked.hpp"
#include "core/excursion.hpp"
#include "core/thread_pool.hpp"
#include "learning.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using Clock = std::chrono::steady_clock;

// An array [steps, ...] of the caller's: its address, and the distance of steps in its own items.
using GivenSteps = std::pair<std::uintptr_t, std::int64_t>;

template <typename T>
struct Steps {
  T* data;
  std::int64_t distance;

  explicit Steps(const GivenSteps& given) : data(at<T>(given.first)), distance(given.second) {}
  T* operator[](std::size_t step) const {
    return data + static_cast<std::int64_t>(step) * distance;
  }
};

// What is written of T steps of E environments with N agents, of which A learn: see Rollout. Of
// each step everything lies without gaps.
struct Written {
  static constexpr std::size_t kCount = 14;

  explicit Written(const std::array<GivenSteps, kCount>& g)
      : obs(g[0]),
        reward(g[1]),
        terminated(g[2]),
        truncated(g[3]),
        done(g[4]),
        active(g[5]),
        reset(g[6]),
        last_actions(g[7]),
        visible(g[8]),
        events(g[9]),
        taken(g[10]),
        last_rewards(g[11]),
        before(g[12]),
        told(g[13]) {}

  Steps<std::byte> obs;              // [T + 1, E, N, ...], its items are bytes
  Steps<float> reward;               // [T, E, N]
  Steps<std::uint8_t> terminated;    // [T, E, N]
  Steps<std::uint8_t> truncated;     // [T, E, N]
  Steps<std::uint8_t> done;          // [T, E]
  Steps<std::uint8_t> active;        // [T + 1, E, N]
  Steps<std::uint8_t> reset;         // [T + 1, E, N]
  Steps<std::int32_t> last_actions;  // [T + 1, E, N]
  Steps<std::uint8_t> visible;       // [T + 1, E, N, N]
  Steps<std::uint8_t> events;        // [T, E, N, K]
  Steps<std::int32_t> taken;         // [T, E, N]
  Steps<float> last_rewards;         // [T + 1, E, N]
  Steps<float> before;               // [T, E, A, S]
  Steps<std::int16_t> told;          // [T, E, A, K]
};

// A decision: choices, log-probabilities and values [T, E, A], drawn by numbers [T, A, E], or the
// most probable where there are none.
struct Deciding {
  explicit Deciding(const std::array<GivenSteps, 4>& g)
      : choice(g[0]), log_prob(g[1]), value(g[2]), uniform(g[3]) {}

  Steps<std::int64_t> choice;
  Steps<float> log_prob, value;
  Steps<const float> uniform;
};

// An episode that ended, whose last views lie at a place among those of its range.
struct Ended {
  std::size_t step, env, range, place;
};

// A scripted player, and how often it was called before.
struct Scripted {
  Playing own;
  std::uint64_t calls;
  std::vector<std::int32_t> actions;  // [E]
};

// Whoever plays a batch on.
struct Company {
  learning::Acting& acting;
  std::vector<std::size_t> learners;  // [A] their places among the agents, evenly spaced
  std::vector<Scripted> scripted;
  std::vector<Channel> channels;
};

class Collecting {
 public:
  Collecting(BatchEnv& batch, players::MapStore& maps, Company& company, std::size_t steps,
             const Written& written, const std::vector<Deciding>& decisions, float* memory,
             std::int64_t state_size, std::byte* final_obs)
      : batch_(batch),
        maps_(maps),
        company_(company),
        steps_(steps),
        written_(written),
        decisions_(decisions),
        memory_(memory),
        state_(state_size),
        final_obs_(final_obs),
        views_(batch.num_agents() * batch.observer().bytes_per_agent()) {
    for (const Channel& channel : company.channels) columns_ += channel.columns;
    if (columns_ == 0) return;
    const std::size_t rows = batch.num_envs() * company.learners.size();
    after_.resize(rows * static_cast<std::size_t>(state_size));
    tokens_.resize(rows * static_cast<std::size_t>(columns_));
  }

  // Nothing has changed in worlds if it throws. Of several environments that fail it tells of the
  // one that is the first to do so, step by step, whatever the number of threads.
  void run(int threads, Signals& signals) {
    const std::size_t envs = batch_.num_envs();
    const auto crew = static_cast<std::size_t>(std::max(threads, 1));
    // As many for each thread, and not more at a time than agents act in at a time.
    const std::size_t rounds = (envs + crew * kMost - 1) / (crew * kMost);
    const std::size_t share = (envs + crew * rounds - 1) / (crew * rounds);
    ThreadPool pool(static_cast<int>(std::min(crew, (envs + share - 1) / share)));
    Excursion excursion(batch_);
    for (Scripted& one : company_.scripted) {  // for all at once: the first time makes maps
      one.own.mind.act({batch_, maps_, one.own.memory, one.calls}, one.actions.data());
    }
    pool.parallel_for(envs, share, [&](std::size_t begin, std::size_t end, int) {
      collect(excursion, begin, end, signals);
    });
    signals.rethrow();
    if (error_) std::rethrow_exception(error_);
    excursion.stay();
    std::sort(ended_.begin(), ended_.end(), [](const Ended& a, const Ended& b) {
      return std::pair(a.step, a.env) < std::pair(b.step, b.env);
    });
  }

  const std::vector<Ended>& ended() const { return ended_; }
  const std::byte* last_views(const Ended& one) const {
    return last_views_[one.range].data() + one.place * views_;
  }
  std::size_t bytes_of_views() const { return views_; }
  // Summed over threads.
  double seconds_acting() const { return 1e-9 * static_cast<double>(acting_); }
  double seconds_stepping() const { return 1e-9 * static_cast<double>(stepping_); }

 private:
  static constexpr std::size_t kMost = 256;

  // Goes on no further than others whose step failed, who may not have been the first to do so.
  void collect(Excursion& excursion, std::size_t begin, std::size_t end, Signals& signals) {
    std::size_t t = 0;
    try {
      play(excursion, begin, end, signals, t);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (error_ && std::pair(t, begin) > failed_) return;
      error_ = std::current_exception();
      failed_ = {t, begin};
      reach_ = t + 1;
    }
  }

  void play(Excursion& excursion, std::size_t begin, std::size_t end, Signals& signals,
            std::size_t& t) {
    Excursion::Range range(excursion, begin, end);
    learning::Acting::Desk desk(company_.acting);
    std::vector<Ended> ended;
    std::vector<std::byte> views;
    Clock::duration acting{}, stepping{};
    for (; t < reach_; ++t) {
      if (signals.given_up()) return;
      const Clock::time_point start = Clock::now();
      choose(desk, t, begin, end);
      const Clock::time_point chosen = Clock::now();
      step(range, t, begin, end);
      for (std::size_t env = begin; env < end; ++env) {
        if (written_.done[t][env] == 0) continue;
        ended.push_back({t, env, 0, ended.size()});
        const std::byte* own = final_obs_ + env * views_;
        views.insert(views.end(), own, own + views_);
      }
      acting += chosen - start;
      stepping += Clock::now() - chosen;
    }
    if (!after_.empty() && steps_ % 2 == 1) {
      const std::size_t row = company_.learners.size() * static_cast<std::size_t>(state_);
      std::copy_n(after_.data() + begin * row, (end - begin) * row, memory_ + begin * row);
    }
    acting_ += std::chrono::nanoseconds(acting).count();
    stepping_ += std::chrono::nanoseconds(stepping).count();
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Ended& one : ended) one.range = last_views_.size();
    ended_.insert(ended_.end(), ended.begin(), ended.end());
    last_views_.push_back(std::move(views));
  }

  void choose(learning::Acting::Desk& desk, std::size_t t, std::size_t begin, std::size_t end) {
    const std::size_t agents = batch_.num_agents(), own = company_.learners.size();
    const auto first = static_cast<std::int64_t>(company_.learners.front());
    const auto apart =
        static_cast<std::int64_t>(own > 1 ? company_.learners[1] - company_.learners[0] : 1);
    const auto n = static_cast<std::int64_t>(agents), a = static_cast<std::int64_t>(own);
    const auto bytes = static_cast<std::int64_t>(batch_.observer().bytes_per_agent());
    const auto envs = static_cast<std::int64_t>(batch_.num_envs());
    learning::Step s;
    const auto* seen = reinterpret_cast<const std::uint8_t*>(written_.obs[t]);
    s.views = {seen + first * bytes, n * bytes, apart * bytes};
    s.reset = {written_.reset[t] + first, n, apart};
    // Who acts twice in a step finds the state of before it the second time, too.
    float *state = memory_, *after = memory_;
    if (!after_.empty()) {
      after = after_.data();
      if (t % 2 == 1) std::swap(state, after);
      hear(state, t, begin, end);
      s.tokens = {tokens_.data(), a * columns_, columns_};
      s.told = {written_.told[t], a * columns_, columns_};
    }
    s.state = {state, a * state_, state_};
    s.before = {written_.before[t], a * state_, state_};
    s.after = {after, a * state_, state_};
    for (const Deciding& one : decisions_) {
      s.decided.push_back({{one.uniform[t], 1, envs},
                           {one.choice[t], a, 1},
                           {one.log_prob[t], a, 1},
                           {one.value[t], a, 1}});
    }
    company_.acting.act(s, static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end), desk);
    std::int32_t* taken = written_.taken[t];
    std::fill(taken + begin * agents, taken + end * agents, 0);
    for (Scripted& one : company_.scripted) {
      if (t > 0) one.own.mind.act(call(one, t, begin, end), one.actions.data());
      const std::size_t agent = one.own.mind.role().agent;
      for (std::size_t env = begin; env < end; ++env) {
        taken[env * agents + agent] = one.actions[env];
      }
    }
    const std::int64_t* choice = decisions_.front().choice[t];
    for (std::size_t env = begin; env < end; ++env) {
      for (std::size_t i = 0; i < own; ++i) {
        taken[env * agents + company_.learners[i]] =
            static_cast<std::int32_t>(choice[env * own + i]);
      }
    }
  }

  void hear(const float* state, std::size_t t, std::size_t begin, std::size_t end) {
    const std::size_t agents = batch_.num_agents(), own = company_.learners.size();
    const auto further = state_ - static_cast<std::int64_t>(decisions_.size()) + 1;
    std::int16_t* token = tokens_.data() + begin * own * static_cast<std::size_t>(columns_);
    for (std::size_t env = begin; env < end; ++env) {
      const std::int32_t* actions = written_.last_actions[t] + env * agents;
      const std::uint8_t* reset = written_.reset[t] + env * agents;
      const float* states = state + static_cast<std::int64_t>(env * own) * state_ + further;
      for (const std::size_t slot : company_.learners) {
        for (const Channel& channel : company_.channels) {
          for (std::int64_t i = 0; i < channel.columns; ++i) {
            std::int64_t found = -1;
            const auto column = static_cast<std::size_t>(i);
            if (channel.kind == Channel::kActions && column != slot) {
              found = actions[column];
            } else if (channel.kind == Channel::kChoices && reset[company_.learners[column]] == 0) {
              found = static_cast<std::int64_t>(states[i * state_ + channel.which]) - 1;
            }
            *token++ = static_cast<std::int16_t>(found);
          }
        }
      }
    }
  }

  void step(Excursion::Range& range, std::size_t t, std::size_t begin, std::size_t end) {
    const Written& w = written_;
    range.step(w.taken[t], {.obs = w.obs[t + 1],
                            .reward = w.reward[t],
                            .terminated = w.terminated[t],
                            .truncated = w.truncated[t],
                            .done = w.done[t],
                            .final_obs = final_obs_,
                            .active = w.active[t + 1],
                            .visible = w.visible[t + 1],
                            .last_actions = w.last_actions[t + 1],
                            .events = w.events[t]});
    for (Scripted& one : company_.scripted) {
      one.own.mind.observe(call(one, t + 1, begin, end), w.reward[t], w.done[t]);
    }
    const std::size_t agents = batch_.num_agents();
    for (std::size_t env = begin; env < end; ++env) {
      const bool done = w.done[t][env] != 0;
      const float kept = done ? 0.0f : 1.0f;
      for (std::size_t i = env * agents; i < (env + 1) * agents; ++i) {
        w.reset[t + 1][i] = done || w.active[t][i] == 0 || w.active[t + 1][i] == 0 ? 1 : 0;
        w.last_rewards[t + 1][i] = w.reward[t][i] * kept;
      }
    }
  }

  players::Call call(const Scripted& one, std::size_t before, std::size_t begin,
                     std::size_t end) const {
    return {batch_, maps_, one.own.memory, one.calls + before, players::Envs{begin, end}};
  }

  BatchEnv& batch_;
  players::MapStore& maps_;
  Company& company_;
  const std::size_t steps_;
  const Written& written_;
  const std::vector<Deciding>& decisions_;
  float* const memory_;
  const std::int64_t state_;
  std::byte* const final_obs_;
  const std::size_t views_;
  std::int64_t columns_ = 0;          // that a learner hears
  std::vector<float> after_;          // where something is heard: states after even steps
  std::vector<std::int16_t> tokens_;  // [E, A, K]
  std::mutex mutex_;
  std::exception_ptr error_;                      // of the first failure
  std::pair<std::size_t, std::size_t> failed_{};  // its step, and the first environment there
  std::atomic<std::size_t> reach_{steps_};        // the first step that is in vain
  std::vector<Ended> ended_;
  std::vector<std::vector<std::byte>> last_views_;  // by range
  std::atomic<std::int64_t> acting_{0}, stepping_{0};
};

// See _core.pyi.
py::object collect(learning::Acting& acting, const py::object& batch,
                   const std::vector<std::size_t>& learners,
                   const std::vector<std::pair<py::object, std::uint64_t>>& scripted,
                   const std::vector<std::array<std::int64_t, 3>>& heard, std::size_t steps,
                   const std::array<GivenSteps, Written::kCount>& given,
                   const std::vector<std::array<GivenSteps, 4>>& decided, std::uintptr_t memory,
                   std::int64_t state_size, std::uintptr_t final_obs, int threads) {
  if (decided.size() != acting.deciders()) {
    throw py::value_error("collect: " + std::to_string(decided.size()) + " decisions, expected " +
                          std::to_string(acting.deciders()));
  }
  if (learners.size() != acting.agents()) {
    throw py::value_error("collect: " + std::to_string(learners.size()) + " learners, expected " +
                          std::to_string(acting.agents()));
  }
  const Written written(given);
  const std::vector<Deciding> decisions(decided.begin(), decided.end());
  Company company{acting, learners, {}, {}};
  for (const auto& [kind, which, columns] : heard) {
    company.channels.push_back({static_cast<Channel::Kind>(kind), which, columns});
  }
  for (const auto& [mind, calls] : scripted) {
    company.scripted.push_back({playing(mind), calls, {}});
  }
  std::optional<Collecting> collecting;
  bool roomy = true;
  between_steps(batch, [&](BatchEnv& worlds, players::MapStore& maps, Unlocked& unlocked) {
    check_heard(
        company.channels,
        {static_cast<std::int64_t>(worlds.num_agents()), static_cast<std::int64_t>(learners.size()),
         static_cast<std::int64_t>(decisions.size()) - 1},
        acting.columns());
    for (Scripted& one : company.scripted) {
      roomy = roomy && one.own.has_room(worlds, maps);
      one.actions.resize(worlds.num_envs());
    }
    if (!roomy) return;
    collecting.emplace(worlds, maps, company, steps, written, decisions, at<float>(memory),
                       state_size, at<std::byte>(final_obs));
    Signals signals(unlocked);
    collecting->run(threads, signals);
  });
  if (!roomy) return py::none();
  const std::size_t bytes = collecting->bytes_of_views();
  const auto ends = static_cast<py::ssize_t>(collecting->ended().size());
  auto where = aligned_array<std::int64_t>({ends, 2});
  auto last = aligned_array<std::uint8_t>({ends, static_cast<py::ssize_t>(bytes)});
  std::int64_t* place = where.mutable_data();
  std::uint8_t* views = last.mutable_data();
  for (const Ended& one : collecting->ended()) {
    *place++ = static_cast<std::int64_t>(one.step);
    *place++ = static_cast<std::int64_t>(one.env);
    std::memcpy(views, collecting->last_views(one), bytes);
    views += bytes;
  }
  return py::make_tuple(where, last, collecting->seconds_acting(), collecting->seconds_stepping());
}

}  // namespace

void register_collecting(py::module_& module) {
  module.def("collect", &collect, py::arg("acting"), py::arg("batch"), py::arg("learners"),
             py::arg("scripted"), py::arg("heard"), py::arg("steps"), py::arg("written"),
             py::arg("decided"), py::arg("memory"), py::arg("state_size"), py::arg("final_obs"),
             py::arg("threads"));
}

}  // namespace socialgrid::bindings
