// Threads that are started for one piece of work.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace socialgrid::learning {

// The C library makes a thread's memory for exceptions when it throws its first, and ends the
// process if there is none left by then. So each thread throws one before it is needed.
inline void make_ready_to_throw() {
  try {
    throw std::exception();
  } catch (const std::exception&) {
  }
}

// Calls work(0), ..., work(threads - 1) side by side, work(0) on the calling thread. None of them
// begins before every thread has been started, and all have ended when this returns or throws.
//
// Throws std::runtime_error, or std::bad_alloc, where a thread cannot be started: then no work was
// begun. What work throws reaches the caller; of several, the lowest thread's.
template <typename Work>
void side_by_side(int threads, const Work& work) {
  if (threads <= 1) return work(0);
  enum { kWait, kGo, kLeave };
  std::atomic<int> signal{kWait};
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(threads));
  std::vector<std::thread> others;
  others.reserve(static_cast<std::size_t>(threads) - 1);
  const auto one = [&](int thread) {
    try {
      work(thread);
    } catch (...) {
      errors[static_cast<std::size_t>(thread)] = std::current_exception();
    }
  };
  const auto let = [&](int what) {
    signal = what;
    signal.notify_all();
  };
  const auto join = [&] {
    for (std::thread& other : others) other.join();
  };
  try {
    for (int thread = 1; thread < threads; ++thread) {
      others.emplace_back([&, thread] {
        make_ready_to_throw();
        signal.wait(kWait);
        if (signal == kGo) one(thread);
      });
    }
  } catch (const std::system_error& error) {
    let(kLeave);
    join();
    throw std::runtime_error("only " + std::to_string(others.size() + 1) + " of " +
                             std::to_string(threads) +
                             " threads could be started: " + error.what());
  } catch (...) {
    let(kLeave);
    join();
    throw;
  }
  let(kGo);
  one(0);
  join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace socialgrid::learning
