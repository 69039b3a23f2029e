// Random games, configurations and play for sanitizer runs: stress --seconds N --seed S [--only I]
//
// Scenario I depends on (seed, I) alone, so a failure is repeated with --only. Several scenarios
// run at once.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "stress/scenarios.hpp"

namespace {

using namespace socialgrid::stress;  // NOLINT(google-build-using-namespace)

void run_scenario(std::uint64_t seed, std::uint64_t scenario) {
  Dice dice(seed, scenario);
  const int kind = dice.between(0, 9);
  if (kind == 0) return share_out_work(dice);
  if (kind == 1) return leave_a_task_running(dice);
  if (kind == 2) return measure_distances(dice);
  if (kind == 3) return go_on_an_excursion(dice);
  play(dice);
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = 10.0;
  std::uint64_t seed = 1;
  std::optional<std::uint64_t> only;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    char* end = nullptr;
    const char* text = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--seconds") seconds = std::strtod(text, &end);
    if (name == "--seed") seed = std::strtoull(text, &end, 10);
    if (name == "--only") only = std::strtoull(text, &end, 10);
    if (end == nullptr || end == text || *end != '\0') {
      std::fprintf(stderr, "usage: stress [--seconds N] [--seed S] [--only SCENARIO]\n");
      return 2;
    }
  }

  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  std::atomic<std::uint64_t> next{only.value_or(0)};
  std::atomic<bool> failed{false};
  const auto drive = [&] {
    while (!failed) {
      const std::uint64_t scenario = next++;
      if (only ? scenario > *only : std::chrono::steady_clock::now() > deadline) return;
      try {
        run_scenario(seed, scenario);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "scenario %llu: %s\nrepeat: stress --seed %llu --only %llu\n",
                     static_cast<unsigned long long>(scenario), error.what(),
                     static_cast<unsigned long long>(seed),
                     static_cast<unsigned long long>(scenario));
        failed = true;
      }
      ++counts.scenarios;
    }
  };
  std::vector<std::thread> drivers;
  for (int i = 0; i < (only ? 1 : 3); ++i) drivers.emplace_back(drive);
  for (std::thread& driver : drivers) driver.join();

  const auto print = [](const char* name, const std::atomic<std::uint64_t>& count) {
    std::printf("%12llu %s\n", static_cast<unsigned long long>(count.load()), name);
  };
  print("scenarios", counts.scenarios);
  print("configurations refused", counts.refused);
  print("environment steps", counts.steps);
  print("exceptions in workers", counts.faults);
  print("snapshots restored", counts.snapshots);
  print("choices of scripted players", counts.choices);
  print("damaged snapshots", counts.damaged);
  print("forged snapshots", counts.forged);
  print("layouts moved", counts.layouts);
  print("episodes that could not be placed", counts.stopped);
  return failed ? 1 : 0;
}
