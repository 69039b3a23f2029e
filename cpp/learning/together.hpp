// Agents who take steps side by side, shared among threads. Results do not depend on the threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "crew.hpp"
#include "meeting.hpp"

namespace socialgrid::learning {

// What a step of an agent came to.
enum class Outcome { fine, loss, gradient };  // what is not finite

// What stopped being finite, in which step, in which part of it and of whom.
struct Failure {
  std::int64_t step = -1, agent = -1;  // -1: nothing did
  std::int64_t part = 0;
  bool gradient = false;  // otherwise the loss
};

// Agents and the threads of a crew that they are shared among. Every thread has a desk, which its
// agents work at one after the other; an agent is a Learner:
//   Outcome differentiate(std::int64_t step, std::int64_t part);
//   void descend(std::int64_t step, std::int64_t part);
template <typename Desk, typename Learner>
class Together {
 public:
  // Desks and learners come from desk_of() and learner_of(agent, desk), unique pointers; what those
  // throw reaches the caller.
  template <typename MakeDesk, typename MakeLearner>
  Together(Crew& crew, std::int64_t count, const MakeDesk& desk_of, const MakeLearner& learner_of)
      : crew_(crew),
        threads_(threads_for(count, crew.threads())),
        desks_(static_cast<std::size_t>(threads_)),
        learners_(static_cast<std::size_t>(count)) {
    crew_.work([&](int thread) {
      if (thread >= threads_) return;
      auto& desk = desks_[static_cast<std::size_t>(thread)];
      desk = desk_of();
      for (std::int64_t a = first(thread); a < first(thread + 1); ++a) of(a) = learner_of(a, *desk);
    });
  }

  // Lets all take so many steps of so many parts each. In each part nobody moves before everybody
  // has a gradient, and nobody does so, nor goes on, where somebody's loss or gradient is not
  // finite. The same where one of them throws before it moves (there is no memory, say), which
  // reaches the caller: then all have taken the same steps.
  Failure step(std::int64_t steps, std::int64_t parts) {
    const std::int64_t rounds = steps * parts;
    std::vector<std::atomic<bool>> failed(static_cast<std::size_t>(rounds));
    std::vector<Failure> each(learners_.size());
    Meeting everybody(threads_);
    const auto meet = [&] {
      if (threads_ > 1) everybody.meet([] {});
    };
    // `reached` is the round whose end the thread waits for next.
    const auto all_of = [&](int thread, std::int64_t& reached) {
      while (reached < rounds) {
        const std::int64_t step = reached / parts, part = reached % parts;
        std::atomic<bool>& over = failed[static_cast<std::size_t>(reached)];
        for (std::int64_t a = first(thread); a < first(thread + 1); ++a) {
          const Outcome found = of(a)->differentiate(step, part);
          if (found == Outcome::fine) continue;
          each[static_cast<std::size_t>(a)] = {step, a, part, found == Outcome::gradient};
          over = true;
        }
        meet();
        ++reached;
        if (over) return;
        for (std::int64_t a = first(thread); a < first(thread + 1); ++a) of(a)->descend(step, part);
      }
    };
    crew_.work([&](int thread) {
      if (thread >= threads_) return;
      std::int64_t reached = 0;
      try {
        all_of(thread, reached);
      } catch (...) {
        if (reached < rounds) {  // with which it ends for the others, too
          failed[static_cast<std::size_t>(reached)] = true;
          meet();
        }
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

 private:
  std::int64_t first(int thread) const {
    return static_cast<std::int64_t>(learners_.size()) * thread / threads_;
  }
  std::unique_ptr<Learner>& of(std::int64_t agent) {
    return learners_[static_cast<std::size_t>(agent)];
  }

  Crew& crew_;
  const int threads_;
  std::vector<std::unique_ptr<Desk>> desks_;
  std::vector<std::unique_ptr<Learner>> learners_;
};

}  // namespace socialgrid::learning
