#include "recorded.hpp"

#include <algorithm>
#include <cstddef>

namespace socialgrid::learning {
namespace {

template <typename T>
T* sized(std::vector<T>& x, std::int64_t count) {
  x.resize(static_cast<std::size_t>(count));
  return x.data();
}

// What a model of others learns from.
void gather_others(const Recorded& r, std::int64_t agent, const Sequences& s, Gathered& to) {
  const std::int64_t numbers = s.length * s.count * r.others;
  std::int64_t *taken = sized(to.taken, numbers), *following = sized(to.following, numbers);
  std::uint8_t* visible = sized(to.visible, numbers);
  float* modelled = sized(to.modelled, s.count * r.modelled_size);
  for (std::int64_t i = 0; i < s.count; ++i) {
    const std::int64_t row = r.row(s.starts[i], s.envs[i], agent);
    modelled = std::copy_n(r.modelled + row * r.modelled_size, r.modelled_size, modelled);
  }
  for (std::int64_t step = 0; step < s.length; ++step) {
    for (std::int64_t i = 0; i < s.count; ++i) {
      const std::int64_t place = (s.starts[i] + step) * r.envs + s.envs[i];
      taken = std::copy_n(r.taken + place * r.others, r.others, taken);
      following = std::copy_n(r.following + place * r.others, r.others, following);
      const std::uint8_t* seen = r.visible + (place * r.agents + agent) * r.others;
      visible = std::copy_n(seen, r.others, visible);
    }
  }
}

}  // namespace

void gather(const Recorded& r, std::int64_t agent, const Sequences& s, float scale,
            float next_scale, bool following, Gathered& to) {
  const std::int64_t rows = s.length * s.count, seen = rows + (following ? s.count : 0);
  const std::int64_t numbers = 3 * r.decisions;
  std::uint8_t *view = sized(to.views, seen * r.view), *reset = sized(to.reset, rows);
  float* state = sized(to.state, s.count * r.state_size);
  std::int64_t* choice = sized(to.choices, rows * r.decisions);
  float *number = sized(to.numbers, rows * numbers), *weight = sized(to.weight, rows);
  float* next_weight = sized(to.next_weight, rows);
  std::int16_t* token = sized(to.tokens, rows * r.columns);
  if (r.modelled != nullptr) gather_others(r, agent, s, to);
  for (std::int64_t i = 0; i < s.count; ++i) {
    state = std::copy_n(r.state_at(s.starts[i], s.envs[i], agent), r.state_size, state);
  }
  for (std::int64_t step = 0; step * s.count < seen; ++step) {
    for (std::int64_t i = 0; i < s.count; ++i) {
      const std::int64_t row = r.row(s.starts[i] + step, s.envs[i], agent);
      view = std::copy_n(r.views + row * r.view, r.view, view);
      if (step == s.length) continue;
      const std::uint8_t* flags = r.flags + 3 * row;
      *reset++ = flags[0];
      *weight++ = flags[1] != 0 ? scale : 0.0f;
      *next_weight++ = flags[2] != 0 ? next_scale : 0.0f;
      choice = std::copy_n(r.choices + row * r.decisions, r.decisions, choice);
      number = std::copy_n(r.numbers + row * numbers, numbers, number);
      token = std::copy_n(r.tokens + row * r.columns, r.columns, token);
    }
  }
}

}  // namespace socialgrid::learning
