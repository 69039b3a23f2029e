// Work without the interpreter's lock.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace socialgrid::bindings {

// Releases the interpreter's lock for as long as it lives. A daemon thread that asks for the lock
// again while the interpreter ends does not get it: before Python 3.14 it is ended with
// pthread_exit, whose unwinding would abort the process in the first function that may not throw.
// Such a thread stays here instead, as Python 3.14 has it; the end of the process takes it along.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace socialgrid::bindings
