// Threads that share out ranges of work, and one that runs a task in the background.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace socialgrid {

// Shares [0, count) out in ranges. The calling thread works too, as thread 0; workers claim further
// ranges until none is left. When a call throws, no range behind it is begun any more, and after
// all others have ended, what the first of those ranges that failed threw reaches the caller,
// whatever the threads. The pool stays usable. One parallel_for at a time.
class ThreadPool {
 public:
  using RangeFn = std::function<void(std::size_t begin, std::size_t end, int thread)>;

  // 0 threads: as many as usable_cores(). Throws std::runtime_error if the system does not
  // grant them.
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return num_threads_; }

  // Calls fn(begin, end, thread) on ranges that cover [0, count), each of at least `share` items
  // but the last: less would not be worth another thread.
  void parallel_for(std::size_t count, std::size_t share, const RangeFn& fn);

  // The same in as many threads as pay, for work of which `little` items take some 5 us. Workers
  // that were called a moment ago again and again wait awake, and that much is worth each of them.
  // To wake one takes longer than that: without kSleeper times as much for each, it pays for none.
  void share_out(std::size_t count, std::size_t little, const RangeFn& fn);
  static constexpr std::size_t kSleeper = 10;

 private:
  // One parallel_for. A worker that wakes late holds on to an old job and finds nothing in it.
  struct Job {
    const RangeFn* fn;
    std::size_t count;
    std::size_t grain;
    std::atomic<std::size_t> next{0};    // first item not yet claimed
    std::atomic<std::size_t> remaining;  // items of ranges that have not ended
    std::atomic<std::size_t> failed;     // where the first range begins that has; count: none
    std::mutex error_mutex;
    std::exception_ptr error;  // that one's
  };

  void stop();
  void run(std::size_t count, std::size_t share, std::size_t threads, const RangeFn& fn);
  void worker(int thread);
  static void work_on(Job& job, int thread);

  int num_threads_;
  // Of share_out(): calls that each came right after the one before, and when the last one ended.
  int at_once_ = 0;
  std::chrono::steady_clock::time_point ended_{};
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::shared_ptr<Job> job_;                  // guarded by mutex_
  std::atomic<std::uint64_t> generation_{0};  // number of jobs so far; written under mutex_
  std::atomic<bool> stopping_{false};
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
