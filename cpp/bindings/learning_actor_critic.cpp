// Gradient steps of actors and critics, on the memory of others' tensors: see learning.cpp.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "actor_critic.hpp"
#include "given_arrays.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "network.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::ActorCritic;
using learning::ActorCriticAgent;
using learning::Kernels;
using learning::LearntPart;
using learning::Policy;

using Indices = std::vector<std::int64_t>;

Policy policy_of(const std::string& name) {
  if (name == "deterministic") return Policy::deterministic;
  if (name == "gaussian") return Policy::gaussian;
  if (name == "of-state") return Policy::of_state;
  if (name == "categorical") return Policy::categorical;
  throw py::value_error("policy " + name +
                        ": must be deterministic, gaussian, of-state or categorical");
}

// A network of all agents, with what is needed to train it.
struct Part {
  float *values, *target, *first, *second;
  std::int64_t* steps;
  const double* rates;
  std::int64_t parameters;

  Part(const GivenArrays& arrays, const std::string& name, std::int64_t agents, std::int64_t each,
       bool has_target)
      : values(arrays.writable<float>(name + "/values", {agents, each})),
        target(has_target ? arrays.writable<float>(name + "/target", {agents, each}) : nullptr),
        first(arrays.writable<float>(name + "/first", {agents, each})),
        second(arrays.writable<float>(name + "/second", {agents, each})),
        steps(arrays.writable<std::int64_t>(name + "/steps", {agents})),
        rates(arrays.readable<double>(name + "/rate", {agents})),
        parameters(each) {}

  LearntPart of(std::int64_t agent) const {
    const std::int64_t from = agent * parameters;
    return {values + from, target == nullptr ? nullptr : target + from,
            first + from,  second + from,
            steps[agent],  rates[agent]};
  }
};

ActorCritic task_of(const std::string& policy, const GivenArrays& arrays, const Indices& hidden,
                    const py::dict& numbers) {
  const auto number = [&](const char* name) { return numbers[name].cast<double>(); };
  const auto whole = [&](const char* name) { return numbers[name].cast<std::int64_t>(); };
  ActorCritic task;
  task.policy = policy_of(policy);
  task.hidden = hidden;
  const auto drawn = arrays.shape("places", 3);
  task.steps = drawn[1];
  task.batch = drawn[2];
  task.inputs = arrays.shape("obs", 3)[2];
  task.size = task.chooses() ? whole("num_actions") : arrays.shape("action", 3)[2];
  task.heads = whole("critics");
  task.target_interval = whole("target_interval");
  task.policy_delay = whole("policy_delay");
  task.gamma = number("gamma");
  task.tau = number("tau");
  task.beta1 = number("beta1");
  task.beta2 = number("beta2");
  task.eps = number("eps");
  task.max_norm = number("max_norm");
  task.target_noise = number("target_noise");
  task.target_noise_clip = number("target_noise_clip");
  task.learns_temperature = numbers["learns_temperature"].cast<bool>();
  task.target_entropy = number("target_entropy");
  const std::int64_t least =
      std::min({task.steps, task.batch, task.inputs, task.size, task.heads, task.target_interval,
                task.policy_delay, static_cast<std::int64_t>(hidden.size())});
  if (least < 1 || *std::min_element(hidden.begin(), hidden.end()) < 1) {
    throw py::value_error(
        "numbers of steps, samples, inputs, actions, critics, intervals, hidden "
        "layers and their units: must be at least 1");
  }
  if (task.policy == Policy::deterministic && task.learns_temperature) {
    throw py::value_error("deterministic policies have no temperature");
  }
  return task;
}

