// Gradient steps of actors and critics. Only what costs time is in the sets of kernels.
#include "actor_critic.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "actor.hpp"

namespace socialgrid::learning {
namespace {

// What one part of a step of one agent needs, and no other after it. Rows are unit by unit.
struct Desk {
  std::int64_t apart;
  Numbers x, grad_x;        // observations and, unless they are chosen, actions
  Numbers probs, log_prob;  // of actions
  Numbers values, grad;     // of all critics
  std::vector<float> goal, away;
  Scratch actor_room, critic_rooms, spare;

  Desk(const Kernels& kernels, const ActorCritic& task)
      : apart(kernels.perceptron_apart(task.batch)),
        x((task.inputs + task.size) * apart),
        grad_x(task.size * apart),
        probs(task.size * apart),
        log_prob(task.size * apart),
        values(task.heads * task.critic_sizes().back() * apart),
        grad(task.heads * task.critic_sizes().back() * apart),
        goal(static_cast<std::size_t>(task.batch)),
        away(static_cast<std::size_t>(task.batch)),
        actor_room(room_of(kernels, task.actor_sizes(), task.batch)),
        critic_rooms(task.heads * room_of(kernels, task.critic_sizes(), task.batch)),
        spare(std::max(room_of(kernels, task.actor_sizes(), task.batch),
                       room_of(kernels, task.critic_sizes(), task.batch))) {}
};

// One agent while it learns, at a desk that it shares with others.
class Learner {
 public:
  Learner(const Kernels& kernels, const ActorCritic& task, ActorCriticAgent& agent, Desk& desk)
      : kernels_(kernels),
        task_(task),
        agent_(agent),
        stored_(agent.stored),
        desk_(desk),
        sizes_(task.critic_sizes()),
        head_(parameters_of(sizes_)),
        room_(room_of(kernels, sizes_, task.batch)),
        outputs_(sizes_.back()),
        actor_(kernels, task, agent.actor.values),
        critic_grads_(task.heads * head_),
        actor_grads_(task.actor_parameters()) {
    if (agent.actor.target != nullptr) actor_target_.emplace(kernels, task, agent.actor.target);
    for (std::int64_t h = 0; h < task.heads; ++h) {
      const auto network = [&](const float* values) {
        return std::make_unique<DenseNetwork>(kernels, sizes_, task.batch, values + h * head_);
      };
      critics_.push_back(network(agent.critic.values));
      targets_.push_back(network(agent.critic.target));
    }
  }
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  Outcome differentiate(std::int64_t step, std::int64_t part) {
    switch (part) {
      case kCritic:
        return criticise(step);
      case kActor:
        return turn(step, task_.policy_delay) ? improve(step) : Outcome::fine;
      default:
        return task_.learns_temperature ? warm() : Outcome::fine;
    }
  }

  void descend(std::int64_t step, std::int64_t part) {
    if (part == kCritic) {
      move(agent_.critic, critic_grads_.data(), task_.heads * head_);
      agent_.critic_loss += loss_;
      agent_.error += error_;
    } else if (part == kActor) {
      if (!turn(step, task_.policy_delay)) return;
      move(agent_.actor, actor_grads_.data(), task_.actor_parameters());
      agent_.actor_loss += loss_;
      agent_.entropy += entropy_;
      agent_.alphas += alpha();
      ++agent_.actor_steps;
    } else {
      if (task_.learns_temperature) move(agent_.temperature, &temperature_grad_, 1);
      if (!turn(step, task_.policy_delay) || !turn(step, task_.target_interval)) return;
      agent_.critic.follow(kernels_, task_.rules, task_.heads * head_);
      if (agent_.actor.target == nullptr) return;
      agent_.actor.follow(kernels_, task_.rules, task_.actor_parameters());
    }
  }

