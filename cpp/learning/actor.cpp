// Policies of one agent as gradient steps need them.
#include "actor.hpp"

#include <algorithm>
#include <cstring>

namespace socialgrid::learning {
namespace {

void copy(const float* from, std::int64_t count, float* to) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
}

}  // namespace

Actor::Actor(const Kernels& kernels, const ActorCritic& task, const float* values)
    : kernels_(kernels),
      task_(task),
      sizes_(task.actor_sizes()),
      latent_(task.hidden.back()),
      body_(task.policy == Policy::of_state ? latent_ * task.size : 0),
      apart_(kernels.perceptron_apart(task.batch)),
      values_(values),
      network_(kernels, sizes_, task.batch, values + body_) {
  if (task.policy == Policy::deterministic || task.chooses()) {
    out_.resize(sizes_.back() * apart_);
    out_grads_.resize(sizes_.back() * apart_);
    return;
  }
  const std::int64_t ends = 2 * task.size * (latent_ + 1), spread = latent_ * task.size;
  end_.resize(ends);
  end_grads_.resize(ends);
  out_.resize(2 * task.size * apart_);
  out_grads_.resize(2 * task.size * apart_);
  network_.end_with(end_.data(), end_.data() + 2 * spread);
  squashed_.count = task.batch;
  squashed_.size = task.size;
  squashed_.apart = apart_;
  squashed_.mean = out_.data();
  if (task.policy == Policy::gaussian) {
    noise_.resize(task.size * apart_);
    squashed_.spread = out_.data() + task.size * apart_;
    squashed_.noise = noise_.data();
    return;
  }
  for (Numbers* each : {&sigma_, &squares_, &squares_grads_}) each->resize(spread);
  variance_.resize(task.size * apart_);
  variance_grads_.resize(task.size * apart_);
  beside_.resize(latent_ * apart_);
  squashed_.of_state = true;
  squashed_.spread = variance_.data();
  squashed_.noise = out_.data() + task.size * apart_;
}

// Puts the last layer together: rows of means, then of log-deviations or of the noise.
void Actor::prepare(const float* noise) {
  const std::int64_t spread = latent_ * task_.size;
  const float* mean = values_ + body_;
  for (std::size_t l = 0; l + 2 < sizes_.size(); ++l) mean += (sizes_[l] + 1) * sizes_[l + 1];
  float *weight = end_.data(), *bias = weight + 2 * spread;
  copy(mean, spread, weight);
  copy(mean + spread, task_.size, bias);
  if (task_.policy == Policy::gaussian) {
    const float* log_std = mean + spread + task_.size;
    copy(log_std, spread, weight + spread);
    copy(log_std + spread, task_.size, bias + task_.size);
    for (std::int64_t d = 0; d < task_.size; ++d) {
      for (std::int64_t b = 0; b < task_.batch; ++b) {
        noise_.data()[d * apart_ + b] = noise[b * task_.size + d];
      }
    }
    return;
  }
  kernels_.exponential_all(values_, spread, sigma_.data());
  for (std::int64_t l = 0; l < latent_; ++l) {
    for (std::int64_t d = 0; d < task_.size; ++d) {
      const std::int64_t at = l * task_.size + d;
      const float sigma = sigma_.data()[at];
      squares_.data()[at] = sigma * sigma;
      weight[spread + d * latent_ + l] = sigma * noise[at];
    }
  }
}

