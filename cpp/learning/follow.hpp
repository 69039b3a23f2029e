// Whom agents follow: see social/advice/peers.py. What is drawn is compared with chances that are
// computed otherwise there; where rounding might tell, nothing is decided here.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels.hpp"
#include "network.hpp"

namespace socialgrid::learning {

// Writes all agents' numbers [agents, copies, places] of a moment.
using Draw = std::function<void(std::int64_t moment, std::uint32_t* to)>;

enum class ChoosesBy { boltzmann, greedy, others };

// Agents lie group by group: every member has a network.
struct FollowTask {
  std::int64_t agents = 0, copies = 0, members = 0;
  std::int64_t* followed = nullptr;  // [agents, copies]: places in the group
  std::int64_t* left = nullptr;      // [agents, copies]: for how many steps they are settled
  std::int64_t* counts = nullptr;    // [agents, members]: steps in which each was followed
  std::int64_t hold = 1;             // steps for which a choice holds
  ChoosesBy choice = ChoosesBy::boltzmann;
  // What the value of following somebody is the sum of, and how terms of it are scaled.
  bool critic = false, trust = false, shared = false, by_largest = false;
  double temperature = 1.0, epsilon = 0.0;
  double unsure = 0.0;                  // draws so near to a limit decide nothing
  const float* own = nullptr;           // [agents, members]
  const float* agent_values = nullptr;  // [groups, members]
  std::int64_t decisions = 0;           // moment of the next choice
  Draw draw;                            // one number for each copy
};

class Following {
 public:
  Following(const Kernels& kernels, const AgentNetworks& networks, const FollowTask& task);

  // Whether anybody has to choose before the next step.
  bool due() const;
  // Chooses by what is seen, [agents, copies, inputs]; nothing has changed where this is false.
  bool choose(const float* obs);
  // The agent whose network decides for number `i` of [agents, copies].
  std::int64_t adviser(std::int64_t i) const {
    return i / (task_.copies * task_.members) * task_.members + task_.followed[i];
  }
  // A step has been taken; `chosen`: before it agents chose elsewhere, where that was counted.
  void count(bool chosen);

  const std::int64_t* places() const { return task_.followed; }
  std::int64_t decisions() const { return task_.decisions; }

 private:
  void judge(const float* obs);
  bool chances(std::int64_t i);
  bool values(std::int64_t i);

  const Kernels& kernels_;
  const AgentNetworks& networks_;
  FollowTask task_;
  std::int64_t states_;  // of a group
  Scratch found_, room_;
  std::vector<float> judged_, total_, term_;  // [agents, copies, members], [members] each
  std::vector<double> chances_;               // [members]
  std::vector<std::int64_t> proposed_, chosen_;
  std::vector<std::uint32_t> words_;
};

}  // namespace socialgrid::learning