 private:
  // Gradients of the critics, each towards the same goal.
  Outcome criticise(std::int64_t step) {
    const std::int64_t* drawn = stored_.drawn + step * task_.batch;
    const float* weight = stored_.weight;
    if (weight != nullptr) weight += step * task_.batch;
    look_ahead(step, drawn);
    gather(stored_.obs, drawn, task_.inputs, desk_.x.data());
    if (!task_.chooses()) gather(stored_.action, drawn, task_.size, actions());
    // TD3 sums squares, soft actor-critic halves of them.
    const float share = (task_.is_soft() ? 1.0f : 2.0f) / static_cast<float>(task_.batch);
    std::vector<float>& away = desk_.away;
    std::fill(away.begin(), away.end(), 0.0f);
    double loss = 0.0;
    for (std::int64_t h = 0; h < task_.heads; ++h) {
      float *values = desk_.values.data(), *grad = desk_.grad.data(), *room = rooms(0);
      critics_[index(h)]->see_units(desk_.x.data(), values, room, true);
      if (task_.chooses()) std::fill(grad, grad + outputs_ * desk_.apart, 0.0f);
      for (std::int64_t b = 0; b < task_.batch; ++b) {
        const std::int64_t at = task_.chooses() ? stored_.choice[drawn[b]] * desk_.apart + b : b;
        const float difference = desk_.goal[index(b)] - values[at];
        const float importance = weight == nullptr ? 1.0f : weight[b];
        loss += importance * difference * difference;
        away[index(b)] += std::abs(difference);
        grad[at] = -share * importance * difference;
      }
      LayerParameters<float> layers(sizes_, critic_grads_.data() + h * head_);
      PerceptronBack back;
      back.grad = grad;
      back.scratch = desk_.spare.data();
      back.weights = layers.weights.data();
      back.biases = layers.biases.data();
      critics_[index(h)]->back(back);
    }
    loss_ = 0.5 * share * loss;
    double errors = 0.0;
    for (std::int64_t b = 0; b < task_.batch; ++b) {
      const float error = away[index(b)] / static_cast<float>(task_.heads);
      errors += error;
      if (stored_.errors != nullptr) stored_.errors[step * task_.batch + b] = error;
    }
    error_ = errors / static_cast<double>(task_.batch);
    return outcome(critic_grads_.data(), task_.heads * head_);
  }

  // What the critics' values should be.
  void look_ahead(std::int64_t step, const std::int64_t* drawn) {
    float* x = desk_.x.data();
    const float* noise = noise_of(step, false);
    gather(stored_.next_obs, drawn, task_.inputs, x);
    Actor& actor = actor_target_ ? *actor_target_ : actor_;
    actor.see(x, noise, probs_or_actions(), desk_.log_prob.data(), desk_.actor_room.data());
    if (!task_.is_soft()) smooth(noise);
    for (std::int64_t h = 0; h < task_.heads; ++h) {
      targets_[index(h)]->see_units(x, values_of(h), desk_.spare.data(), false);
    }
    least();
    const float gamma = static_cast<float>(task_.rules.gamma), alpha = this->alpha();
    for (std::int64_t b = 0; b < task_.batch; ++b) {
      const float* log_prob = desk_.log_prob.data() + b;
      float soft = 0.0f;
      if (task_.chooses()) {
        for (std::int64_t at = 0; at < task_.size * desk_.apart; at += desk_.apart) {
          const float value = desk_.values.data()[at + b] - alpha * log_prob[at];
          soft += desk_.probs.data()[at + b] * value;
        }
      } else {
        soft = desk_.values.data()[b];
        if (task_.is_soft()) soft -= alpha * *log_prob;
      }
      const std::int64_t place = drawn[b];
      const float goes_on = stored_.terminated[place] != 0 ? 0.0f : gamma;
      desk_.goal[index(b)] = stored_.reward[place] + goes_on * soft;
    }
  }

  // Target policy smoothing (Fujimoto et al. 2018, algorithm 1).
  void smooth(const float* noise) {
    const auto scale = static_cast<float>(task_.target_noise);
    const auto limit = static_cast<float>(task_.target_noise_clip);
    for (std::int64_t d = 0; d < task_.size; ++d) {
      float* action = actions() + d * desk_.apart;
      for (std::int64_t b = 0; b < task_.batch; ++b) {
        const float more = std::clamp(scale * noise[b * task_.size + d], -limit, limit);
        action[b] = std::clamp(action[b] + more, -1.0f, 1.0f);
      }
    }
  }

