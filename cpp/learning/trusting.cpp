// Trust and agent values. Sums are added one by one, in the order in which PyTorch's operators do.
#include "trusting.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "distinct.hpp"

namespace socialgrid::learning {
namespace {

// Moves values of members towards the mean of their targets, `count` of them in each of some rows
// `apart` from each other.
void move_values(float* values, std::int64_t members, const float* targets,
                 const std::int64_t* places, std::int64_t rows, std::int64_t count,
                 std::int64_t apart, float rate, std::vector<float>& scratch) {
  scratch.assign(static_cast<std::size_t>(2 * members), 0.0f);
  float *sums = scratch.data(), *counts = sums + members;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = row * apart; i < row * apart + count; ++i) {
      sums[places[i]] += targets[i];
      counts[places[i]] += 1.0f;
    }
  }
  for (std::int64_t p = 0; p < members; ++p) {
    const float mean = sums[p] / std::max(counts[p], 1.0f);
    const float share = counts[p] > 0.0f ? rate : 0.0f;
    values[p] += share * (mean - values[p]);
  }
}

}  // namespace

void Trusting::prepare() {
  const auto more = static_cast<std::size_t>(task_.agents * task_.copies * drawn());
  const auto extend = [](auto& all, std::size_t by) {
    const std::size_t needed = all.size() + by;
    if (needed > all.capacity()) all.reserve(std::max(needed, 2 * all.capacity()));
  };
  extend(seen_, more * static_cast<std::size_t>(looked() * task_.inputs));
  extend(number_, 2 * more);
  extend(places_, more);
  words_.resize(more);
}

bool Trusting::full() const {
  const std::size_t noted =
      sizeof(float) * (seen_.size() + number_.size()) + sizeof(std::int64_t) * places_.size();
  return noted >= static_cast<std::size_t>(task_.most);
}

void Trusting::note(const Advised& advised) {
  TrustTask& t = task_;
  const auto row = static_cast<std::size_t>(t.inputs) * sizeof(float);
  for (std::int64_t i = 0; i < t.agents * t.copies; ++i) {
    const std::int64_t at = i / t.copies * t.capacity + t.next + i % t.copies;
    float* seen = t.seen + 2 * at * t.inputs;
    std::memcpy(seen, advised.next_obs + i * t.inputs, row);
    std::memcpy(seen + t.inputs, advised.obs + i * t.inputs, row);
    t.number[2 * at] = advised.reward[i];
    t.number[2 * at + 1] = advised.terminated[i] != 0 ? 1.0f : 0.0f;
    t.followed[at] = t.places[i];
  }
  t.next = (t.next + t.copies) % t.capacity;
  t.stored = std::min(t.stored + t.copies, t.capacity);
  const std::int64_t moment = t.observed++;
  if (t.stored <= t.samples) return;
  ++learnt_;
  const std::int64_t each = t.copies * drawn(), numbers = looked() * t.inputs;
  t.draw(moment, words_.data());
  for (std::int64_t i = 0; i < t.agents * each; ++i) {
    const auto drawn = static_cast<std::int64_t>(
        std::uint64_t{words_[static_cast<std::size_t>(i)]} * static_cast<std::uint64_t>(t.stored) >>
        32);
    const std::int64_t at = i / each * t.capacity + drawn;
    const float* seen = t.seen + 2 * at * t.inputs;
    seen_.insert(seen_.end(), seen, seen + numbers);
    number_.insert(number_.end(), t.number + 2 * at, t.number + 2 * at + 2);
    places_.push_back(t.followed[at]);
  }
}

