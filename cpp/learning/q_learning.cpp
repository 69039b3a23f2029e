// Gradient steps of deep Q-networks. Only what costs time is in the sets of kernels.
#include "q_learning.hpp"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstring>
#include <memory>
#include <thread>

namespace socialgrid::learning {
namespace {

constexpr std::int64_t kLine = 16;  // numbers in a line of the cache

// Numbers that begin a line of the cache; what they are is not known yet.
class Scratch {
 public:
  explicit Scratch(std::int64_t count)
      : memory_(new float[static_cast<std::size_t>(count + kLine)]), data_(memory_.get()) {
    while (reinterpret_cast<std::uintptr_t>(data_) % (sizeof(float) * kLine) != 0) ++data_;
  }
  float* data() { return data_; }

 private:
  std::unique_ptr<float[]> memory_;
  float* data_;
};

// The network of one agent, or its target, on a batch.
class Network {
 public:
  Network(const Kernels& kernels, const QLearning& task, const float* values, float* out)
      : kernels_(kernels) {
    own_.count = task.batch;
    own_.layers = static_cast<std::int64_t>(task.sizes.size()) - 1;
    own_.rectified = own_.layers - 1;
    own_.sizes = task.sizes.data();
    for (std::int64_t l = 0; l < own_.layers; ++l) {
      weights_.push_back(values);
      values += own_.sizes[l] * own_.sizes[l + 1];
      biases_.push_back(values);
      values += own_.sizes[l + 1];
    }
    own_.weights = weights_.data();
    own_.biases = biases_.data();
    own_.out = out;
  }
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // Action values [batch, actions] of observations [batch, inputs].
  const float* see(const float* x, float* room, bool kept) {
    own_.x = x;
    own_.kept = kept;
    own_.room = room;
    kernels_.perceptron_forward(own_);
    return own_.out;
  }
  const Perceptron& last() const { return own_; }

 private:
  const Kernels& kernels_;
  Perceptron own_;
  std::vector<const float*> weights_, biases_;
};

// What one step of one agent needs, and no other after it.
struct Desk {
  Scratch obs, next_obs, values, following, grad, room, spare;
  std::vector<std::int64_t> best;

  Desk(const Kernels& kernels, const QLearning& task)
      : obs(task.batch * task.sizes.front()),
        next_obs(task.batch * task.sizes.front()),
        values(task.batch * task.sizes.back()),
        following(task.batch * task.sizes.back()),
        grad(task.batch * task.sizes.back()),
        room(room_of(kernels, task)),
        spare(room_of(kernels, task)),
        best(static_cast<std::size_t>(task.batch)) {}

 private:
  static std::int64_t room_of(const Kernels& kernels, const QLearning& task) {
    Perceptron p;
    p.count = task.batch;
    p.layers = static_cast<std::int64_t>(task.sizes.size()) - 1;
    p.sizes = task.sizes.data();
    return kernels.perceptron_room(p);
  }
};

// One agent while it learns, at a desk that it shares with others.
class Learner {
 public:
  Learner(const Kernels& kernels, const QLearning& task, QAgent& agent, Desk& desk)
      : kernels_(kernels),
        task_(task),
        agent_(agent),
        inputs_(task.sizes.front()),
        actions_(task.sizes.back()),
        count_(parameters(task)),
        network_(kernels, task, agent.values, desk.values.data()),
        target_(kernels, task, agent.target, desk.following.data()),
        desk_(desk),
        grads_(count_) {
    float* at = grads_.data();
    for (std::size_t l = 0; l + 1 < task.sizes.size(); ++l) {
      weights_.push_back(at);
      at += task.sizes[l] * task.sizes[l + 1];
      biases_.push_back(at);
      at += task.sizes[l + 1];
    }
  }
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  // Computes the gradient of a step; false where it, or first the loss, is not finite.
  bool differentiate(std::int64_t step, bool& gradient) {
    const std::int64_t* drawn = agent_.drawn + step * task_.batch;
    gather(agent_.obs, drawn, desk_.obs.data());
    gather(agent_.next_obs, drawn, desk_.next_obs.data());
    const float* following = target_.see(desk_.next_obs.data(), desk_.spare.data(), false);
    const float* judge = task_.is_double
                             ? network_.see(desk_.next_obs.data(), desk_.spare.data(), false)
                             : following;
    for (std::int64_t b = 0; b < task_.batch; ++b) {
      desk_.best[static_cast<std::size_t>(b)] = largest(judge + b * actions_);
    }
    const float* values = network_.see(desk_.obs.data(), desk_.room.data(), true);
    const float gamma = static_cast<float>(task_.gamma);
    const float share = 1.0f / static_cast<float>(task_.batch);
    float* grad = desk_.grad.data();
    std::fill(grad, grad + task_.batch * actions_, 0.0f);
    double loss = 0.0, error = 0.0;
    for (std::int64_t b = 0; b < task_.batch; ++b) {
      const std::int64_t place = drawn[b], at = b * actions_ + agent_.action[place];
      const float bootstrap = following[b * actions_ + desk_.best[static_cast<std::size_t>(b)]];
      const float goes_on = agent_.terminated[place] != 0 ? 0.0f : gamma;
      const float difference = values[at] - (agent_.reward[place] + goes_on * bootstrap);
      const float size = std::abs(difference);
      loss += size < 1.0f ? 0.5 * size * size : size - 0.5;
      error += size;
      grad[at] = std::clamp(difference, -1.0f, 1.0f) * share;
    }
    loss_ = loss * share;
    error_ = error * share;
    gradient = false;
    if (!std::isfinite(loss_)) return false;
    PerceptronBack back;
    back.grad = grad;
    back.scratch = desk_.spare.data();
    back.weights = weights_.data();
    back.biases = biases_.data();
    kernels_.perceptron_back(network_.last(), back);
    norm_ = kernels_.norm(grads_.data(), count_);
    gradient = true;
    return std::isfinite(norm_);
  }

