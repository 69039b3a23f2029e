// Policies of one agent on a batch: all numbers lie component by component, a row for each, one
// number for each sample, rows `apart` numbers from each other, as perceptrons leave them.
#pragma once

#include <cstdint>

namespace socialgrid::learning {

// tanh of Gaussians. Either of a mean and a log-deviation, moved by standard normal noise, or of a
// mean within limits and a variance, moved by noise that is a function of the state.
struct Squash {
  std::int64_t count = 0, size = 0, apart = 0;
  bool of_state = false;
  const float* mean = nullptr;    // [size] rows
  const float* spread = nullptr;  // [size] rows: log-deviations or variances
  const float* noise = nullptr;   // [size] rows
  float* action = nullptr;        // [size] rows, in [-1, 1]
  float* log_prob = nullptr;      // one row
};

// What the way back needs besides; gradients are 0 behind the last sample.
struct SquashBack {
  const float* grad = nullptr;  // [size] rows, of the action
  float share = 0.0f;           // gradient of every log_prob
  float* mean = nullptr;        // [size] rows each
  float* spread = nullptr;
  float* noise = nullptr;  // only of the state
};

// Variances of noise that is a function of the state: z^2 sigma^2 and a little more.
struct StateNoise {
  std::int64_t count = 0, latent = 0, size = 0, apart = 0;
  const float* z = nullptr;        // [latent] rows
  const float* squares = nullptr;  // [latent, size], sigma^2
  float* variance = nullptr;       // [size] rows
};

struct StateNoiseBack {
  const float* grad = nullptr;  // [size] rows, of the variance
  float* z = nullptr;           // [latent] rows
  float* squares = nullptr;     // [latent, size]
};

// Choices among `size`.
struct Categorical {
  std::int64_t count = 0, size = 0, apart = 0;
  const float* logits = nullptr;  // [size] rows
  float* probs = nullptr;         // [size] rows
  float* log_probs = nullptr;     // [size] rows
};

}  // namespace socialgrid::learning