// Arrays: of the memory "obs" and "next_obs" [agents, capacity, inputs], "action" float32 [agents,
// capacity, size] or, of choices, int64 [agents, capacity], "reward", "terminated"; of the learners
// "places" int64 [learners, steps, batch], "noise" [learners, steps, numbers of a step] unless
// nothing is drawn and, where wanted, "weight" and "errors" [learners, steps, batch]; of the parts
// "actor", "critic" and "temperature" "/values", "/first", "/second" [agents, parameters],
// "/target" of what has one, "/steps" int64 [agents], "/rate" float64 [agents]. Optimisers' steps
// are counted on. Learners: rows of the agents, and gradient steps of each before. Returns the
// failing step, learner and part and whether its gradient failed, -1 each if none did; of every
// learner the sums over steps of critic loss, error, actor loss, entropy and temperature, and how
// many steps its actor took.
py::tuple learn(const Kernels& kernels, const std::string& policy, const py::dict& given,
                const Indices& hidden, const py::dict& numbers, const Indices& learners,
                const Indices& begun, int threads) {
  const GivenArrays arrays(given);
  const ActorCritic task = task_of(policy, arrays, hidden, numbers);
  const auto memory = arrays.shape("obs", 3);
  const std::int64_t agents = memory[0], capacity = memory[1];
  const auto count = static_cast<std::int64_t>(learners.size());
  const Indices batches = {count, task.steps, task.batch};
  if (begun.size() != learners.size())
    throw py::value_error("gradient steps before: must be one number for each learner");
  for (const std::int64_t row : learners) {
    if (row < 0 || row >= agents || std::count(learners.begin(), learners.end(), row) != 1) {
      throw py::value_error("learner " + std::to_string(row) + ": must be one of " +
                            std::to_string(agents) + " agents, once");
    }
  }
  const auto* obs = arrays.readable<float>("obs", {agents, capacity, task.inputs});
  const auto* next_obs = arrays.readable<float>("next_obs", {agents, capacity, task.inputs});
  const float* action = nullptr;
  const std::int64_t* choice = nullptr;
  if (task.chooses()) {
    choice = arrays.readable<std::int64_t>("action", {agents, capacity});
  } else {
    action = arrays.readable<float>("action", {agents, capacity, task.size});
  }
  const auto* reward = arrays.readable<float>("reward", {agents, capacity});
  const auto* terminated = arrays.readable<bool>("terminated", {agents, capacity});
  const auto* places = arrays.readable<std::int64_t>("places", batches);
  const std::int64_t drawn = task.noise();
  const auto* noise =
      drawn > 0 ? arrays.readable<float>("noise", {count, task.steps, drawn}) : nullptr;
  const auto* weight = arrays.has("weight") ? arrays.readable<float>("weight", batches) : nullptr;
  auto* errors = arrays.has("errors") ? arrays.writable<float>("errors", batches) : nullptr;
  const Part actor(arrays, "actor", agents, task.actor_parameters(), !task.is_soft());
  const std::int64_t head = learning::parameters_of(task.critic_sizes());
  const Part critic(arrays, "critic", agents, task.heads * head, true);
  std::vector<Part> temperature;
  if (task.learns_temperature) temperature.emplace_back(arrays, "temperature", agents, 1, false);
  const auto alpha = numbers["temperature"].cast<double>();

  std::vector<ActorCriticAgent> all;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t a = learners[static_cast<std::size_t>(i)], from = a * capacity;
    const std::int64_t row = i * task.steps;
    ActorCriticAgent one;
    one.obs = obs + from * task.inputs;
    one.next_obs = next_obs + from * task.inputs;
    one.action = action == nullptr ? nullptr : action + from * task.size;
    one.choice = choice == nullptr ? nullptr : choice + from;
    one.reward = reward + from;
    one.terminated = reinterpret_cast<const std::uint8_t*>(terminated + from);
    one.drawn = places + row * task.batch;
    one.weight = weight == nullptr ? nullptr : weight + row * task.batch;
    one.errors = errors == nullptr ? nullptr : errors + row * task.batch;
    one.noise = noise == nullptr ? nullptr : noise + row * drawn;
    one.actor = actor.of(a);
    one.critic = critic.of(a);
    if (task.learns_temperature) one.temperature = temperature.front().of(a);
    one.alpha = alpha;
    one.updates = begun[static_cast<std::size_t>(i)];
    all.push_back(one);
  }
  learning::Failure failure;
  {
    const Unlocked unlocked;
    for (const ActorCriticAgent& one : all) {
      check_drawn(one.drawn, task.steps * task.batch, capacity, one.choice, task.size);
    }
    failure = learning::learn(kernels, task, all, threads);
  }
  std::vector<std::array<double, 6>> sums;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const ActorCriticAgent& one = all[i];
    actor.steps[learners[i]] = one.actor.steps;
    critic.steps[learners[i]] = one.critic.steps;
    if (task.learns_temperature) temperature.front().steps[learners[i]] = one.temperature.steps;
    sums.push_back({one.critic_loss, one.error, one.actor_loss, one.entropy, one.alphas,
                    static_cast<double>(one.actor_steps)});
  }
  return py::make_tuple(failure.step, failure.agent, failure.part, failure.gradient, sums);
}

}  // namespace

void add_actor_critic(py::class_<Kernels>& kernels) {
  kernels.def("learn_actor_critic", &learn, py::arg("policy"), py::arg("arrays"), py::arg("hidden"),
              py::arg("numbers"), py::arg("learners"), py::arg("begun"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
