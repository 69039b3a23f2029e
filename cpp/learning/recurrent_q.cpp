#include "recurrent_q.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "largest.hpp"
#include "network.hpp"
#include "numbers.hpp"
#include "sharing.hpp"
#include "temporal.hpp"

namespace socialgrid::learning {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

// What one step of one agent needs, and no other after it. Rows are steps before sequences.
struct Desk {
  std::int64_t rows, learnt;  // of whole sequences; of those that have gradients, and one step more
  std::vector<std::uint8_t> taken, reset;
  Numbers state, x, h, c, target_x, target_h, target_c, gates;
  Numbers values, following, grad, grad_h, grad_gates, grad_x, carried, zeros;
  Scratch room, spare;

  Desk(const Kernels& kernels, const RecurrentQLearning& task)
      : rows(task.steps() * task.batch),
        learnt((task.length + 1) * task.batch),
        taken(index(rows * task.outlook.bytes)),
        reset(index(rows)),
        state(Numbers::unset(2 * task.batch * task.memory)),
        x(Numbers::unset(rows * task.outlook.features)),
        h(Numbers::unset(rows * task.memory)),
        c(Numbers::unset(rows * task.memory)),
        target_x(Numbers::unset(rows * task.outlook.features)),
        target_h(Numbers::unset(rows * task.memory)),
        target_c(Numbers::unset(rows * task.memory)),
        gates(Numbers::unset(4 * learnt * task.memory)),
        values(Numbers::unset(learnt * task.sizes.back())),
        following(Numbers::unset(learnt * task.sizes.back())),
        grad(Numbers::unset(learnt * task.sizes.back())),
        grad_h(Numbers::unset(learnt * task.memory)),
        grad_gates(Numbers::unset(4 * learnt * task.memory)),
        grad_x(Numbers::unset(learnt * task.outlook.features)),
        carried(Numbers::unset(2 * task.batch * kernels.padded(task.memory))),
        zeros(task.memory),
        room(room_of(kernels, task.sizes, learnt)),
        spare(room_of(kernels, task.sizes, learnt)) {}
};

// A network or a target of one agent.
class Recalling {
 public:
  Recalling(const Kernels& kernels, const RecurrentQLearning& task, const float* values,
            const float* zeros, bool learns)
      : kernels_(kernels),
        task_(task),
        zeros_(zeros),
        input_(values + task.outlook.parameters()),
        eye_(kernels, task.outlook, values, learns),
        head_(kernels, task.sizes, (task.length + 1) * task.batch, behind()),
        packed_(Numbers::unset(kernels.packed(task.outlook.features, task.memory))) {
    const std::int64_t features = task.outlook.features, wide = 4 * task.memory;
    const float *own = input_ + wide * features, *bias = own + wide * task.memory;
    kernels.pack_forward(input_, own, bias, bias + wide, features, task.memory, packed_.data());
  }
  Recalling(const Recalling&) = delete;
  Recalling& operator=(const Recalling&) = delete;

  Eye& eye() { return eye_; }
  DenseNetwork& head() { return head_; }
  // Where the parameters of what reads the memory lie.
  const float* behind() const { return input_ + task_.parameters_of_memory(); }

  // `steps` steps of `count` sequences, x to be set; states before lie in rows.
  Unroll unroll(std::int64_t steps, std::int64_t count, const std::uint8_t* reset, const float* h,
                const float* c, std::int64_t row) {
    Unroll u;
    u.steps = steps;
    u.count = count;
    u.inputs = task_.outlook.features;
    u.hidden = task_.memory;
    u.weights = packed_.data();
    u.zeros = zeros_;
    u.reset = reset;
    u.first_h = h;
    u.first_c = c;
    u.first_h_row = u.first_c_row = row;
    return u;
  }

  // Weights of the memory for the way back.
  const float* turned() {
    const std::int64_t features = task_.outlook.features, memory = task_.memory;
    turned_ = Numbers::unset(kernels_.packed(features, memory));
    kernels_.pack_backward(input_, input_ + 4 * memory * features, features, memory,
                           turned_.data());
    return turned_.data();
  }

