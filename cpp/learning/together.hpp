// Agents who take steps side by side, shared among threads. Results do not depend on the threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <memory>
#include <vector>

#include "crew.hpp"

namespace socialgrid::learning {

// What a step of an agent came to.
enum class Outcome { fine, loss, gradient };  // what is not finite

// What stopped being finite, in which step, in which part of it and of whom.
struct Failure {
  std::int64_t step = -1, agent = -1;  // -1: nothing did
  std::int64_t part = 0;
  bool gradient = false;  // otherwise the loss
};

// Lets `count` agents take steps of so many parts each. In each part nobody moves before everybody
// has a gradient, and nobody does so, nor goes on, where somebody's loss or gradient is not finite.
// The same where one of them throws before it moves (there is no memory, say), which reaches the
// caller: then all have taken the same steps. Throws as side_by_side() does.
//
// desk() makes what the agents of a thread work at, learner(agent, desk) one of them:
//   Outcome differentiate(step, part);
//   void descend(step, part);
template <typename MakeDesk, typename MakeLearner>
Failure step_together(std::int64_t count, std::int64_t steps, std::int64_t parts, int threads,
                      const MakeDesk& desk_of, const MakeLearner& learner_of) {
  threads = static_cast<int>(std::clamp<std::int64_t>(count, 1, std::max(threads, 1)));
  std::vector<std::atomic<bool>> failed(static_cast<std::size_t>(steps * parts));
  std::vector<Failure> each(static_cast<std::size_t>(count));
  std::barrier everybody(threads);
  // Rounds of a step and a part; `reached` is the one whose end the thread waits for next.
  const std::int64_t rounds = steps * parts;
  const auto all_of = [&](int thread, std::int64_t& reached) {
    const std::int64_t begin = count * thread / threads, end = count * (thread + 1) / threads;
    auto desk = desk_of();
    using Learner = decltype(learner_of(std::int64_t{0}, *desk));
    std::vector<Learner> own;
    for (std::int64_t a = begin; a < end; ++a) own.push_back(learner_of(a, *desk));
    while (reached < rounds) {
      const std::int64_t step = reached / parts, part = reached % parts;
      std::atomic<bool>& over = failed[static_cast<std::size_t>(reached)];
      for (std::int64_t a = begin; a < end; ++a) {
        const Outcome found = own[static_cast<std::size_t>(a - begin)]->differentiate(step, part);
        if (found == Outcome::fine) continue;
        each[static_cast<std::size_t>(a)] = {step, a, part, found == Outcome::gradient};
        over = true;
      }
      if (threads > 1) everybody.arrive_and_wait();
      ++reached;
      if (over) return;
      for (const auto& learner : own) learner->descend(step, part);
    }
  };
  side_by_side(threads, [&](int thread) {
    std::int64_t reached = 0;
    try {
      all_of(thread, reached);
    } catch (...) {
      // The others end with the round that they are in, and wait for this thread no more.
      if (reached < rounds) failed[static_cast<std::size_t>(reached)] = true;
      everybody.arrive_and_drop();
      throw;
    }
  });
  Failure found;
  for (const Failure& one : each) {  // a loss before gradients
    if (one.agent < 0 || (found.agent >= 0 && (one.gradient || !found.gradient))) continue;
    found = one;
  }
  return found;
}

}  // namespace socialgrid::learning
