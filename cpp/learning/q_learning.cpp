// Gradient steps of deep Q-networks. Only what costs time is in the sets of kernels.
#include "q_learning.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "distinct.hpp"
#include "network.hpp"

namespace socialgrid::learning {
namespace {

// What one step of one agent needs, and no other after it.
struct Desk {
  Scratch obs, next_obs, values, following, grad, room, spare;
  std::vector<std::int64_t> best, number, first;

  Desk(const Kernels& kernels, const QLearning& task)
      : obs(task.batch * task.sizes.front()),
        next_obs(task.batch * task.sizes.front()),
        values(task.batch * task.sizes.back()),
        following(task.batch * task.sizes.back()),
        grad(task.batch * task.sizes.back()),
        room(room_of(kernels, task.sizes, task.batch)),
        spare(room_of(kernels, task.sizes, task.batch)),
        best(static_cast<std::size_t>(task.batch)),
        number(best.size()),
        first(best.size()) {}
};

// One agent while it learns, at a desk that it shares with others.
class Learner {
 public:
  Learner(const Kernels& kernels, const QLearning& task, QAgent& agent, Desk& desk)
      : kernels_(kernels),
        task_(task),
        agent_(agent),
        stored_(agent.stored),
        inputs_(task.sizes.front()),
        actions_(task.sizes.back()),
        count_(parameters_of(task.sizes)),
        network_(kernels, task.sizes, task.batch, agent.network.values),
        target_(kernels, task.sizes, task.batch, agent.network.target),
        desk_(desk),
        grads_(count_),
        of_layers_(task.sizes, grads_.data()) {}
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  // Computes the gradient of a step.
  Outcome differentiate(std::int64_t step, std::int64_t) {
    const std::int64_t* drawn = stored_.drawn + step * task_.batch;
    const float* weight = stored_.weight;
    if (weight != nullptr) weight += step * task_.batch;
    gather(stored_.obs, drawn, desk_.obs.data());
    gather(stored_.next_obs, drawn, desk_.next_obs.data());
    const float *next_obs = desk_.next_obs.data(), *following = desk_.following.data();
    float *values = desk_.values.data(), *spare = desk_.spare.data();
    const std::int64_t known = keep_distinct(desk_.next_obs.data());
    target_.take(known);
    target_.see(next_obs, desk_.following.data(), spare, false);
    network_.take(known);
    const float* judge = task_.is_double ? network_.see(next_obs, values, spare, false) : following;
    for (std::int64_t b = 0; b < known; ++b) {
      desk_.best[static_cast<std::size_t>(b)] = b * actions_ + largest(judge + b * actions_);
    }
    network_.take(task_.batch);
    network_.see(desk_.obs.data(), values, desk_.room.data(), true);
    const float gamma = static_cast<float>(task_.rules.gamma);
    const float share = 1.0f / static_cast<float>(task_.batch);
    float* grad = desk_.grad.data();
    std::fill(grad, grad + task_.batch * actions_, 0.0f);
    double loss = 0.0, error = 0.0;
    for (std::int64_t b = 0; b < task_.batch; ++b) {
      const std::int64_t place = drawn[b], at = b * actions_ + stored_.choice[place];
      const auto next = static_cast<std::size_t>(desk_.number[static_cast<std::size_t>(b)]);
      const float bootstrap = following[desk_.best[next]];
      const float goes_on = stored_.terminated[place] != 0 ? 0.0f : gamma;
      const float difference = values[at] - (stored_.reward[place] + goes_on * bootstrap);
      const float size = std::abs(difference);
      const float importance = weight == nullptr ? 1.0f : weight[b];
      loss += importance * (size < 1.0f ? 0.5 * size * size : size - 0.5);
      error += size;
      if (stored_.errors != nullptr) stored_.errors[step * task_.batch + b] = size;
      grad[at] = std::clamp(difference, -1.0f, 1.0f) * importance * share;
    }
    loss_ = loss * share;
    error_ = error * share;
    if (!std::isfinite(loss_)) return Outcome::loss;
    PerceptronBack back;
    back.grad = grad;
    back.scratch = spare;
    back.weights = of_layers_.weights.data();
    back.biases = of_layers_.biases.data();
    network_.back(back);
    norm_ = kernels_.norm(grads_.data(), count_);
    return std::isfinite(norm_) ? Outcome::fine : Outcome::gradient;
  }

  // Takes the step.
  void descend(std::int64_t step, std::int64_t) {
    agent_.network.descend(kernels_, task_.rules, grads_.data(), count_, norm_);
    if ((agent_.updates + step + 1) % task_.target_interval == 0) {
      agent_.network.follow(kernels_, task_.rules, count_);
    }
    agent_.loss += loss_;
    agent_.error += error_;
  }

 private:
  void gather(const float* from, const std::int64_t* drawn, float* to) const {
    const auto size = static_cast<std::size_t>(inputs_) * sizeof(float);
    for (std::int64_t b = 0; b < task_.batch; ++b) {
      std::memcpy(to + b * inputs_, from + drawn[b] * inputs_, size);
    }
  }

  // Of rows that are the same one stays, in the order in which they come; returns how many do.
  std::int64_t keep_distinct(float* rows) {
    const auto size = static_cast<std::size_t>(inputs_) * sizeof(float);
    const std::int64_t known = distinct(reinterpret_cast<const std::uint8_t*>(rows), task_.batch,
                                        static_cast<std::int64_t>(size), task_.batch,
                                        desk_.number.data(), desk_.first.data());
    for (std::int64_t i = 0; i < known; ++i) {
      std::memmove(rows + i * inputs_, rows + desk_.first[static_cast<std::size_t>(i)] * inputs_,
                   size);
    }
    return known;
  }

  // The first of the largest; what is no number counts as that.
  std::int64_t largest(const float* row) const {
    std::int64_t found = 0;
    for (std::int64_t k = 1; k < actions_ && !std::isnan(row[found]); ++k) {
      if (row[k] > row[found] || std::isnan(row[k])) found = k;
    }
    return found;
  }

  const Kernels& kernels_;
  const QLearning& task_;
  QAgent& agent_;
  const Stored& stored_;
  std::int64_t inputs_, actions_, count_;
  DenseNetwork network_, target_;
  Desk& desk_;
  Scratch grads_;
  LayerParameters<float> of_layers_;
  double loss_ = 0.0, error_ = 0.0, norm_ = 0.0;
};

}  // namespace

Failure learn(const Kernels& kernels, const QLearning& task, std::vector<QAgent>& agents,
              int threads) {
  return step_together(
      static_cast<std::int64_t>(agents.size()), task.steps, 1, threads,
      [&] { return std::make_unique<Desk>(kernels, task); },
      [&](std::int64_t a, Desk& desk) {
        return std::make_unique<Learner>(kernels, task, agents[static_cast<std::size_t>(a)], desk);
      });
}

}  // namespace socialgrid::learning
