// Steps of agents in tasks of their own.
#include "march.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>

#include "largest.hpp"

namespace socialgrid::learning {
namespace {

using Clock = std::chrono::steady_clock;

bool finite(const float* numbers, std::int64_t count) {
  return std::all_of(numbers, numbers + count, [](float x) { return std::isfinite(x); });
}

class March {
 public:
  March(const Kernels& kernels, const Marching& task, Crew& crew)
      : kernels_(kernels),
        task_(task),
        crew_(crew),
        all_(task.agents * task.copies),
        inputs_(task.networks.sizes.front()),
        actions_(static_cast<std::size_t>(all_)),
        whether_(actions_.size()),
        which_(actions_.size()) {
    for (int i = 0; i < crew.threads(); ++i) {
      asking_.push_back(std::make_unique<Asking>(kernels, task, all_));
    }
  }

  const std::vector<std::int32_t>& choose(std::int64_t step) {
    if (first(step)) {
      for (std::int64_t i = 0; i < all_; ++i) act(i, task_.first[i]);
      return actions_;
    }
    crew_.offer([this](int thread) {
      const std::int64_t end = crew_.first(task_.agents, thread + 1);
      for (std::int64_t a = crew_.first(task_.agents, thread); a < end; ++a) ask(a, thread);
    });
    if (task_.following == nullptr) explore(step);
    return actions_;
  }
  // Whether others chose what to do in it.
  bool first(std::int64_t step) const { return step == 0 && task_.first != nullptr; }

  // Puts a step into the memory; `following` is what it led to.
  void remember(std::int64_t step, const Happened& happened, const float* following) {
    const auto row = static_cast<std::size_t>(inputs_) * sizeof(float);
    for (std::int64_t i = 0; i < all_; ++i) {
      const std::int64_t a = i / task_.copies;
      const std::int64_t place = task_.next[a] + step * task_.copies + i % task_.copies;
      const std::int64_t at = a * task_.capacity + place % task_.capacity;
      const auto n = static_cast<std::size_t>(i);
      std::memcpy(task_.kept_obs + at * inputs_, task_.obs + i * inputs_, row);
      std::memcpy(task_.kept_next_obs + at * inputs_, following + i * inputs_, row);
      task_.kept_action[at] = actions_[n];
      task_.kept_reward[at] = happened.reward[n];
      task_.kept_terminated[at] = happened.terminated[n];
      task_.kept_truncated[at] = happened.truncated[n] != 0 && happened.terminated[n] == 0 ? 1 : 0;
    }
  }

  void count(const Happened& happened, Marched& found) {
    for (std::int64_t i = 0; i < all_; ++i) {
      const auto n = static_cast<std::size_t>(i);
      task_.returns[i] += static_cast<double>(happened.reward[n]);
      task_.played[i] = happened.done[n] == 0 ? 1 : 0;
      if (happened.done[n] == 0) continue;
      found.finished.emplace_back(i / task_.copies, task_.returns[i]);
      task_.returns[i] = 0.0;
    }
  }

 private:
  // What a thread needs to ask networks.
  struct Asking {
    Scratch shown, values, room;
    std::vector<std::int64_t> whom;  // all of the agents' numbers that are asked for

    Asking(const Kernels& kernels, const Marching& task, std::int64_t all)
        : shown(all * task.networks.sizes.front()),
          values(all * task.actions),
          room(room_of(kernels, task.networks.sizes, all)) {
      whom.reserve(static_cast<std::size_t>(all));
    }
  };

  void act(std::int64_t i, std::int64_t action) {
    actions_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(action);
  }

  // What an agent's network would do wherever it is followed.
  void ask(std::int64_t agent, int thread) {
    auto& [shown, values_to, room, asked] = *asking_[static_cast<std::size_t>(thread)];
    asked.clear();
    for (std::int64_t i = 0; i < all_; ++i) {
      const std::int64_t by =
          task_.following == nullptr ? i / task_.copies : task_.following->adviser(i);
      if (by == agent) asked.push_back(i);
    }
    const auto count = static_cast<std::int64_t>(asked.size());
    if (count == 0) return;
    float* to = shown.data();
    for (const std::int64_t i : asked) {
      to = std::copy_n(task_.obs + i * inputs_, inputs_, to);
    }
    const AgentNetworks& networks = task_.networks;
    DenseNetwork network(kernels_, networks.sizes, count, networks.of(agent));
    const float* values = network.see(shown.data(), values_to.data(), room.data(), false);
    for (const std::int64_t i : asked) {
      act(i, largest(values, task_.actions));
      values += task_.actions;
    }
  }

