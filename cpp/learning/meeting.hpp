// Threads that wait for each other between short pieces of work.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

namespace socialgrid::learning {

// Returns once a number is no longer what it was. Looks about for a while before it sleeps, to be
// notified: what changes it is often microseconds away, and to be woken takes longer than that.
inline void wait_while(const std::atomic<int>& number, int old) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::microseconds kPatience{100};
  const auto enough = Clock::now() + kPatience;
  while (number == old) {
    if (Clock::now() < enough) {
      std::this_thread::yield();
    } else {
      number.wait(old);
    }
  }
}

// Where all of some threads meet, again and again.
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
    wait_while(round_, round);
  }

 private:
  const int threads_;
  std::atomic<int> there_{0}, round_{0};
};

}  // namespace socialgrid::learning
