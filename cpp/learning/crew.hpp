// Threads that work side by side.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "meeting.hpp"

namespace socialgrid::learning {

// The C library makes a thread's memory for exceptions when it throws its first, and ends the
// process if there is none left by then. So each thread throws one before it is needed.
inline void make_ready_to_throw() {
  try {
    throw std::exception();
  } catch (const std::exception&) {
  }
}

// The calling thread and some more, which stay from one piece of work to the next.
class Crew {
 public:
  // Throws std::runtime_error, or std::bad_alloc, where a thread cannot be started.
  explicit Crew(int threads) : parts_(threads > 1 ? static_cast<std::size_t>(threads) : 1) {
    try {
      others_.reserve(parts_.size() - 1);
      for (int thread = 1; thread < threads; ++thread) {
        others_.emplace_back([this, thread] { stay(thread); });
      }
    } catch (const std::system_error& error) {
      leave();
      throw std::runtime_error("only " + std::to_string(others_.size() + 1) + " of " +
                               std::to_string(threads) +
                               " threads could be started: " + error.what());
    } catch (...) {
      leave();
      throw;
    }
  }
  ~Crew() { leave(); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  int threads() const { return static_cast<int>(parts_.size()); }
  // Of so many things, shared among the threads, the first one that is a thread's.
  std::int64_t first(std::int64_t count, int thread) const { return count * thread / threads(); }

  // Calls work(0), ..., work(threads - 1) side by side, work(0) on the calling thread; all have
  // ended when this returns or throws. What work throws reaches the caller; of several, the lowest
  // thread's.
  template <typename Work>
  void work(const Work& work) {
    if (others_.empty()) return work(0);
    open(work);
    round_.notify_all();
    one(0);
    close();
  }

  // The same for short pieces of which it does not matter who does them: threads that sleep are not
  // woken, and what no other has begun by then is the calling thread's.
  template <typename Work>
  void offer(const Work& work) {
    if (others_.empty()) return work(0);
    open(work);
    one(0);
    for (int thread = 1; thread < threads(); ++thread) take(thread);
    close();
  }

 private:
  struct Part {
    std::atomic<bool> open{false};  // nobody has begun it
    std::exception_ptr error;
  };

  template <typename Work>
  void open(const Work& work) {
    with_ = &work;
    call_ = [](const void* with, int thread) { (*static_cast<const Work*>(with))(thread); };
    working_ = static_cast<int>(others_.size());
    for (std::size_t i = 1; i < parts_.size(); ++i) parts_[i].open = true;
    ++round_;
  }

  void one(int thread) {
    try {
      call_(with_, thread);
    } catch (...) {
      parts_[static_cast<std::size_t>(thread)].error = std::current_exception();
    }
  }

  // Does a part that nobody has begun.
  void take(int thread) {
    if (!parts_[static_cast<std::size_t>(thread)].open.exchange(false)) return;
    one(thread);
    if (working_.fetch_sub(1) == 1) working_.notify_one();
  }

  void close() {
    for (int left = working_; left != 0; left = working_) wait_while(working_, left);
    std::exception_ptr first;
    for (Part& part : parts_) {
      if (part.error && !first) first = part.error;
      part.error = nullptr;
    }
    if (first) std::rethrow_exception(first);
  }

  void stay(int thread) {
    make_ready_to_throw();
    for (int round = 0;;) {
      wait_while(round_, round);
      round = round_;  // of which some may have been missed
      if (over_) return;
      take(thread);
    }
  }

  void leave() {
    over_ = true;
    ++round_;
    round_.notify_all();
    for (std::thread& other : others_) other.join();
  }

  std::vector<std::thread> others_;
  std::vector<Part> parts_;  // of each thread
  const void* with_ = nullptr;
  void (*call_)(const void*, int) = nullptr;
  std::atomic<int> round_{0}, working_{0};
  std::atomic<bool> over_{false};
};

// Threads that so many pieces of work are shared among.
inline int threads_for(std::int64_t pieces, int threads) {
  return static_cast<int>(std::clamp<std::int64_t>(pieces, 1, std::max(threads, 1)));
}

// One piece of work for so many threads, see Crew. None of them begins before every thread has been
// started: where one cannot be, no work was begun.
template <typename Work>
void side_by_side(int threads, const Work& work) {
  if (threads <= 1) return work(0);
  Crew(threads).work(work);
}

}  // namespace socialgrid::learning