  // Gradient of the actor.
  Outcome improve(std::int64_t step) {
    float* x = desk_.x.data();
    gather(stored_.obs, stored_.drawn + step * task_.batch, task_.inputs, x);
    actor_.see(x, noise_of(step, true), probs_or_actions(), desk_.log_prob.data(),
               desk_.actor_room.data());
    const std::int64_t heads = task_.is_soft() ? task_.heads : 1;
    for (std::int64_t h = 0; h < heads; ++h) {
      critics_[index(h)]->see_units(x, values_of(h), rooms(h), !task_.chooses());
    }
    if (task_.chooses()) {
      choose_back();
    } else {
      act_back(heads);
    }
    return outcome(actor_grads_.data(), task_.actor_parameters());
  }

  // Expectations over choices: the gradient reaches logits in closed form.
  void choose_back() {
    least();
    const float alpha = this->alpha(), share = 1.0f / static_cast<float>(task_.batch);
    const std::int64_t end = task_.size * desk_.apart;
    const float *probs = desk_.probs.data(), *log_probs = desk_.log_prob.data();
    const float* values = desk_.values.data();
    float* grad = desk_.grad.data();
    double loss = 0.0, entropy = 0.0;
    for (std::int64_t b = 0; b < task_.batch; ++b) {
      float mean = 0.0f, certain = 0.0f;
      for (std::int64_t at = b; at < end; at += desk_.apart) {
        mean += probs[at] * (alpha * log_probs[at] - values[at]);
        certain += probs[at] * log_probs[at];
      }
      for (std::int64_t at = b; at < end; at += desk_.apart) {
        grad[at] = share * probs[at] * (alpha * log_probs[at] - values[at] - mean);
      }
      loss += mean;
      entropy -= certain;
    }
    loss_ = loss / static_cast<double>(task_.batch);
    entropy_ = entropy / static_cast<double>(task_.batch);
    actor_.back(grad, 0.0, desk_.spare.data(), actor_grads_.data());
  }

  // Through the critic whose value is the least, through all of them in equal parts where several
  // are.
  void act_back(std::int64_t heads) {
    const double alpha = task_.is_soft() ? this->alpha() : 0.0, share = 1.0 / task_.batch;
    double loss = 0.0, entropy = 0.0;
    for (std::int64_t b = 0; b < task_.batch; ++b) {
      float found = values_of(0)[b];
      for (std::int64_t h = 1; h < heads; ++h) found = lesser(found, values_of(h)[b]);
      float alike = 0.0f;
      for (std::int64_t h = 0; h < heads; ++h) alike += values_of(h)[b] == found ? 1.0f : 0.0f;
      for (std::int64_t h = 0; h < heads; ++h) {
        const float part = values_of(h)[b] == found ? 1.0f / alike : 0.0f;
        desk_.grad.data()[h * desk_.apart + b] = -static_cast<float>(share) * part;
      }
      loss -= found;
      if (task_.is_soft()) {
        loss += alpha * desk_.log_prob.data()[b];
        entropy -= desk_.log_prob.data()[b];
      }
    }
    loss_ = loss * share;
    entropy_ = entropy * share;
    float *found = desk_.grad_x.data(), *more = desk_.probs.data();
    for (std::int64_t h = 0; h < heads; ++h) {
      PerceptronBack back;
      back.grad = desk_.grad.data() + h * desk_.apart;
      back.scratch = desk_.spare.data();
      back.first_x = task_.inputs;
      back.grad_x = h == 0 ? found : more;
      critics_[index(h)]->back(back);
      if (h > 0) {
        for (std::int64_t i = 0; i < task_.size * desk_.apart; ++i) found[i] += more[i];
      }
    }
    actor_.back(found, alpha * share, desk_.spare.data(), actor_grads_.data());
  }

  // Haarnoja et al. (2018b), eq. 18, as a loss of log alpha.
  Outcome warm() {
    const double gap = entropy_ - task_.target_entropy;
    temperature_grad_ = static_cast<float>(gap);
    loss_ = *agent_.temperature.values * gap;
    return outcome(&temperature_grad_, 1);
  }

  Outcome outcome(const float* grads, std::int64_t count) {
    if (!std::isfinite(loss_)) return Outcome::loss;
    norm_ = kernels_.norm(grads, count);
    return std::isfinite(norm_) ? Outcome::fine : Outcome::gradient;
  }

  void move(LearntPart& part, const float* grads, std::int64_t count) {
    part.descend(kernels_, task_.rules, grads, count, norm_);
  }

