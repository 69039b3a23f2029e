#include "core/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "core/cores.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace socialgrid {
namespace {

void pause_briefly() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// A step often follows the last within microseconds; waking a sleeping thread would take longer.
constexpr auto kSpinTime = std::chrono::microseconds(50);

template <typename Condition>
bool spin_until(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + kSpinTime;
  for (int i = 1; !condition(); ++i) {
    pause_briefly();
    if (i % 64 == 0 && std::chrono::steady_clock::now() > end) return condition();
  }
  return true;
}

// The C library makes a thread's memory for exceptions when it throws its first, and ends the
// process if there is none left by then. So each thread throws one before it is needed.
void make_ready_to_throw() {
  try {
    throw std::exception();
  } catch (const std::exception&) {
  }
}

}  // namespace

ThreadPool::ThreadPool(int num_threads)
    : num_threads_(num_threads > 0 ? num_threads : usable_cores()) {
  workers_.reserve(static_cast<std::size_t>(num_threads_));
  try {
    for (int thread = 1; thread < num_threads_; ++thread) {
      workers_.emplace_back([this, thread] { worker(thread); });
    }
  } catch (const std::system_error& error) {
    const std::size_t started = workers_.size() + 1;
    stop();
    throw std::runtime_error("only " + std::to_string(started) + " of " +
                             std::to_string(num_threads_) +
                             " threads could be started: " + error.what());
  } catch (...) {
    stop();  // a thread that runs on when its handle is destroyed ends the process
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::parallel_for(std::size_t count, std::size_t share, const RangeFn& fn) {
  const std::size_t shares = (count + share - 1) / share;
  run(count, share, std::min(shares, static_cast<std::size_t>(num_threads_)), fn);
}

void ThreadPool::share_out(std::size_t count, std::size_t little, const RangeFn& fn) {
  if (num_threads_ == 1) {
    if (count > 0) fn(0, count, 0);
    return;
  }
  // Calls come by twos and threes between others' long work, too; these are not to wake anybody.
  constexpr int kManyAtOnce = 8;
  const bool at_once = std::chrono::steady_clock::now() - ended_ < kSpinTime;
  at_once_ = at_once ? std::min(at_once_ + 1, kManyAtOnce) : 0;
  const std::size_t least = at_once_ == kManyAtOnce ? little : kSleeper * little;
  run(count, little, std::min(count / least, static_cast<std::size_t>(num_threads_)), fn);
  ended_ = std::chrono::steady_clock::now();
}

// In so many threads.
void ThreadPool::run(std::size_t count, std::size_t share, std::size_t threads, const RangeFn& fn) {
  if (threads <= 1) {
    if (count > 0) fn(0, count, 0);
    return;
  }
  const auto job = std::make_shared<Job>();
  job->fn = &fn;
  job->count = count;
  // Several ranges a thread even out their lengths.
  job->grain = std::max(share, count / (threads * 8));
  job->remaining = count;
  job->failed = count;
  {
    const std::lock_guard lock(mutex_);
    job_ = job;
    ++generation_;
  }
  for (std::size_t i = 1; i < threads; ++i) wake_.notify_one();
  work_on(*job, 0);
  while (!spin_until([&] { return job->remaining.load(std::memory_order_acquire) == 0; })) {
    std::this_thread::yield();
  }
  if (job->error) std::rethrow_exception(job->error);
}

void ThreadPool::work_on(Job& job, int thread) {
  for (;;) {
    const std::size_t begin = job.next.fetch_add(job.grain, std::memory_order_relaxed);
    if (begin >= job.count) return;
    const std::size_t end = std::min(begin + job.grain, job.count);
    if (begin < job.failed.load(std::memory_order_relaxed)) {
      try {
        (*job.fn)(begin, end, thread);
      } catch (...) {
        const std::lock_guard lock(job.error_mutex);
        if (begin < job.failed.load(std::memory_order_relaxed)) {
          job.error = std::current_exception();
          job.failed.store(begin, std::memory_order_relaxed);
        }
      }
    }
    job.remaining.fetch_sub(end - begin, std::memory_order_acq_rel);
  }
}

void ThreadPool::worker(int thread) {
  make_ready_to_throw();
  std::uint64_t seen = 0;
  const auto called = [&] {
    return stopping_.load(std::memory_order_acquire) ||
           generation_.load(std::memory_order_acquire) != seen;
  };
  for (;;) {
    spin_until(called);
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, called);
      if (stopping_) return;
      seen = generation_;
      job = job_;
    }
    work_on(*job, thread);
  }
}

BackgroundTask::~BackgroundTask() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void BackgroundTask::start(std::function<void()> task) {
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { loop(); });
    } catch (const std::system_error& error) {
      throw std::runtime_error(
          std::string("no thread could be started to step in the background: ") + error.what());
    }
  }
  {
    const std::lock_guard lock(mutex_);
    task_ = std::move(task);
    error_ = nullptr;
    running_ = true;
  }
  changed_.notify_all();
}

bool BackgroundTask::wait(int milliseconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(milliseconds),
                           [this] { return !running_; });
}

void BackgroundTask::collect() {
  const std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void BackgroundTask::loop() {
  make_ready_to_throw();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || running_; });
    if (running_) {
      const std::function<void()> task = std::exchange(task_, nullptr);
      lock.unlock();
      std::exception_ptr error;
      try {
        task();
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      error_ = error;
      running_ = false;
      changed_.notify_all();
    } else if (stopping_) {
      return;
    }
  }
}

}  // namespace socialgrid
