#include "given_recall.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "learning.hpp"
#include "lesson.hpp"
#include "recall.hpp"

namespace socialgrid::bindings {

using learning::Gathered;
using learning::Lesson;
using learning::Memory;
using learning::Recorded;
using learning::Seen;

namespace {

// Memories before the steps after `first`, of one agent; zeros where they are reset.
void keep(const Recorded& r, std::int64_t agent, std::int64_t first, const Memory& memory) {
  const std::int64_t hidden = memory.unroll.hidden;
  const float *h = memory.h.data(), *c = memory.c.data();
  const std::int64_t last = std::min(first + memory.unroll.steps, r.steps - 1);
  for (std::int64_t step = first + 1; step <= last; ++step) {
    for (std::int64_t env = 0; env < r.envs; ++env, h += hidden, c += hidden) {
      const std::int64_t row = r.row(step, env, agent);
      float* to = r.state_at(step, env, agent);
      if (r.flags[3 * row] != 0) {
        std::fill_n(to, r.state_size, 0.0f);
      } else {
        std::copy_n(c, hidden, std::copy_n(h, hidden, to));
      }
    }
  }
}

}  // namespace

bool Recalled::refresh(std::int64_t block, const Addresses& values, std::uintptr_t log_probs,
                       std::int64_t agents, Signals& signals, Gathered& desk) const {
  const Recorded& r = recorded;
  std::vector<std::int64_t> envs(static_cast<std::size_t>(r.envs));
  std::iota(envs.begin(), envs.end(), 0);
  // As even as may be: a short one has few cells for its tiles.
  const std::int64_t blocks = (r.steps + block - 1) / block;
  const std::int64_t even = blocks > 0 ? (r.steps + blocks - 1) / blocks : 1;
  learning::ReadyLayers ready;
  for (std::int64_t first = 0; first < r.steps; first += even) {
    if (signals.given_up()) return false;
    const std::vector<std::int64_t> starts(envs.size(), first);
    learning::Sequences s;
    s.starts = starts.data();
    s.envs = envs.data();
    s.count = r.envs;
    s.length = std::min(even, r.steps - first);
    gather(r, column, s, 0.0f, 0.0f, false, desk);
    Lesson lesson = network.of(agent, desk, s.length, s.count, r);
    if (first == 0) ready = learning::ready_layers(kernels, lesson.sight, false);
    lesson.sight.ready = &ready;
    Seen seen(kernels, lesson.sight, false);
    if (!seen.known()) return false;
    const Memory memory = remember(kernels, lesson, seen, false);
    keep(r, column, first, memory);
    const std::int64_t rows = s.length * s.count;
    for (std::size_t i = 0; i < values.size(); ++i) {
      value_rows(kernels, lesson.decisions[i].value, memory.h.data(), rows,
                 at<float>(values[i], r.row(first, 0, column)), r.agents);
    }
    if (log_probs == 0) continue;
    learning::Deciding deciding = lesson.decisions.front();
    deciding.core = memory.h.data();
    log_prob_rows(kernels, deciding, rows, at<float>(log_probs, first * r.envs * agents + agent),
                  agents);
  }
  return true;
}

bool Recalled::foresee(const GivenEnds& given, float* last, float* final, std::int64_t apart,
                       Gathered& desk) const {
  const Recorded& r = recorded;
  const auto& [ends_at, ends] = given;
  const std::int64_t count = r.envs + ends;
  const auto* index = at<const std::int64_t>(ends_at[1]);
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  desk.views.resize(size(2 * count * r.view));
  desk.reset.assign(size(2 * count), 0);
  desk.tokens.resize(size(2 * count * r.columns));
  desk.state.resize(size(count * r.state_size));
  for (std::int64_t i = 0; i < count; ++i) {
    const bool end = i >= r.envs;
    const std::int64_t other = (end ? i - r.envs : i) * r.agents + column;
    const std::int64_t step = end ? index[2 * (i - r.envs)] : r.steps - 1;
    const std::int64_t env = end ? index[2 * (i - r.envs) + 1] : i;
    const std::int64_t row = r.row(step, env, column);
    const std::uint8_t* views =
        end ? at<const std::uint8_t>(ends_at[2]) : r.views + r.row(r.steps, 0, 0) * r.view;
    const auto* tokens = at<const std::int16_t>(ends_at[end ? 3 : 0]);
    std::copy_n(r.views + row * r.view, r.view, desk.views.data() + i * r.view);
    std::copy_n(views + other * r.view, r.view, desk.views.data() + (count + i) * r.view);
    std::copy_n(r.tokens + row * r.columns, r.columns, desk.tokens.data() + i * r.columns);
    std::copy_n(tokens + other * r.columns, r.columns,
                desk.tokens.data() + (count + i) * r.columns);
    std::copy_n(r.state_at(step, env, column), r.state_size, desk.state.data() + i * r.state_size);
    desk.reset[size(i)] = r.flags[3 * row];
  }
  const Lesson lesson = network.of(agent, desk, 2, count, r);
  Seen seen(kernels, lesson.sight, false);
  if (!seen.known()) return false;
  const Memory memory = remember(kernels, lesson, seen, false);
  const float* after = memory.h.data() + count * memory.unroll.hidden;
  std::vector<float> values(size(count));
  for (std::size_t i = 0; i < lesson.decisions.size(); ++i) {
    value_rows(kernels, lesson.decisions[i].value, after, count, values.data(), 1);
    const auto place = static_cast<std::int64_t>(i);
    for (std::int64_t k = 0; k < r.envs; ++k) {
      last[(place * r.envs + k) * apart] = values[size(k)];
    }
    for (std::int64_t k = 0; k < ends; ++k) {
      final[(place * ends + k) * apart] = values[size(r.envs + k)];
    }
  }
  return true;
}

}  // namespace socialgrid::bindings
