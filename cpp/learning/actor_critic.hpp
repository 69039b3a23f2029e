// Whole gradient steps of TD3 and of soft actor-critic, each agent on its own memory.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "learnt.hpp"
#include "together.hpp"

namespace socialgrid::learning {

// What an actor says of an observation, and where its parameters lie:
//   deterministic: an action, tanh of a perceptron;
//   gaussian: perceptron up to the last hidden layer, then mean and log-deviation, each weight and
//     bias;
//   of_state: log-deviations [latent, size], perceptron up to the last hidden layer, mean;
//   categorical: logits of a perceptron.
enum class Policy { deterministic, gaussian, of_state, categorical };

struct ActorCritic {
  Policy policy = Policy::deterministic;
  std::int64_t batch = 0, steps = 0;
  std::int64_t inputs = 0, size = 0;  // numbers of an observation; of an action, or actions
  std::int64_t heads = 0;             // critics
  std::vector<std::int64_t> hidden;
  std::int64_t target_interval = 1, policy_delay = 1;
  Rules rules;
  double target_noise = 0.0, target_noise_clip = 0.0;  // of deterministic actions
  bool learns_temperature = false;
  double target_entropy = 0.0;

  bool chooses() const { return policy == Policy::categorical; }
  bool is_soft() const { return policy != Policy::deterministic; }
  // Numbers of a row of the networks before and after each layer; the actor's last layer has means
  // and what goes with them, wherever their parameters lie.
  std::vector<std::int64_t> actor_sizes() const;
  std::vector<std::int64_t> critic_sizes() const;  // of one head
  std::int64_t actor_parameters() const;
  std::int64_t noise() const;  // numbers that are drawn for a step
};

struct ActorCriticAgent {
  Stored stored;
  const float* noise = nullptr;  // standard normal: see Actor
  LearntPart actor, critic, temperature;
  double alpha = 0.0;        // temperature where it is not learnt
  std::int64_t updates = 0;  // gradient steps before
  // Sums over the steps of what is logged, and how many the actor took.
  double critic_loss = 0.0, error = 0.0, actor_loss = 0.0, entropy = 0.0, alphas = 0.0;
  std::int64_t actor_steps = 0;
};

// Parts of a gradient step, as a failure has them.
enum Part : std::int64_t { kCritic, kActor, kTemperature, kParts };

// Takes the gradient steps of all agents. Nobody takes a part of a step in which somebody's loss or
// gradient is not finite, nor any after that.
Failure learn(const Kernels& kernels, const ActorCritic& task,
              std::vector<ActorCriticAgent>& agents, int threads);

}  // namespace socialgrid::learning