 private:
  const Kernels& kernels_;
  const RecurrentQLearning& task_;
  const float *zeros_, *input_;
  Eye eye_;
  DenseNetwork head_;
  Numbers packed_, turned_;
};

// One agent while it learns, at a desk that it shares with others.
class Learner {
 public:
  Learner(const Kernels& kernels, const RecurrentQLearning& task, RecurrentQAgent& agent,
          Desk& desk, int threads)
      : kernels_(kernels),
        task_(task),
        threads_(threads),
        agent_(agent),
        stored_(agent.stored),
        desk_(desk),
        batch_(task.batch),
        actions_(task.sizes.back()),
        seeing_(task.outlook.parameters()),
        network_(kernels, task, agent.network.values, desk.zeros.data(), true),
        target_(kernels, task, agent.network.target, desk.zeros.data(), false),
        grads_(task.parameters()),
        of_layers_(task.sizes, grads_.data() + seeing_ + task.parameters_of_memory()) {}
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  Outcome differentiate(std::int64_t, std::int64_t) {
    gather();
    both(
        worthwhile(threads_, static_cast<double>(desk_.rows * task_.parameters())),
        [&] { see_as_target(); }, [&] { see(); });
    const std::vector<float> bootstrap = bootstraps();
    find_loss(bootstrap);
    if (!std::isfinite(loss_)) return Outcome::loss;
    back();
    norm_ = kernels_.norm(grads_.data(), task_.parameters());
    return std::isfinite(norm_) ? Outcome::fine : Outcome::gradient;
  }

  void descend(std::int64_t, std::int64_t) {
    agent_.network.descend(kernels_, task_.rules, grads_.data(), task_.parameters(), norm_);
    if ((agent_.updates + 1) % task_.target_interval == 0) {
      agent_.network.follow(kernels_, task_.rules, task_.parameters());
    }
    agent_.loss += loss_;
    agent_.error += error_;
  }

 private:
  void gather() {
    const std::int64_t bytes = task_.outlook.bytes, numbers = 2 * task_.memory;
    for (std::int64_t t = 0; t < task_.steps(); ++t) {
      for (std::int64_t b = 0; b < batch_; ++b) {
        const std::int64_t row = stored_.row(stored_.drawn[b], t), to = t * batch_ + b;
        task_.outlook.take(stored_.obs + row * bytes, desk_.taken.data() + to * bytes);
        desk_.reset[index(to)] = stored_.reset[row];
      }
    }
    for (std::int64_t b = 0; b < batch_; ++b) {
      std::copy_n(stored_.state + stored_.drawn[b] * numbers, numbers,
                  desk_.state.data() + b * numbers);
    }
  }

  // All steps, of which those behind the first that is learnt from have values.
  void see_as_target() {
    const std::int64_t memory = task_.memory;
    target_.eye().see(desk_.taken.data(), desk_.rows, desk_.target_x.data(), false);
    const float* state = desk_.state.data();
    Unroll u = target_.unroll(task_.steps(), batch_, desk_.reset.data(), state, state + memory,
                              2 * memory);
    u.x = desk_.target_x.data();
    u.h = desk_.target_h.data();
    u.c = desk_.target_c.data();
    kernels_.forward(u, 0, batch_);
    target_.head().see(desk_.target_h.data() + task_.burn_in * batch_ * memory,
                       desk_.following.data(), desk_.spare.data(), false);
  }

