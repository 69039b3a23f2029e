// Gradient steps of deep Q-networks. Only what costs time is in the sets of kernels.
#include "q_learning.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "distinct.hpp"
#include "largest.hpp"
#include "network.hpp"
#include "sharing.hpp"
#include "temporal.hpp"

namespace socialgrid::learning {
namespace {

// What one step of one agent needs, and no other after it.
struct Desk {
  Scratch obs, next_obs, values, following, judging, grad, room, spare;
  std::vector<std::int64_t> best, number, first;
  std::vector<std::uint8_t> taken, next_taken;  // views

  Desk(const Kernels& kernels, const QLearning& task)
      : obs(task.batch * task.sizes.front()),
        next_obs(task.batch * task.sizes.front()),
        values(task.batch * task.sizes.back()),
        following(task.batch * task.sizes.back()),
        judging(task.batch * task.sizes.back()),
        grad(task.batch * task.sizes.back()),
        room(room_of(kernels, task.sizes, task.batch)),
        spare(room_of(kernels, task.sizes, task.batch)),
        best(static_cast<std::size_t>(task.batch)),
        number(best.size()),
        first(best.size()),
        taken(task.outlook.views ? static_cast<std::size_t>(task.batch * task.outlook.bytes) : 0),
        next_taken(taken.size()) {}
};

// One agent while it learns, at a desk that it shares with others.
class Learner {
 public:
  Learner(const Kernels& kernels, const QLearning& task, QAgent& agent, Desk& desk, int threads)
      : kernels_(kernels),
        task_(task),
        threads_(threads),
        agent_(agent),
        stored_(agent.stored),
        inputs_(task.sizes.front()),
        actions_(task.sizes.back()),
        seeing_(task.outlook.parameters()),
        count_(seeing_ + parameters_of(task.sizes)),
        eye_(kernels, task.outlook, agent.network.values, true),
        target_eye_(kernels, task.outlook, agent.network.target, false),
        network_(kernels, task.sizes, task.batch, agent.network.values + seeing_),
        judge_(kernels, task.sizes, task.batch, agent.network.values + seeing_),
        target_(kernels, task.sizes, task.batch, agent.network.target + seeing_),
        desk_(desk),
        grads_(count_),
        of_layers_(task.sizes, grads_.data() + seeing_) {}
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  // Computes the gradient of a step.
  Outcome differentiate(std::int64_t step, std::int64_t) {
    const std::int64_t* drawn = stored_.drawn + step * task_.batch;
    const float* weight = stored_.weight;
    if (weight != nullptr) weight += step * task_.batch;
    const float *values = desk_.values.data(), *following = desk_.following.data();
    task_.outlook.views ? look(drawn) : read(drawn);
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
      loss += importance * huber(difference);
      error += size;
      if (stored_.errors != nullptr) stored_.errors[step * task_.batch + b] = size;
      grad[at] = huber_back(difference) * importance * share;
    }
    loss_ = loss * share;
    error_ = error * share;
    if (!std::isfinite(loss_)) return Outcome::loss;
    PerceptronBack back;
    back.grad = grad;
    back.scratch = desk_.spare.data();
    back.weights = of_layers_.weights.data();
    back.biases = of_layers_.biases.data();
    if (task_.outlook.views) back.grad_x = desk_.next_obs.data();
    network_.back(back);
    eye_.back(back.grad_x, grads_.data());
    norm_ = kernels_.norm(grads_.data(), count_);
    return std::isfinite(norm_) ? Outcome::fine : Outcome::gradient;
  }

  // Takes the step.
  void descend(std::int64_t step, std::int64_t) {
    agent_.network.descend(kernels_, task_.rules, grads_.data(), count_, norm_);
    eye_.changed();
    if ((agent_.updates + step + 1) % task_.target_interval == 0) {
      agent_.network.follow(kernels_, task_.rules, count_);
      target_eye_.changed();
    }
    agent_.loss += loss_;
    agent_.error += error_;
  }

