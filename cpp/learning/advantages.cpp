#include "advantages.hpp"

#include <cmath>
#include <vector>

namespace socialgrid::learning {

void estimate(const Estimates& s) {
  const auto discount = static_cast<float>(s.discount);
  const auto decay = static_cast<float>(s.discount * s.lambda);
  std::vector<float> advantages(static_cast<std::size_t>(s.envs)), returns(advantages.size());
  for (std::int64_t t = s.steps - 1; t >= 0; --t) {
    const bool last = t + 1 == s.steps;
    for (std::int64_t e = 0; e < s.envs; ++e) {
      const float reward = s.reward.at(t, e), value = s.value.at(t, e);
      float following = last ? s.last[e] : s.value.at(t + 1, e);
      if (s.truncated.at(t, e) != 0) {
        const std::int64_t slot = s.slots.at(t, e);
        following = slot < s.ends ? s.final[slot] : 0.0f;
      }
      if (s.terminated.at(t, e) != 0) following = 0.0f;
      const bool on = s.continues.at(t, e) != 0;
      const float difference = s.of_difference ? reward + discount * (following - value)
                                               : (reward + discount * following) - value;
      float& advantage = advantages[static_cast<std::size_t>(e)];
      advantage = std::fma(on ? decay : 0.0f, advantage, difference);
      s.advantage.at(t, e) = advantage;
      if (!s.of_returns) {
        s.target.at(t, e) = advantage + value;
        continue;
      }
      const bool flows = on && !last;  // the last step is followed by an estimate in any case
      float& whole = returns[static_cast<std::size_t>(e)];
      whole =
          std::fma(flows ? discount : 0.0f, whole, reward + discount * (flows ? 0.0f : following));
      s.target.at(t, e) = whole;
    }
  }
}

}  // namespace socialgrid::learning
