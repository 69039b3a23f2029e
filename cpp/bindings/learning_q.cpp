// Gradient steps of deep Q-networks, on the memory of others' tensors: see learning.cpp.
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "learning.hpp"
#include "q_learning.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Failure;
using learning::Kernels;
using learning::QAgent;
using learning::QLearning;

// Addresses: obs, next_obs, action, reward, terminated, each [agents, capacity, ...]; drawn places
// [agents, steps, batch]; parameters, their target's and both moments, each [agents, parameters].
// Sizes: capacity, parameters, batch, steps, target_interval, whether double, then the network's.
// Constants: gamma, tau, beta1, beta2, eps, max_norm or 0. Agents: each one's row, updates and
// steps of Adam before, and rate. Returns the failing step, agent (its place among these) and
// whether its gradient failed, -1 each if none did, and sums of losses and errors of every agent.
py::tuple learn(const Kernels& kernels, const std::array<std::uintptr_t, 10>& where,
                const std::vector<std::int64_t>& sizes, const std::array<double, 6>& constants,
                const std::vector<std::array<double, 4>>& agents, int threads) {
  std::vector<std::array<double, 2>> sums;
  Failure failure;
  {
    const Unlocked unlocked;
    const std::int64_t capacity = sizes.at(0), parameters = sizes.at(1);
    QLearning task;
    task.batch = sizes.at(2);
    task.steps = sizes.at(3);
    task.target_interval = sizes.at(4);
    task.is_double = sizes.at(5) != 0;
    task.sizes.assign(sizes.begin() + 6, sizes.end());
    task.gamma = constants[0];
    task.tau = constants[1];
    task.beta1 = constants[2];
    task.beta2 = constants[3];
    task.eps = constants[4];
    task.max_norm = constants[5];
    std::vector<QAgent> all;
    for (const auto& [row, updates, adam_steps, rate] : agents) {
      const auto a = static_cast<std::int64_t>(row);
      QAgent q;
      q.obs = at<const float>(where[0], a * capacity * task.sizes.front());
      q.next_obs = at<const float>(where[1], a * capacity * task.sizes.front());
      q.action = at<const std::int64_t>(where[2], a * capacity);
      q.reward = at<const float>(where[3], a * capacity);
      q.terminated = at<const std::uint8_t>(where[4], a * capacity);
      q.drawn = at<const std::int64_t>(where[5], a * task.steps * task.batch);
      q.values = at<float>(where[6], a * parameters);
      q.target = at<float>(where[7], a * parameters);
      q.first = at<float>(where[8], a * parameters);
      q.second = at<float>(where[9], a * parameters);
      q.updates = static_cast<std::int64_t>(updates);
      q.adam_steps = static_cast<std::int64_t>(adam_steps);
      q.rate = rate;
      all.push_back(q);
    }
    failure = learning::learn(kernels, task, all, threads);
    for (const QAgent& q : all) sums.push_back({q.loss, q.error});
  }
  return py::make_tuple(failure.step, failure.agent, failure.gradient, sums);
}

}  // namespace

void add_q_learning(py::class_<Kernels>& kernels) {
  kernels.def("learn_q", &learn, py::arg("where"), py::arg("sizes"), py::arg("constants"),
              py::arg("agents"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
