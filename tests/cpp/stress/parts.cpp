#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/thread_pool.hpp"
#include "grid/distances.hpp"
#include "stress/scenarios.hpp"

namespace socialgrid::stress {

void share_out_work(Dice& dice) {
  ThreadPool pool(dice.between(1, 8));
  for (int round = dice.between(0, 30); round > 0; --round) {
    std::vector<std::atomic<int>> visits(dice.below(300));
    const auto share = static_cast<std::size_t>(dice.between(1, 40));
    const std::size_t culprit =
        dice.chance(0.3) && !visits.empty() ? dice.below(visits.size()) : visits.size();
    const auto visit = [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; ++i) {
        if (i == culprit) throw std::runtime_error("culprit");
        ++visits[i];
      }
    };
    if (culprit < visits.size()) {
      check_throws<std::runtime_error>([&] { pool.parallel_for(visits.size(), share, visit); },
                                       "an exception of a worker was lost");
      ++counts.faults;
    } else {
      pool.parallel_for(visits.size(), share, visit);
      for (const auto& count : visits) check(count == 1, "an index was not visited exactly once");
    }
  }
}

void leave_a_task_running(Dice& dice) {
  std::atomic<bool> finished{false};
  const bool throws = dice.chance(0.3);
  {
    BackgroundTask task;
    task.start([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      finished = true;
      if (throws) throw std::runtime_error("nobody listens");
    });
    if (dice.chance(0.5)) task.wait(0);
  }
  check(finished, "a task was destroyed while it ran");
}

void measure_distances(Dice& dice) {
  const int rows = dice.between(1, 20), cols = dice.between(1, 20);
  std::vector<std::uint8_t> passable(static_cast<std::size_t>(rows * cols));
  for (auto& cell : passable) cell = dice.chance(0.7) ? 1 : 0;
  std::vector<std::int32_t> distances(4 * passable.size());
  const Position target{dice.between(0, rows - 1), dice.between(0, cols - 1)};
  action_distances(passable, rows, cols, target, distances);
  for (const std::int32_t d : distances) check(d == -1 || d >= 1, "a distance below 1");
}

}  // namespace socialgrid::stress
