// Threads that wait for each other between short pieces of work.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

namespace socialgrid::learning {

// Where all of some threads meet, again and again. Who comes early looks about for a while before
// it sleeps: others are often microseconds away, and to be woken takes longer than that.
class Meeting {
 public:
  explicit Meeting(int threads) : threads_(threads) {}

  // Returns once all are there; the last to come calls last(), which must not throw, before.
  template <typename Last>
  void meet(const Last& last) {
    const int round = round_;
    if (there_.fetch_add(1) + 1 == threads_) {
      there_ = 0;
      last();
      round_ = round + 1;
      round_.notify_all();
      return;
    }
    const auto enough = Clock::now() + kPatience;
    while (round_ == round) {
      if (Clock::now() < enough) {
        std::this_thread::yield();
      } else {
        round_.wait(round);
      }
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::microseconds kPatience{100};

  const int threads_;
  std::atomic<int> there_{0}, round_{0};
};

}  // namespace socialgrid::learning
