// Threads that share out ranges of work, and one that runs a task in the background.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace socialgrid {

// Calls fn(begin, end, thread) on ranges that cover [0, count). The calling thread works too, as
// thread 0; workers claim further ranges until none is left. When a call throws, no further range is
// begun, and the first exception reaches the caller after all threads have stopped. The pool stays
// usable. One parallel_for at a time.
class ThreadPool {
 public:
  using RangeFn = std::function<void(std::size_t begin, std::size_t end, int thread)>;

  // 0 threads: as many as the machine has cores.
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return num_threads_; }
  void parallel_for(std::size_t count, const RangeFn& fn);

 private:
  void worker(int thread);
  void claim_ranges(int thread);

  int num_threads_;
  std::vector<std::thread> workers_;

  const RangeFn* fn_ = nullptr;  // the work at hand, valid while busy_ workers run
  std::size_t count_ = 0;
  std::size_t grain_ = 1;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::exception_ptr error_;
  std::mutex error_mutex_;

  std::atomic<std::uint64_t> generation_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stopping_{false};
  std::mutex wake_mutex_;
  std::condition_variable wake_;
};

// Runs one task at a time on a thread of its own, which is started with the first task.
class BackgroundTask {
 public:
  BackgroundTask() = default;
  ~BackgroundTask();
  BackgroundTask(const BackgroundTask&) = delete;
  BackgroundTask& operator=(const BackgroundTask&) = delete;

  void start(std::function<void()> task);
  // Waits up to `milliseconds`; says whether the task is finished.
  bool wait(int milliseconds);
  // To be called once after wait() returned true: throws what the task threw.
  void collect();

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> task_;
  std::exception_ptr error_;
  bool running_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace socialgrid