void Actor::see(const float* obs, const float* noise, float* action, float* log_prob, float* room) {
  switch (task_.policy) {
    case Policy::deterministic:
      network_.see_units(obs, action, room, true);
      for (std::int64_t d = 0; d < task_.size; ++d) {
        kernels_.tanh_all(action + d * apart_, task_.batch);
      }
      squashed_.action = action;
      return;
    case Policy::categorical: {
      network_.see_units(obs, out_.data(), room, true);
      Categorical c;
      c.count = task_.batch;
      c.size = task_.size;
      c.apart = apart_;
      c.logits = out_.data();
      c.probs = action;
      c.log_probs = log_prob;
      kernels_.categorical(c);
      return;
    }
    default:
      break;
  }
  prepare(noise);
  drawn_ = noise;
  network_.see_units(obs, out_.data(), room, true);
  if (task_.policy == Policy::of_state) {
    StateNoise s;
    s.count = task_.batch;
    s.latent = latent_;
    s.size = task_.size;
    s.apart = apart_;
    s.z = network_.latent();
    s.squares = squares_.data();
    s.variance = variance_.data();
    kernels_.state_noise(s);
  }
  squashed_.action = action;
  squashed_.log_prob = log_prob;
  kernels_.squash(squashed_);
}

void Actor::back(const float* grad, double share, float* scratch, float* grads) {
  LayerParameters<float> layers(sizes_, grads + body_);
  PerceptronBack back;
  back.scratch = scratch;
  back.weights = layers.weights.data();
  back.biases = layers.biases.data();
  back.grad = out_grads_.data();
  if (task_.chooses()) {
    back.grad = grad;
    network_.back(back);
    return;
  }
  if (task_.policy == Policy::deterministic) {
    for (std::int64_t d = 0; d < task_.size; ++d) {
      for (std::int64_t at = d * apart_; at < d * apart_ + task_.batch; ++at) {
        const float action = squashed_.action[at];
        out_grads_.data()[at] = grad[at] * (1.0f - action * action);
      }
    }
    network_.back(back);
    return;
  }
  const bool of_state = task_.policy == Policy::of_state;
  float* second = out_grads_.data() + task_.size * apart_;
  SquashBack of_squash;
  of_squash.grad = grad;
  of_squash.share = static_cast<float>(share);
  of_squash.mean = out_grads_.data();
  of_squash.spread = of_state ? variance_grads_.data() : second;
  of_squash.noise = of_state ? second : nullptr;
  kernels_.squash_back(squashed_, of_squash);
  if (of_state) {
    StateNoise s;
    s.count = task_.batch;
    s.latent = latent_;
    s.size = task_.size;
    s.apart = apart_;
    s.z = network_.latent();
    s.squares = squares_.data();
    StateNoiseBack of_noise;
    of_noise.grad = variance_grads_.data();
    of_noise.z = beside_.data();
    of_noise.squares = squares_grads_.data();
    kernels_.state_noise_back(s, of_noise);
    back.beside = beside_.data();
  }
  layers.weights.back() = end_grads_.data();
  layers.biases.back() = end_grads_.data() + 2 * task_.size * latent_;
  network_.back(back);
  end_back(grads);
}

// Takes the gradients of the last layer apart.
void Actor::end_back(float* grads) const {
  const std::int64_t spread = latent_ * task_.size;
  const float *weight = end_grads_.data(), *bias = weight + 2 * spread;
  float* mean = grads + body_;
  for (std::size_t l = 0; l + 2 < sizes_.size(); ++l) mean += (sizes_[l] + 1) * sizes_[l + 1];
  copy(weight, spread, mean);
  copy(bias, task_.size, mean + spread);
  if (task_.policy == Policy::gaussian) {
    float* log_std = mean + spread + task_.size;
    copy(weight + spread, spread, log_std);
    copy(bias + task_.size, task_.size, log_std + spread);
    return;
  }
  for (std::int64_t l = 0; l < latent_; ++l) {
    for (std::int64_t d = 0; d < task_.size; ++d) {
      const std::int64_t at = l * task_.size + d;
      const float of_noise = weight[spread + d * latent_ + l] * drawn_[at];
      const float sigma = sigma_.data()[at];
      grads[at] = sigma * (of_noise + 2.0f * sigma * squares_grads_.data()[at]);
    }
  }
}

}  // namespace socialgrid::learning