  // The memory is freshened first; everything after that is kept for the way back.
  void see() {
    const std::int64_t memory = task_.memory, fresh = task_.burn_in * batch_;
    const float *h = desk_.state.data(), *c = h + memory;
    std::int64_t row = 2 * memory;
    if (fresh > 0) {
      network_.eye().see(desk_.taken.data(), fresh, desk_.x.data(), false);
      Unroll u = network_.unroll(task_.burn_in, batch_, desk_.reset.data(), h, c, row);
      u.x = desk_.x.data();
      u.h = desk_.h.data();
      u.c = desk_.c.data();
      kernels_.forward(u, 0, batch_);
      h = u.h + (fresh - batch_) * memory;
      c = u.c + (fresh - batch_) * memory;
      row = memory;
    }
    float* x = desk_.x.data() + fresh * task_.outlook.features;
    network_.eye().see(desk_.taken.data() + fresh * task_.outlook.bytes, desk_.learnt, x, true);
    unroll_ = network_.unroll(task_.length + 1, batch_, desk_.reset.data() + fresh, h, c, row);
    unroll_.x = x;
    unroll_.gates = desk_.gates.data();
    unroll_.h = desk_.h.data() + fresh * memory;
    unroll_.c = desk_.c.data() + fresh * memory;
    kernels_.forward(unroll_, 0, batch_);
    network_.head().see(unroll_.h, desk_.values.data(), desk_.room.data(), true);
  }

  // What every step that is learnt from leads to, [length, batch], if it goes on.
  std::vector<float> bootstraps() {
    std::vector<float> found(index(task_.length * batch_));
    std::vector<std::int64_t> cut;
    for (std::int64_t i = 0; i < task_.length * batch_; ++i) {
      const std::int64_t at = (i + batch_) * actions_;
      const float *following = desk_.following.data() + at, *values = desk_.values.data() + at;
      found[index(i)] = following[largest(task_.is_double ? values : following, actions_)];
      if (stored_.truncated[row_of(i)] != 0) cut.push_back(i);
    }
    if (!cut.empty()) see_ends(cut, found);
    return found;
  }

  // Where a time limit cut an episode, its final observation is seen with the memory of it.
  void see_ends(const std::vector<std::int64_t>& cut, std::vector<float>& found) {
    const auto count = static_cast<std::int64_t>(cut.size());
    const std::int64_t bytes = task_.outlook.bytes, before = task_.burn_in * batch_;
    std::vector<std::uint8_t> taken(index(count * bytes));
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int64_t row = row_of(cut[index(k)]);
      task_.outlook.take(stored_.final_obs + row * bytes, taken.data() + k * bytes);
    }
    Numbers ending(count * actions_), judging(count * actions_);
    const auto end = [&](Recalling& by, const Numbers& h, const Numbers& c, Numbers& values) {
      const std::int64_t memory = task_.memory, size = count * memory;
      Numbers x = Numbers::unset(count * task_.outlook.features), own = Numbers::unset(4 * size);
      float *first_h = own.data(), *first_c = first_h + size;
      for (std::int64_t k = 0; k < count; ++k) {
        const std::int64_t from = (before + cut[index(k)]) * memory;
        std::copy_n(h.data() + from, memory, first_h + k * memory);
        std::copy_n(c.data() + from, memory, first_c + k * memory);
      }
      by.eye().see(taken.data(), count, x.data(), false);
      const std::vector<std::uint8_t> never(index(count));
      Unroll u = by.unroll(1, count, never.data(), first_h, first_c, memory);
      u.x = x.data();
      u.h = first_c + size;
      u.c = u.h + size;
      kernels_.forward(u, 0, count);
      DenseNetwork head(kernels_, task_.sizes, count, by.behind());
      head.see(u.h, values.data(), desk_.spare.data(), false);
    };
    end(target_, desk_.target_h, desk_.target_c, ending);
    if (task_.is_double) end(network_, desk_.h, desk_.c, judging);
    for (std::int64_t k = 0; k < count; ++k) {
      const float *own = ending.data() + k * actions_, *judge = judging.data() + k * actions_;
      found[index(cut[index(k)])] = own[largest(task_.is_double ? judge : own, actions_)];
    }
  }

