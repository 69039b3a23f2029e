// Losses of policies and values, row by row. Compiled once for every set of kernels.
#include <cmath>

#include "images.hpp"
#include "lanes.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {
namespace {

SOCIALGRID_INLINE float sum_of(Lanes x) {
  float sum = 0.0f;
  for (int lane = 0; lane < kLanes; ++lane) sum += x[lane];
  return sum;
}
SOCIALGRID_INLINE float most_of(Lanes x) {
  float most = x[0];
  for (int lane = 1; lane < kLanes; ++lane) most = x[lane] > most ? x[lane] : most;
  return most;
}
SOCIALGRID_INLINE Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }

// The policy's loss for one decision, added to the sums, and its derivative by the log-probability
// of the choice.
float policy_loss(const Judgement& j, std::int64_t row, float log_prob, float weight,
                  Losses& losses) {
  const float advantage = j.advantage[row * j.number_row];
  if (!j.clipped) {
    losses.policy -= static_cast<double>(log_prob * advantage * weight);
    return -advantage * weight;
  }
  const float change = log_prob - j.log_prob[row * j.number_row], ratio = std::exp(change);
  const float low = 1.0f - j.clip, high = 1.0f + j.clip;
  const float within = ratio < low ? low : (ratio > high ? high : ratio);
  const float gain = ratio * advantage, bounded = within * advantage;
  losses.policy -= static_cast<double>((bounded < gain ? bounded : gain) * weight);
  losses.divergence -= static_cast<double>(change * weight);
  losses.share += ratio != within ? static_cast<double>(weight) : 0.0;
  // Where the ratio is beyond all numbers the derivative is none, as it is by automatic
  // differentiation, whichever of the two counts.
  return bounded < gain ? 0.0f * ratio : -gain * weight;
}

}  // namespace

void judge(const Judgement& j, Losses& losses) {
  const std::int64_t width = j.logits_row;
  for (std::int64_t row = 0; row < j.rows; ++row) {
    float* logits = j.logits + row * width;
    float& value = j.values[row * j.values_row];
    const float weight = j.weight[row];
    const std::int64_t choice = j.choice[row * j.choice_row];
    Lanes tops = load(logits);
    for (std::int64_t i = kLanes; i < width; i += kLanes) tops = larger(tops, load(logits + i));
    const Lanes top = all(most_of(tops));
    Lanes sums = {};
    for (std::int64_t i = 0; i < width; i += kLanes) sums += exponential(load(logits + i) - top);
    const float whole = sum_of(sums), log_whole = std::log(whole);
    const float log_prob = logits[choice] - top[0] - log_whole;
    Lanes information = {};
    for (std::int64_t i = 0; i < width; i += kLanes) {
      const Lanes x = load(logits + i) - top;
      information += product(exponential(x), x - log_whole);
    }
    const float entropy = -sum_of(information) / whole;
    const float difference = value - j.target[row * j.number_row];
    losses.value += static_cast<double>(difference * difference * weight);
    losses.entropy += static_cast<double>(entropy * weight);
    const float slope = j.factor * policy_loss(j, row, log_prob, weight, losses);
    if (!j.back) continue;
    const float even = j.entropy_coef * weight;
    for (std::int64_t i = 0; i < width; i += kLanes) {
      const Lanes x = load(logits + i) - top, p = exponential(x) / whole;
      store(logits + i, product(p, product(x - log_whole + entropy, all(even)) - slope));
    }
    logits[choice] += slope;
    value = 2.0f * j.factor * j.value_coef * difference * weight;
  }
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