// Of all that was drawn for an agent, step by step: of what is seen, the best action's value.
std::vector<float> Trusting::values_of(std::int64_t agent) const {
  const std::int64_t rows = task_.copies * drawn() * looked();
  const std::int64_t count = learnt_ * rows, inputs = task_.inputs;
  const std::int64_t actions = networks_.sizes.back();
  const auto bytes = static_cast<std::size_t>(rows * inputs) * sizeof(float);
  std::vector<float> seen(static_cast<std::size_t>(count * inputs));
  for (std::int64_t step = 0; step < learnt_; ++step) {
    const float* from = seen_.data() + (step * task_.agents + agent) * rows * inputs;
    std::memcpy(seen.data() + step * rows * inputs, from, bytes);
  }
  std::vector<std::int64_t> number(static_cast<std::size_t>(count)), first(number.size());
  const std::int64_t known = distinct(reinterpret_cast<const std::uint8_t*>(seen.data()), count,
                                      inputs * static_cast<std::int64_t>(sizeof(float)), count,
                                      number.data(), first.data());
  for (std::int64_t i = 0; i < known; ++i) {  // none comes before its place
    std::memmove(seen.data() + i * inputs,
                 seen.data() + first[static_cast<std::size_t>(i)] * inputs,
                 static_cast<std::size_t>(inputs) * sizeof(float));
  }
  Scratch out(known * actions), room(room_of(kernels_, networks_.sizes, known));
  DenseNetwork network(kernels_, networks_.sizes, known, networks_.of(agent));
  network.see(seen.data(), out.data(), room.data(), false);
  std::vector<float> best, found;
  for (std::int64_t i = 0; i < known; ++i) {
    const float* of = out.data() + i * actions;
    float most = of[0];
    for (std::int64_t k = 1; k < actions && !std::isnan(most); ++k) {
      if (of[k] > most || std::isnan(of[k])) most = of[k];
    }
    best.push_back(most);
  }
  for (const std::int64_t i : number) found.push_back(best[static_cast<std::size_t>(i)]);
  return found;
}

// By targets of a step, and whose they are: [agents, copies, drawn].
void Trusting::move(const float* targets, const std::int64_t* places, std::vector<float>& scratch) {
  const TrustTask& t = task_;
  const std::int64_t each = drawn(), group = t.owners * t.copies * each;
  for (std::int64_t a = 0; t.own > 0 && a < t.agents; ++a) {
    for (std::int64_t e = 0; e < t.copies; ++e) {
      const std::int64_t at = (a * t.copies + e) * each;
      move_values(t.trust + a * t.members, t.members, targets + at, places + at, 1, t.own, 0,
                  t.rate, scratch);
    }
  }
  // Every step of an agent moves its group's agent values once, by a share of each owner.
  for (std::int64_t g = 0; t.share > 0 && g < t.agents / t.owners; ++g) {
    for (std::int64_t e = 0; e < t.copies; ++e) {
      for (std::int64_t turn = 0; turn < t.owners; ++turn) {
        const std::int64_t at = g * group + e * each + t.own + turn * t.share;
        move_values(t.agent_values + g * t.members, t.members, targets + at, places + at, t.owners,
                    t.share, t.copies * each, t.rate, scratch);
      }
    }
  }
}

void Trusting::learn(Crew& crew) {
  if (learnt_ == 0) return;
  const TrustTask& t = task_;
  const std::int64_t each = t.copies * drawn();
  std::vector<std::vector<float>> values(static_cast<std::size_t>(t.agents));
  crew.work([&](int thread) {
    const std::int64_t end = crew.first(t.agents, thread + 1);
    for (std::int64_t a = crew.first(t.agents, thread); a < end; ++a) {
      values[static_cast<std::size_t>(a)] = values_of(a);
    }
  });
  std::vector<float> targets(static_cast<std::size_t>(t.agents * each));
  std::vector<float> scratch(static_cast<std::size_t>(2 * t.members));
  for (std::int64_t step = 0; step < learnt_; ++step) {
    const std::int64_t from = step * t.agents * each;
    for (std::int64_t i = 0; i < t.agents * each; ++i) {
      const float* value =
          values[static_cast<std::size_t>(i / each)].data() + (step * each + i % each) * looked();
      const float* number = number_.data() + 2 * (from + i);
      const float following = t.gamma * value[0];
      float target = number[0] + following * (number[1] > 0.0f ? 0.0f : 1.0f);
      if (t.advantage) target -= value[1];
      targets[static_cast<std::size_t>(i)] = target;
    }
    move(targets.data(), places_.data() + from, scratch);
  }
  learnt_ = 0;
  seen_.clear();
  number_.clear();
  places_.clear();
}

}  // namespace socialgrid::learning
