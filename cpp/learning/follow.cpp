// Choices of whom to follow. Values are those of PyTorch's operators, bit for bit; of exponentials
// that is not known.
#include "follow.hpp"

#include <algorithm>
#include <cmath>

#include "largest.hpp"

namespace socialgrid::learning {
namespace {

// To [-1, 1], see by_range in social/advice/worth.py; false where something is not finite.
bool to_range(std::vector<float>& term) {
  for (float& x : term) x /= 2.0f;
  const auto [low, high] = std::minmax_element(term.begin(), term.end());
  const float least = *low, half = *high - *low;
  if (!std::isfinite(half)) return false;
  for (float& x : term) {
    if (std::isnan(x)) return false;
    x = half == 0.0f ? 0.0f : (x - least) / half * 2.0f - 1.0f;
  }
  return true;
}

void over_largest(std::vector<float>& term) {
  float most = 0.0f;
  for (const float x : term) most = std::max(most, std::abs(x));
  for (float& x : term) x /= most > 0.0f ? most : 1.0f;
}

}  // namespace

Following::Following(const Kernels& kernels, const AgentNetworks& networks, const FollowTask& task)
    : kernels_(kernels),
      networks_(networks),
      task_(task),
      states_(task.members * task.copies),
      found_(states_ * networks.sizes.back()),
      room_(room_of(kernels, networks.sizes, states_)) {
  const auto all = static_cast<std::size_t>(task.agents * task.copies);
  const auto members = static_cast<std::size_t>(task.members);
  judged_.resize(all * members);
  proposed_.resize(all * members);
  chosen_.resize(all);
  words_.resize(all);
  total_.resize(members);
  term_.resize(members);
  chances_.resize(members);
}

bool Following::due() const {
  const std::int64_t* left = task_.left;
  return std::find(left, left + task_.agents * task_.copies, 0) !=
         left + task_.agents * task_.copies;
}

// What every agent's network gives to what each member of its group would do.
void Following::judge(const float* obs) {
  const std::int64_t members = task_.members, copies = task_.copies;
  const std::int64_t actions = networks_.sizes.back(), inputs = networks_.sizes.front();
  std::vector<float> own(static_cast<std::size_t>(states_ * actions));
  for (std::int64_t agent = 0; agent < task_.agents; ++agent) {
    const std::int64_t group = agent / members, place = agent % members;
    const std::int64_t first = group * states_;
    DenseNetwork network(kernels_, networks_.sizes, states_, networks_.of(agent));
    const float* values = network.see(obs + first * inputs, found_.data(), room_.data(), false);
    for (std::int64_t i = 0; i < states_; ++i) {
      proposed_[static_cast<std::size_t>((first + i) * members + place)] =
          largest(values + i * actions, actions);
    }
    // What it gives in its own states is wanted once all have proposed.
    std::copy_n(values + place * copies * actions, copies * actions,
                own.data() + place * copies * actions);
    if (place + 1 < members) continue;
    for (std::int64_t i = 0; i < states_; ++i) {
      for (std::int64_t m = 0; m < members; ++m) {
        const auto at = static_cast<std::size_t>((first + i) * members + m);
        judged_[at] = own[static_cast<std::size_t>(i * actions + proposed_[at])];
      }
    }
  }
}

// v of number `i` of [agents, copies]; false where something is not finite.
bool Following::values(std::int64_t i) {
  const std::int64_t agent = i / task_.copies, members = task_.members;
  const int terms = int{task_.critic} + int{task_.trust} + int{task_.shared};
  std::fill(total_.begin(), total_.end(), 0.0f);
  bool begun = false;
  const auto add = [&](bool counts, const float* from) {
    if (!counts) return true;
    std::copy_n(from, members, term_.begin());
    if (task_.by_largest) {
      over_largest(term_);
    } else if (terms > 1 && !to_range(term_)) {
      return false;
    }
    for (std::size_t m = 0; m < term_.size(); ++m) {
      total_[m] = begun ? total_[m] + term_[m] : term_[m];
    }
    begun = true;
    return true;
  };
  return add(task_.critic, judged_.data() + i * members) &&
         add(task_.trust, task_.own + agent * members) &&
         add(task_.shared, task_.agent_values + agent / members * members) &&
         std::all_of(total_.begin(), total_.end(), [](float x) { return std::isfinite(x); });
}

// With which each member is followed; false where something is not finite.
bool Following::chances(std::int64_t i) {
  const auto members = static_cast<double>(task_.members);
  if (task_.choice == ChoosesBy::others) {
    std::fill(chances_.begin(), chances_.end(), 1.0 / (members - 1.0));
    chances_[static_cast<std::size_t>(i / task_.copies % task_.members)] = 0.0;
    return true;
  }
  if (!values(i)) return false;
  if (task_.choice == ChoosesBy::boltzmann) {
    for (float& x : total_) x /= static_cast<float>(task_.temperature);
  }
  const float most = *std::max_element(total_.begin(), total_.end());
  if (!std::isfinite(most)) return false;
  double sum = 0.0;
  for (std::size_t m = 0; m < total_.size(); ++m) {
    const bool best = total_[m] == most;
    chances_[m] = task_.choice == ChoosesBy::greedy
                      ? (best ? 1.0 : 0.0)
                      : std::exp(static_cast<double>(total_[m] - most));
    sum += chances_[m];
  }
  const double random = task_.choice == ChoosesBy::greedy ? task_.epsilon : 0.0;
  for (double& chance : chances_) chance = (1.0 - random) * chance / sum + random / members;
  return true;
}

bool Following::choose(const float* obs) {
  if (task_.critic && task_.choice != ChoosesBy::others) judge(obs);
  task_.draw(task_.decisions, words_.data());
  for (std::size_t i = 0; i < chosen_.size(); ++i) {
    if (!chances(static_cast<std::int64_t>(i))) return false;
    const double drawn = static_cast<double>(uniform(words_[i]));
    double passed = 0.0;
    chosen_[i] = 0;
    for (std::size_t m = 0; m + 1 < chances_.size(); ++m) {
      passed += chances_[m];
      if (std::abs(drawn - passed) <= task_.unsure) return false;
      if (drawn >= passed) ++chosen_[i];
    }
  }
  for (std::size_t i = 0; i < chosen_.size(); ++i) {
    if (task_.left[i] != 0) continue;
    task_.followed[i] = chosen_[i];
    task_.left[i] = task_.hold;
  }
  return true;
}

void Following::count(bool chosen) {
  for (std::int64_t i = 0; i < task_.agents * task_.copies; ++i) {
    ++task_.counts[i / task_.copies * task_.members + task_.followed[i]];
    if (!chosen) --task_.left[i];
  }
  if (!chosen) ++task_.decisions;
}

}  // namespace socialgrid::learning
