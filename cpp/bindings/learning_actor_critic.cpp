// Gradient steps of actors and critics, on the memory of others' tensors: see learning.cpp.
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "actor_critic.hpp"
#include "given_learners.hpp"
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

ActorCritic task_of(Policy policy, const GivenMemory& memory, const Indices& hidden,
                    const py::dict& numbers) {
  const auto number = [&](const char* name) { return numbers[name].cast<double>(); };
  const auto whole = [&](const char* name) { return numbers[name].cast<std::int64_t>(); };
  ActorCritic task;
  task.policy = policy;
  task.hidden = hidden;
  task.steps = memory.steps;
  task.batch = memory.batch;
  task.inputs = memory.inputs;
  task.size = memory.size;
  task.heads = whole("critics");
  task.target_interval = whole("target_interval");
  task.policy_delay = whole("policy_delay");
  task.rules = rules_of(numbers);
  task.target_noise = number("target_noise");
  task.target_noise_clip = number("target_noise_clip");
  task.learns_temperature = numbers["learns_temperature"].cast<bool>();
  task.target_entropy = number("target_entropy");
  Indices counts = {task.heads, task.target_interval, task.policy_delay,
                    static_cast<std::int64_t>(hidden.size())};
  counts.insert(counts.end(), hidden.begin(), hidden.end());
  check_positive(counts);
  if (!task.is_soft() && task.learns_temperature) {
    throw py::value_error("temperature: must not be learnt by deterministic policies");
  }
  return task;
}

// Arrays: those of GivenMemory and of GivenPart for "actor", "critic" and, where it is learnt,
// "temperature"; "noise" [learners, steps, numbers of a step] unless nothing is drawn. Learners:
// rows of the agents, and gradient steps of each before. Returns the failing step, learner and part
// and whether its gradient failed, -1 each if none did; of every learner the sums over steps of
// critic loss, error, actor loss, entropy and temperature, and how many steps its actor took.
py::tuple learn(const Kernels& kernels, const std::string& name, const py::dict& given,
                const Indices& hidden, const py::dict& numbers, const Indices& learners,
                const Indices& begun, int threads) {
  const GivenArrays arrays(given);
  const Policy policy = policy_of(name);
  const bool chooses = policy == Policy::categorical;
  const auto choices = numbers["num_actions"].cast<std::int64_t>();
  if (chooses) check_positive({choices});
  const GivenMemory memory(arrays, chooses ? choices : 0);
  check_learners(memory.agents, memory.learners, learners, begun);
  const ActorCritic task = task_of(policy, memory, hidden, numbers);
  const std::int64_t drawn = task.noise();
  const float* noise = nullptr;
  if (drawn > 0) noise = arrays.readable<float>("noise", {memory.learners, task.steps, drawn});
  const std::int64_t agents = memory.agents;
  GivenPart actor(arrays, "actor", agents, task.actor_parameters(), !task.is_soft());
  const std::int64_t head = learning::parameters_of(task.critic_sizes());
  GivenPart critic(arrays, "critic", agents, task.heads * head, true);
  std::vector<GivenPart> temperature;
  if (task.learns_temperature) temperature.emplace_back(arrays, "temperature", agents, 1, false);

  std::vector<ActorCriticAgent> all;
  for (std::size_t i = 0; i < learners.size(); ++i) {
    const auto place = static_cast<std::int64_t>(i);
    ActorCriticAgent one;
    one.stored = memory.of(learners[i], place);
    one.noise = noise == nullptr ? nullptr : noise + place * task.steps * drawn;
    one.actor = actor.of(learners[i]);
    one.critic = critic.of(learners[i]);
    for (const GivenPart& part : temperature) one.temperature = part.of(learners[i]);
    one.alpha = numbers["temperature"].cast<double>();
    one.updates = begun[i];
    all.push_back(one);
  }
  learning::Failure failure;
  {
    const Unlocked unlocked;
    for (const ActorCriticAgent& one : all) memory.check_drawn(one.stored);
    failure = learning::learn(kernels, task, all, threads);
  }
  std::vector<std::array<double, 6>> sums;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const ActorCriticAgent& one = all[i];
    actor.keep(learners[i], one.actor);
    critic.keep(learners[i], one.critic);
    for (GivenPart& part : temperature) part.keep(learners[i], one.temperature);
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