  void explore(std::int64_t step) {
    const Exploring& e = task_.exploring;
    e.whether(step, whether_.data());
    e.which(step, which_.data());
    for (std::int64_t i = 0; i < all_; ++i) {
      const std::int64_t a = i / task_.copies, taken = e.taken[a] + step * task_.copies;
      if (e.explores[a] == 0) continue;
      const double done = std::min(1.0, static_cast<double>(taken) / static_cast<double>(e.until));
      const auto epsilon = static_cast<float>(e.from * (1.0 - done) + e.to * done);
      const auto n = static_cast<std::size_t>(i);
      if (taken >= e.random_before && !(uniform(whether_[n]) < epsilon)) continue;
      act(i, static_cast<std::int64_t>(uniform(which_[n]) * static_cast<float>(task_.actions)));
    }
  }

  const Kernels& kernels_;
  const Marching& task_;
  Crew& crew_;
  std::int64_t all_, inputs_;
  std::vector<std::unique_ptr<Asking>> asking_;  // of each thread
  std::vector<std::int32_t> actions_;
  std::vector<std::uint32_t> whether_, which_;
};

// Seconds by what they are spent for.
class Watch {
 public:
  void spent(double& seconds) {
    const auto now = Clock::now();
    seconds += std::chrono::duration<double>(now - at_).count();
    at_ = now;
  }

 private:
  Clock::time_point at_ = Clock::now();
};

// Ends with the first step that is refused, not decided or not learnt from.
void take_steps(March& march, const Marching& task, const Hands& hands, Crew& crew,
                Marched& found) {
  const std::int64_t all = task.agents * task.copies, inputs = task.networks.sizes.front();
  const auto size = static_cast<std::size_t>(all), wide = size * static_cast<std::size_t>(inputs);
  Happened happened{std::vector<float>(wide),        std::vector<float>(wide),
                    std::vector<float>(size),        std::vector<std::uint8_t>(size),
                    std::vector<std::uint8_t>(size), std::vector<std::uint8_t>(size)};
  std::vector<float> following(wide);
  const Schedule& when = task.schedule;
  found.waited = when.waited;
  Watch watch;
  while (found.steps < task.steps) {
    const std::int64_t k = found.steps;
    if (task.following != nullptr && !march.first(k) && task.following->due()) {
      if (task.trusting != nullptr) task.trusting->learn(crew);
      watch.spent(found.trusting);
      found.undecided = !task.following->choose(task.obs);
      if (found.undecided) return;
    }
    const std::vector<std::int32_t>& actions = march.choose(k);
    // From here to the end of the step nothing can fail.
    found.finished.reserve(found.finished.size() + size);
    if (task.trusting != nullptr) task.trusting->prepare();
    watch.spent(found.acting);
    hands.step(actions, happened);
    watch.spent(found.stepping);
    following = happened.obs;
    for (std::int64_t i = 0; i < all; ++i) {
      if (happened.done[static_cast<std::size_t>(i)] == 0) continue;
      std::copy_n(happened.final_obs.data() + i * inputs, inputs, following.data() + i * inputs);
    }
    if (!finite(happened.reward.data(), all) || !finite(task.obs, all * inputs) ||
        !finite(following.data(), all * inputs)) {
      found.refused = {happened.reward, {task.obs, task.obs + all * inputs}, following};
      return;
    }
    march.remember(k, happened, following.data());
    march.count(happened, found);
    watch.spent(found.remembering);
    if (task.trusting != nullptr) {
      task.trusting->note(
          {task.obs, following.data(), happened.reward.data(), happened.terminated.data()});
    }
    if (task.following != nullptr) task.following->count(march.first(k));
    std::copy(happened.obs.begin(), happened.obs.end(), task.obs);
    ++found.steps;
    watch.spent(found.trusting);
    found.waited += task.copies;
    const bool due = hands.update && found.waited >= when.interval &&
                     when.taken + found.steps * task.copies > when.starts;
    if (task.trusting != nullptr && (due || task.trusting->full())) task.trusting->learn(crew);
    watch.spent(found.trusting);
    if (due) {
      if (!hands.update(found.steps)) return;
      found.waited = 0;
      watch.spent(found.updating);
    }
    if (hands.stop()) return;
  }
}

}  // namespace

Marched march(const Kernels& kernels, const Marching& task, const Hands& hands, Crew& crew) {
  March march(kernels, task, crew);
  Marched found;
  try {
    take_steps(march, task, hands, crew, found);
  } catch (...) {
    found.error = std::current_exception();
  }
  if (task.trusting == nullptr) return found;
  Watch watch;
  try {
    task.trusting->learn(crew);
  } catch (...) {
    if (!found.error) found.error = std::current_exception();
  }
  watch.spent(found.trusting);
  return found;
}

}  // namespace socialgrid::learning