  // Takes the step.
  void descend(std::int64_t step) {
    Descent d;
    d.count = count_;
    d.values = agent_.values;
    d.grads = grads_.data();
    d.first = agent_.first;
    d.second = agent_.second;
    d.rate = agent_.rate;
    d.beta1 = task_.beta1;
    d.beta2 = task_.beta2;
    d.eps = task_.eps;
    d.steps = static_cast<double>(++agent_.adam_steps);
    if (task_.max_norm > 0.0) d.scale = std::min(1.0, task_.max_norm / (norm_ + 1e-6));
    kernels_.descend(d);
    if ((agent_.updates + step + 1) % task_.target_interval == 0) {
      kernels_.approach(agent_.target, agent_.values, count_, task_.tau);
    }
    agent_.loss += loss_;
    agent_.error += error_;
  }

 private:
  static std::int64_t parameters(const QLearning& task) {
    std::int64_t found = 0;
    for (std::size_t l = 0; l + 1 < task.sizes.size(); ++l) {
      found += (task.sizes[l] + 1) * task.sizes[l + 1];
    }
    return found;
  }

  void gather(const float* from, const std::int64_t* drawn, float* to) const {
    const auto size = static_cast<std::size_t>(inputs_) * sizeof(float);
    for (std::int64_t b = 0; b < task_.batch; ++b) {
      std::memcpy(to + b * inputs_, from + drawn[b] * inputs_, size);
    }
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
  std::int64_t inputs_, actions_, count_;
  Network network_, target_;
  Desk& desk_;
  Scratch grads_;
  std::vector<float*> weights_, biases_;
  double loss_ = 0.0, error_ = 0.0, norm_ = 0.0;
};

}  // namespace

QFailure learn(const Kernels& kernels, const QLearning& task, std::vector<QAgent>& agents,
               int threads) {
  const auto count = static_cast<std::int64_t>(agents.size());
  threads = static_cast<int>(std::clamp<std::int64_t>(count, 1, std::max(threads, 1)));
  std::vector<QFailure> failures(static_cast<std::size_t>(task.steps));
  std::vector<std::atomic<bool>> failed(static_cast<std::size_t>(task.steps));
  std::vector<QFailure> each(static_cast<std::size_t>(count));
  std::barrier everybody(threads);
  const auto work = [&](int thread) {
    Desk desk(kernels, task);
    std::vector<std::unique_ptr<Learner>> own;
    const std::int64_t begin = count * thread / threads, end = count * (thread + 1) / threads;
    for (std::int64_t a = begin; a < end; ++a) {
      own.push_back(
          std::make_unique<Learner>(kernels, task, agents[static_cast<std::size_t>(a)], desk));
    }
    for (std::int64_t step = 0; step < task.steps; ++step) {
      std::atomic<bool>& over = failed[static_cast<std::size_t>(step)];
      for (std::int64_t a = begin; a < end; ++a) {
        QFailure& mine = each[static_cast<std::size_t>(a)];
        if (own[static_cast<std::size_t>(a - begin)]->differentiate(step, mine.gradient)) continue;
        mine.step = step;
        mine.agent = a;
        over = true;
      }
      if (threads > 1) everybody.arrive_and_wait();
      if (over) return;
      for (const auto& learner : own) learner->descend(step);
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work, i);
  work(0);
  for (std::thread& other : others) other.join();
  for (const QFailure& one : each) {
    if (one.agent >= 0) return one;
  }
  return {};
}

}  // namespace socialgrid::learning
