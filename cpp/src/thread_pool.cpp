#include "socialgrid/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

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

}  // namespace

ThreadPool::ThreadPool(int num_threads)
    : num_threads_(num_threads > 0
                       ? num_threads
                       : std::max(1, static_cast<int>(std::thread::hardware_concurrency()))) {
  for (int thread = 1; thread < num_threads_; ++thread) {
    workers_.emplace_back([this, thread] { worker(thread); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(wake_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::parallel_for(std::size_t count, const RangeFn& fn) {
  fn_ = &fn;
  count_ = count;
  // Eight ranges a thread even out their lengths.
  grain_ = std::max<std::size_t>(1, count / (static_cast<std::size_t>(num_threads_) * 8));
  next_.store(0, std::memory_order_relaxed);
  failed_.store(false, std::memory_order_relaxed);
  error_ = nullptr;
  if (!workers_.empty()) {
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    {
      const std::lock_guard lock(wake_mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
  }
  claim_ranges(0);
  while (!spin_until([this] { return busy_.load(std::memory_order_acquire) == 0; })) {
    std::this_thread::yield();
  }
  fn_ = nullptr;
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::claim_ranges(int thread) {
  while (!failed_.load(std::memory_order_relaxed)) {
    const std::size_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
    if (begin >= count_) return;
    try {
      (*fn_)(begin, std::min(begin + grain_, count_), thread);
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
      failed_.store(true, std::memory_order_relaxed);
    }
  }
}

void ThreadPool::worker(int thread) {
  std::uint64_t seen = 0;
  const auto called = [&] { return stopping_ || generation_.load(std::memory_order_acquire) != seen; };
  for (;;) {
    if (!spin_until(called)) {
      std::unique_lock lock(wake_mutex_);
      wake_.wait(lock, called);
    }
    if (stopping_) return;
    seen = generation_.load(std::memory_order_acquire);
    claim_ranges(thread);
    busy_.fetch_sub(1, std::memory_order_acq_rel);
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
  {
    const std::lock_guard lock(mutex_);
    task_ = std::move(task);
    error_ = nullptr;
    running_ = true;
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
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
