// Work without the interpreter's lock.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <thread>
#include <utility>

namespace socialgrid::bindings {

// Releases the interpreter's lock for as long as it lives. A daemon thread that asks for the lock
// again while the interpreter ends does not get it: before Python 3.14 it is ended with
// pthread_exit, whose unwinding would abort the process in the first function that may not throw.
// Such a thread stays here instead, as Python 3.14 has it; the end of the process takes it along.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() { lock(); }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

  // Answers the signals that have come, as Python does between steps of its own. Returns what their
  // handlers raised, if anything. For the thread that released the lock.
  std::exception_ptr answer_signals() {
    std::exception_ptr raised;
    locked([&] {
      if (PyErr_CheckSignals() == 0) return;
      try {
        raised = std::make_exception_ptr(pybind11::error_already_set());
      } catch (...) {  // what was raised is not of the class that it says
        raised = std::current_exception();
      }
    });
    return raised;
  }

  // Does something with the interpreter's lock, which must not throw. For that thread, too.
  template <typename Work>
  void locked(const Work& work) {
    lock();
    work();
    state_ = PyEval_SaveThread();
  }

 private:
  void lock() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }

  PyThreadState* state_;
};

// Lets a handler of signals end a long call, in which several threads may work.
class Signals {
 public:
  explicit Signals(Unlocked& unlocked) : unlocked_(unlocked) {}

  // The same where handlers need not raise anything: `stop`, asked after them with the
  // interpreter's lock, says whether to give up.
  Signals(Unlocked& unlocked, std::function<bool()> stop)
      : unlocked_(unlocked), stop_(std::move(stop)) {}

  // Whether to give up; every thread asks this often. The one that made this answers signals
  // meanwhile.
  bool given_up() {
    if (!given_up_ && std::this_thread::get_id() == caller_ && Clock::now() >= next_) {
      raised_ = unlocked_.answer_signals();
      next_ = Clock::now() + kPause;
      if (!raised_ && stop_) unlocked_.locked([this] { ask(); });
      given_up_ = raised_ != nullptr || stopped_;
    }
    return given_up_;
  }

  // After all threads have ended: throws what a handler raised.
  void rethrow() const {
    if (raised_) std::rethrow_exception(raised_);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kPause{50};

  void ask() {
    try {
      stopped_ = stop_();
    } catch (...) {
      raised_ = std::current_exception();
    }
  }

  Unlocked& unlocked_;
  const std::thread::id caller_ = std::this_thread::get_id();
  Clock::time_point next_ = Clock::now() + kPause;
  std::function<bool()> stop_;
  bool stopped_ = false;
  std::exception_ptr raised_;
  std::atomic<bool> given_up_{false};
};

}  // namespace socialgrid::bindings