  bool turn(std::int64_t step, std::int64_t interval) const {
    return (agent_.updates + step + 1) % interval == 0;
  }

  float alpha() const {
    return task_.learns_temperature ? std::exp(*agent_.temperature.values)
                                    : static_cast<float>(agent_.alpha);
  }

  // What is drawn for a step: for observations that follow, or for the present ones.
  const float* noise_of(std::int64_t step, bool present) const {
    if (agent_.noise == nullptr) return nullptr;
    const std::int64_t behind = task_.policy == Policy::gaussian && present ? task_.noise() / 2 : 0;
    return agent_.noise + step * task_.noise() + behind;
  }

  // The least of all critics' values, in the place of the first one's.
  void least() {
    for (std::int64_t h = 1; h < task_.heads; ++h) {
      for (std::int64_t k = 0; k < outputs_ * desk_.apart; k += desk_.apart) {
        for (std::int64_t at = k; at < k + task_.batch; ++at) {
          values_of(0)[at] = lesser(values_of(0)[at], values_of(h)[at]);
        }
      }
    }
  }

  // What is no number is less than all others.
  static float lesser(float a, float b) { return b < a || std::isnan(b) ? b : a; }

  // Rows of what lies sample by sample at some places of the memory.
  void gather(const float* from, const std::int64_t* drawn, std::int64_t columns, float* to) const {
    for (std::int64_t b = 0; b < task_.batch; ++b) {
      const float* row = from + drawn[b] * columns;
      for (std::int64_t k = 0; k < columns; ++k) to[k * desk_.apart + b] = row[k];
    }
  }

  static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }
  float* actions() { return desk_.x.data() + task_.inputs * desk_.apart; }
  float* probs_or_actions() { return task_.chooses() ? desk_.probs.data() : actions(); }
  float* values_of(std::int64_t head) {
    return desk_.values.data() + head * outputs_ * desk_.apart;
  }
  float* rooms(std::int64_t head) { return desk_.critic_rooms.data() + head * room_; }

  const Kernels& kernels_;
  const ActorCritic& task_;
  ActorCriticAgent& agent_;
  const Stored& stored_;
  Desk& desk_;
  std::vector<std::int64_t> sizes_;
  std::int64_t head_, room_, outputs_;
  Actor actor_;
  std::optional<Actor> actor_target_;
  std::vector<std::unique_ptr<DenseNetwork>> critics_, targets_;
  Scratch critic_grads_, actor_grads_;
  float temperature_grad_ = 0.0f;
  double loss_ = 0.0, error_ = 0.0, entropy_ = 0.0, norm_ = 0.0;
};

}  // namespace

std::vector<std::int64_t> ActorCritic::actor_sizes() const {
  std::vector<std::int64_t> found = {inputs};
  found.insert(found.end(), hidden.begin(), hidden.end());
  const bool ends = policy == Policy::gaussian || policy == Policy::of_state;
  found.push_back(ends ? 2 * size : size);
  return found;
}

std::vector<std::int64_t> ActorCritic::critic_sizes() const {
  std::vector<std::int64_t> found = {chooses() ? inputs : inputs + size};
  found.insert(found.end(), hidden.begin(), hidden.end());
  found.push_back(chooses() ? size : 1);
  return found;
}

std::int64_t ActorCritic::actor_parameters() const {
  // Deviations of the state have no bias.
  return parameters_of(actor_sizes()) - (policy == Policy::of_state ? size : 0);
}

std::int64_t ActorCritic::noise() const {
  switch (policy) {
    case Policy::deterministic:
      return batch * size;
    case Policy::gaussian:
      return 2 * batch * size;
    case Policy::of_state:
      return hidden.back() * size;
    default:
      return 0;
  }
}

Failure learn(const Kernels& kernels, const ActorCritic& task,
              std::vector<ActorCriticAgent>& agents, int threads) {
  const auto count = static_cast<std::int64_t>(agents.size());
  Crew crew(threads_for(count, threads));
  return Together<Desk, Learner>(
             crew, count, [&] { return std::make_unique<Desk>(kernels, task); },
             [&](std::int64_t a, Desk& desk) {
               return std::make_unique<Learner>(kernels, task, agents[static_cast<std::size_t>(a)],
                                                desk);
             })
      .step(task.steps, kParts);
}

}  // namespace socialgrid::learning
