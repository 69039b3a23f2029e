// What agents make of having followed each other: see social/advice/peers.py, whose numbers these
// are, bit for bit.
#pragma once

#include <cstdint>
#include <vector>

#include "crew.hpp"
#include "follow.hpp"
#include "kernels.hpp"
#include "network.hpp"

namespace socialgrid::learning {

// Of one step of all agents, [agents, copies, ...].
struct Advised {
  const float *obs = nullptr, *next_obs = nullptr, *reward = nullptr;
  const std::uint8_t* terminated = nullptr;
};

struct TrustTask {
  std::int64_t agents = 0, copies = 0, inputs = 0, members = 0, owners = 0;
  // The buffer: steps of each agent that it holds and has, and where the next ones come.
  std::int64_t capacity = 0, stored = 0, next = 0;
  float* seen = nullptr;                 // [agents, capacity, 2, inputs]: after and before
  float* number = nullptr;               // [agents, capacity, 2]: reward, and 1 where it ended
  std::int64_t* followed = nullptr;      // [agents, capacity]
  const std::int64_t* places = nullptr;  // [agents, copies]: of the members followed now
  // Drawn after a step of every copy, more than `samples` being stored: for trust, and for each
  // owner's share of agent values; 0: they are not learnt.
  std::int64_t samples = 0, own = 0, share = 0;
  std::int64_t observed = 0;  // moment of the next step
  Draw draw;                  // what those are drawn by
  std::int64_t most = 0;      // bytes of what is noted that call for learning from it
  bool advantage = false;
  float gamma = 0.0f, rate = 0.0f;
  float* trust = nullptr;         // [agents, members]
  float* agent_values = nullptr;  // [groups, members]
};

// Notes steps, and what is drawn after each, and learns from all of it later.
class Trusting {
 public:
  Trusting(const Kernels& kernels, const AgentNetworks& networks, const TrustTask& task)
      : kernels_(kernels), networks_(networks), task_(task) {}

  // Makes room for a step, so that noting it cannot fail.
  void prepare();
  void note(const Advised& advised);
  bool full() const;
  // Learns from what was noted since the last time. Values are those of the networks as they are
  // now. Nothing has changed where this throws.
  void learn(Crew& crew);

  // Steps stored, and where the next ones come.
  std::int64_t stored() const { return task_.stored; }
  std::int64_t next() const { return task_.next; }

 private:
  std::int64_t looked() const { return task_.advantage ? 2 : 1; }
  std::int64_t drawn() const { return task_.own + task_.share * task_.owners; }
  std::vector<float> values_of(std::int64_t agent) const;
  void move(const float* targets, const std::int64_t* places, std::vector<float>& scratch);

  const Kernels& kernels_;
  const AgentNetworks& networks_;
  TrustTask task_;
  std::int64_t learnt_ = 0;  // steps that something was drawn after
  // Of what was drawn, step by step and agent by agent: [copies, drawn, ...].
  std::vector<float> seen_, number_;
  std::vector<std::int64_t> places_;
  std::vector<std::uint32_t> words_;
};

}  // namespace socialgrid::learning