  void find_loss(const std::vector<float>& bootstrap) {
    const float gamma = static_cast<float>(task_.rules.gamma);
    const float share = 1.0f / static_cast<float>(task_.length * batch_);
    std::fill_n(desk_.grad.data(), desk_.learnt * actions_, 0.0f);
    loss_ = error_ = 0.0;
    for (std::int64_t b = 0; b < batch_; ++b) {
      const float importance = stored_.weight == nullptr ? 1.0f : stored_.weight[b];
      double loss = 0.0, sum = 0.0;
      float most = 0.0f;
      for (std::int64_t i = b; i < task_.length * batch_; i += batch_) {
        const std::int64_t row = row_of(i), at = i * actions_ + stored_.choice[row];
        const float goes_on = stored_.terminated[row] != 0 ? 0.0f : gamma;
        const float target = stored_.reward[row] + goes_on * bootstrap[index(i)];
        const float difference = desk_.values.data()[at] - target;
        loss += huber(difference);
        sum += std::abs(difference);
        most = std::max(most, std::abs(difference));
        desk_.grad.data()[at] = huber_back(difference) * importance * share;
      }
      const double mean = sum / static_cast<double>(task_.length);
      const double error = task_.mix * most + (1.0 - task_.mix) * mean;
      if (stored_.errors != nullptr) stored_.errors[b] = static_cast<float>(error);
      loss_ += importance * loss * share;
      error_ += error / static_cast<double>(batch_);
    }
  }

  void back() {
    const std::int64_t memory = task_.memory, features = task_.outlook.features;
    PerceptronBack head;
    head.grad = desk_.grad.data();
    head.scratch = desk_.spare.data();
    head.weights = of_layers_.weights.data();
    head.biases = of_layers_.biases.data();
    head.grad_x = desk_.grad_h.data();
    network_.head().back(head);
    UnrollBack b;
    b.grad_h = desk_.grad_h.data();
    b.grad_gates = desk_.grad_gates.data();
    b.carried_h = desk_.carried.data();
    b.carried_c = b.carried_h + batch_ * kernels_.padded(memory);
    b.grad_x = task_.outlook.views ? desk_.grad_x.data() : nullptr;
    b.grad_input = grads_.data() + seeing_;
    b.grad_hidden = b.grad_input + 4 * memory * features;
    b.grad_bias = b.grad_hidden + 4 * memory * memory;
    unroll_.weights = network_.turned();
    kernels_.backward(unroll_, b, 0, batch_);
    kernels_.weights(unroll_, b, 0, 4 * memory);
    std::copy_n(b.grad_bias, 4 * memory, b.grad_bias + 4 * memory);
    network_.eye().back(b.grad_x, grads_.data());
  }

  // Of a step that is learnt from, numbered as values lie.
  std::int64_t row_of(std::int64_t i) const {
    return stored_.row(stored_.drawn[i % batch_], task_.burn_in + i / batch_);
  }

  const Kernels& kernels_;
  const RecurrentQLearning& task_;
  int threads_;  // that an agent may use
  RecurrentQAgent& agent_;
  const StoredSequences& stored_;
  Desk& desk_;
  std::int64_t batch_, actions_, seeing_;
  Recalling network_, target_;
  Scratch grads_;
  LayerParameters<float> of_layers_;
  Unroll unroll_;
  double loss_ = 0.0, error_ = 0.0, norm_ = 0.0;
};

}  // namespace

std::int64_t RecurrentQLearning::parameters() const {
  return outlook.parameters() + parameters_of_memory() + parameters_of(sizes);
}

Failure learn(const Kernels& kernels, const RecurrentQLearning& task,
              std::vector<RecurrentQAgent>& agents, int threads) {
  const auto count = static_cast<std::int64_t>(agents.size());
  const int each = threads_of_each(count, threads);
  Crew crew(threads_for(count, threads));
  return Together<Desk, Learner>(
             crew, count, [&] { return std::make_unique<Desk>(kernels, task); },
             [&](std::int64_t a, Desk& desk) {
               return std::make_unique<Learner>(kernels, task, agents[index(a)], desk, each);
             })
      .step(1, 1);
}

}  // namespace socialgrid::learning
