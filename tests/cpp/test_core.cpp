// Checks of the core that Python cannot reach, or that should not need Python to run.
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "core/batch.hpp"
#include "core/rng.hpp"
#include "core/thread_pool.hpp"
#include "grid/distances.hpp"
#include "grid/grid_map.hpp"
#include "grid/visibility.hpp"

using namespace socialgrid;  // NOLINT(google-build-using-namespace)
using socialgrid::testing::contains;
using socialgrid::testing::message_of;

namespace {

void philox_gives_the_published_words() {
  using Words = std::array<std::uint32_t, 4>;
  CHECK(
      (philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  CHECK((philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
         Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

void uniform_int_reaches_every_value_equally() {
  StreamState state{.seed = 1};
  Rng rng(state);
  constexpr int kDraws = 70000;
  std::array<int, 7> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts[rng.uniform_int(7)];
  double chi_squared = 0;
  for (const int count : counts) {
    chi_squared += (count - kDraws / 7.0) * (count - kDraws / 7.0) / (kDraws / 7.0);
  }
  CHECK(chi_squared < 22.5);  // 99.9% of 6 degrees of freedom
}

void a_stream_continues_from_its_state() {
  StreamState whole{.seed = 5, .stream = 6, .episode = 7};
  StreamState parts = whole;
  Rng rng(whole);
  for (int i = 0; i < 11; ++i) {
    Rng fresh(parts);  // knows nothing but the state
    CHECK(rng.next_u32() == fresh.next_u32());
  }
}

void maps_name_line_and_column() {
  const auto error = [](const std::vector<std::string>& lines) {
    return message_of<std::invalid_argument>([&] { parse_map(lines, true); });
  };
  CHECK(contains(error({"###", "#x#", "###"}), "line 2, column 2"));
  CHECK(contains(error({"###", "#."}), "line 2"));
  CHECK(!error({}).empty());
  CHECK(parse_map({"#P.", "..#"}, true).spawns.size() == 6);
}

void a_pool_covers_everything_once_and_survives_errors() {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (int repeat = 0; repeat < 200; ++repeat) {
      std::vector<std::atomic<int>> visits(97);
      pool.parallel_for(visits.size(), 1, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t i = begin; i < end; ++i) ++visits[i];
      });
      for (const auto& count : visits) CHECK(count == 1);
      const std::string message = message_of<std::runtime_error>([&] {
        pool.parallel_for(97, 1, [](std::size_t begin, std::size_t end, int) {
          if (begin <= 50 && 50 < end) throw std::runtime_error("fifty");
        });
      });
      CHECK(message == "fifty");
      // Of several, the first one is told, which threads may come to last.
      const std::string first = message_of<std::runtime_error>([&] {
        pool.parallel_for(97, 1, [](std::size_t begin, std::size_t end, int) {
          if (begin <= 40 && 40 < end) std::this_thread::sleep_for(std::chrono::microseconds(200));
          for (const std::size_t bad : {40, 41, 57, 96}) {
            if (begin <= bad && bad < end) throw std::runtime_error(std::to_string(bad));
          }
        });
      });
      CHECK(first == "40");
    }
  }
}

void a_pool_wakes_nobody_for_little() {
  constexpr std::size_t kFew = 2 * ThreadPool::kSleeper - 1;
  ThreadPool pool(3);
  const auto ranges_of = [&](std::size_t count, std::size_t little) {
    std::atomic<std::size_t> items{0}, ranges{0}, others{0};
    pool.share_out(count, little, [&](std::size_t begin, std::size_t end, int thread) {
      items += end - begin;
      others += thread != 0 ? 1 : 0;
      ++ranges;
    });
    CHECK(items == count);
    if (ranges == 1) CHECK(others == 0);
    return ranges.load();
  };
  CHECK(ranges_of(0, 5) == 0);
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(ranges_of(kFew * 5, 5) == 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(ranges_of((kFew + 1) * 5, 5) > 1);
    // Work that follows at once is shared, too, but for the smallest.
    std::size_t tries = 0;
    while (ranges_of(kFew, 1) == 1) CHECK(++tries < 100000);
    CHECK(ranges_of(1, 1) == 1);
  }
}

// One lane, cell by cell, in the order of the rules.
void flood_one_slowly(const std::vector<std::uint32_t>& transparent,
                      std::vector<std::uint32_t>& seen, int row, int col) {
  const int size = static_cast<int>(transparent.size());
  const auto bit = [](int c) { return std::uint32_t{1} << c; };
  seen.assign(transparent.size(), 0);
  seen[static_cast<std::size_t>(row)] = bit(col);
  const auto visit = [&](int r, int c, int ahead, int side) {
    const auto at = static_cast<std::size_t>(r);
    if ((seen[at] & transparent[at] & bit(c)) == 0) return;
    const bool in_row = c + side >= 0 && c + side < size;
    if (in_row) seen[at] |= bit(c + side);
    if (r + ahead < 0 || r + ahead >= size) return;
    auto& next = seen[static_cast<std::size_t>(r + ahead)];
    next |= bit(c);
    if (in_row) next |= bit(c + side);
  };
  const auto sweep = [&](int r, int ahead) {
    for (int c = col; c < size; ++c) visit(r, c, ahead, 1);
    for (int c = col + 1; c > 0; --c) visit(r, c, ahead, -1);
  };
  for (int r = row + 1 < size ? row + 1 : row; r > 0; --r) sweep(r, -1);
  for (int r = row; r < size; ++r) sweep(r, 1);
}

void sight_agrees_with_the_slow_flood_in_every_lane() {
  StreamState state{.seed = 2};
  Rng rng(state);
  for (int size = 3; size <= 31; size += 2) {
    for (int trial = 0; trial < 60; ++trial) {
      const int row = static_cast<int>(rng.uniform_int(static_cast<std::uint32_t>(size)));
      std::vector<RowMasks<4>> transparent(static_cast<std::size_t>(size)),
          seen(transparent.size());
      for (auto& masks : transparent) {
        for (std::uint32_t& mask : masks) {
          mask = (rng.next_u32() | rng.next_u32()) & ((std::uint32_t{1} << size) - 1);
        }
      }
      flood_visible(transparent.data(), seen.data(), size, row, size / 2);
      for (std::size_t lane = 0; lane < 4; ++lane) {
        std::vector<std::uint32_t> open, expected;
        for (const auto& masks : transparent) open.push_back(masks[lane]);
        flood_one_slowly(open, expected, row, size / 2);
        for (std::size_t r = 0; r < expected.size(); ++r) CHECK(seen[r][lane] == expected[r]);
      }
    }
  }
}

void distances_count_turns_and_steps() {
  const std::vector<std::uint8_t> corridor(5, 1);
  std::vector<std::int32_t> distances(20);
  action_distances(corridor, 1, 5, {0, 4}, distances);
  const auto from = [&](int dir, int col) {
    return distances[static_cast<std::size_t>(dir * 5 + col)];
  };
  CHECK(from(0, 0) == 4);  // looking along the corridor
  CHECK(from(1, 0) == 5);  // one turn first
  CHECK(from(2, 0) == 6);  // looking back: two turns
  CHECK(from(0, 4) == 6);  // on the target: turn round, leave, turn round, come back
}

// Everything a batch's step writes, in memory of its own.
struct Results {
  std::vector<std::byte> obs, final_obs;
  std::vector<float> reward;
  std::vector<std::uint8_t> terminated, truncated, done, active, visible;
  std::vector<std::int32_t> last_actions;

  explicit Results(const BatchEnv& batch) {
    const std::size_t envs = batch.num_envs(), rows = envs * batch.num_agents();
    obs.resize(rows * batch.observer().bytes_per_agent());
    final_obs.resize(obs.size());
    reward.resize(rows);
    terminated.resize(rows);
    truncated.resize(rows);
    done.resize(envs);
    active.resize(rows);
    visible.resize(rows * batch.num_agents());
    last_actions.resize(rows);
  }
  ObserveBuffers observe() {
    return {obs.data(), active.data(), visible.data(), last_actions.data()};
  }
  StepBuffers step() {
    return {obs.data(),       reward.data(), terminated.data(), truncated.data(),   done.data(),
            final_obs.data(), active.data(), visible.data(),    last_actions.data()};
  }
};

void a_failed_step_leaves_the_whole_batch_as_it_was() {
  for (const int threads : {1, 3}) {
    const auto game = make_game("GoalCycle-v0", {});
    BatchEnv batch(game, 200, threads, 3, 0, ObsMode::kRgb);
    BatchEnv twin(game, 200, threads, 3, 0, ObsMode::kRgb);
    Results results(batch);
    const std::vector<std::int32_t> forward(200 * 3, 2);
    batch.reset(results.observe());
    twin.reset(results.observe());
    const std::vector<std::byte> before = batch.snapshot();
    batch.inject_failure(120);
    const std::string message =
        message_of<EnvStepError>([&] { batch.step(forward, results.step()); });
    CHECK(contains(message, "environment 120"));
    CHECK(batch.snapshot() == before);
    batch.step(forward, results.step());
    twin.step(forward, results.step());
    CHECK(batch.snapshot() == twin.snapshot());
  }
}

void damaged_snapshots_are_refused() {
  const auto game = make_game("DoorKey-v0", {});
  BatchEnv batch(game, 3, 1, 0, 0, ObsMode::kRgb);
  Results results(batch);
  batch.reset(results.observe());
  const std::vector<std::byte> good = batch.snapshot();
  for (std::size_t size = 0; size < good.size(); size += 13) {
    CHECK(!message_of<SnapshotError>([&] {
             batch.restore(std::span<const std::byte>(good).first(size));
           }).empty());
  }
  for (std::size_t at = 0; at < good.size(); at += 7) {
    std::vector<std::byte> bad = good;
    bad[at] ^= std::byte{0x10};
    CHECK(!message_of<SnapshotError>([&] { batch.restore(bad); }).empty());
  }
  CHECK(batch.snapshot() == good);
  batch.restore(good);
  CHECK(batch.snapshot() == good);
}

void options_are_checked_by_name_type_and_range() {
  const auto error = [](const Values& values) {
    return message_of<ConfigError>([&] { make_game("GoalCycle-v0", values); });
  };
  CHECK(contains(error({{"num_goal", 3}}), "num_goals"));
  CHECK(contains(error({{"num_goals", 11}}), "1 to 10"));
  CHECK(contains(error({{"num_goals", "three"}}), "integer"));
  CHECK(contains(error({{"grid_size", 5}, {"num_clutter", 9}}), "too small"));
  CHECK(contains(message_of<ConfigError>([] { make_game("GoalCycle", {}); }), "GoalCycle-v0"));
  CHECK(error({{"num_goals", 2}}).empty());
}

}  // namespace

int main() {
  philox_gives_the_published_words();
  uniform_int_reaches_every_value_equally();
  a_stream_continues_from_its_state();
  maps_name_line_and_column();
  a_pool_covers_everything_once_and_survives_errors();
  a_pool_wakes_nobody_for_little();
  sight_agrees_with_the_slow_flood_in_every_lane();
  distances_count_turns_and_steps();
  a_failed_step_leaves_the_whole_batch_as_it_was();
  damaged_snapshots_are_refused();
  options_are_checked_by_name_type_and_range();
  return socialgrid::testing::outcome();
}