 private:
  // What follows is judged, and what was seen, of vectors.
  void read(const std::int64_t* drawn) {
    gather(stored_.obs, drawn, desk_.obs.data());
    gather(stored_.next_obs, drawn, desk_.next_obs.data());
    const std::int64_t known = keep_distinct(desk_.next_obs.data());
    target_.take(known);
    judge_.take(known);
    find_following();
    if (task_.is_double) find_judging();
    find_best(known);
    network_.see(desk_.obs.data(), desk_.values.data(), desk_.room.data(), true);
  }
  // Likewise of views; a second thread may do the latter meanwhile.
  void look(const std::int64_t* drawn) {
    const std::int64_t batch = task_.batch;
    for (std::int64_t b = 0; b < batch; ++b) desk_.number[static_cast<std::size_t>(b)] = b;
    eye_.make_ready();
    const auto judge = [&] {
      const std::uint8_t* taken = take(stored_.next_views, drawn, desk_.next_taken);
      target_eye_.see(taken, batch, desk_.next_obs.data(), false);
      find_following();
      if (task_.is_double) {
        eye_.see(taken, batch, desk_.next_obs.data(), false);
        find_judging();
      }
      find_best(batch);
    };
    const auto see = [&] {
      eye_.see(take(stored_.views, drawn, desk_.taken), batch, desk_.obs.data(), true);
      network_.see(desk_.obs.data(), desk_.values.data(), desk_.room.data(), true);
    };
    both(worthwhile(threads_, static_cast<double>(batch * count_)), judge, see);
  }

  void find_following() {
    target_.see(desk_.next_obs.data(), desk_.following.data(), desk_.spare.data(), false);
  }
  void find_judging() {
    judge_.see(desk_.next_obs.data(), desk_.judging.data(), desk_.spare.data(), false);
  }
  // Which action is the best in what follows.
  void find_best(std::int64_t count) {
    const float* judging = task_.is_double ? desk_.judging.data() : desk_.following.data();
    for (std::int64_t b = 0; b < count; ++b) {
      const std::int64_t at = b * actions_;
      desk_.best[static_cast<std::size_t>(b)] = at + largest(judging + at, actions_);
    }
  }

  const std::uint8_t* take(const std::uint8_t* from, const std::int64_t* drawn,
                           std::vector<std::uint8_t>& to) const {
    const std::int64_t bytes = task_.outlook.bytes;
    for (std::int64_t b = 0; b < task_.batch; ++b) {
      task_.outlook.take(from + drawn[b] * bytes, to.data() + b * bytes);
    }
    return to.data();
  }

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

  const Kernels& kernels_;
  const QLearning& task_;
  int threads_;  // that an agent may use
  QAgent& agent_;
  const Stored& stored_;
  std::int64_t inputs_, actions_, seeing_, count_;
  Eye eye_, target_eye_;
  DenseNetwork network_, judge_, target_;
  Desk& desk_;
  Scratch grads_;
  LayerParameters<float> of_layers_;
  double loss_ = 0.0, error_ = 0.0, norm_ = 0.0;
};

}  // namespace

class QLearners::All {
 public:
  All(const Kernels& kernels, const QLearning& task, std::vector<QAgent>& agents, Crew& crew,
      int threads)
      : steps_(task.steps),
        together_(
            crew, static_cast<std::int64_t>(agents.size()),
            [&] { return std::make_unique<Desk>(kernels, task); },
            [&, each = threads_of_each(static_cast<std::int64_t>(agents.size()), threads)](
                std::int64_t a, Desk& desk) {
              return std::make_unique<Learner>(kernels, task, agents[static_cast<std::size_t>(a)],
                                               desk, each);
            }) {}

  Failure learn() { return together_.step(steps_, 1); }

 private:
  std::int64_t steps_;
  Together<Desk, Learner> together_;
};

QLearners::QLearners(const Kernels& kernels, const QLearning& task, std::vector<QAgent>& agents,
                     Crew& crew, int threads)
    : all_(std::make_unique<All>(kernels, task, agents, crew, threads)) {}

QLearners::~QLearners() = default;

Failure QLearners::learn() { return all_->learn(); }

}  // namespace socialgrid::learning
