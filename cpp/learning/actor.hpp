// Policies of one agent as gradient steps need them.
#pragma once

#include <cstdint>
#include <vector>

#include "actor_critic.hpp"
#include "network.hpp"
#include "numbers.hpp"

namespace socialgrid::learning {

// Rows are unit by unit, see Perceptron.
class Actor {
 public:
  Actor(const Kernels& kernels, const ActorCritic& task, const float* values);
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  // From [inputs] rows of observations to [size] rows: actions, or probabilities of them; and
  // log-probabilities, one row or one for each action. Noise: [batch, size], of the state
  // [latent, size], else none. What is in the room is needed on the way back.
  void see(const float* obs, const float* noise, float* action, float* log_prob, float* room);
  // Gradients like the parameters, from those of actions (choices: of logits) and of every
  // log-probability.
  void back(const float* grad, double share, float* scratch, float* grads);

 private:
  void prepare(const float* noise);
  void end_back(float* grads) const;

  const Kernels& kernels_;
  const ActorCritic& task_;
  std::vector<std::int64_t> sizes_;
  std::int64_t latent_, body_, apart_;
  const float* values_;
  DenseNetwork network_;
  // The last layer where it is made of several; its results; what goes with means.
  Numbers end_, end_grads_, sigma_, squares_, squares_grads_;
  Numbers out_, out_grads_, noise_, variance_, variance_grads_, beside_;
  const float* drawn_ = nullptr;
  Squash squashed_;
};

}  // namespace socialgrid::learning
