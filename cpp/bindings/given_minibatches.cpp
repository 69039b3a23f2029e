#include "given_minibatches.hpp"

#include <algorithm>
#include <utility>

#include "learning.hpp"
#include "lesson.hpp"

namespace socialgrid::bindings {

using learning::Gathered;
using learning::Kernels;
using learning::Learnt;
using learning::Lesson;
using learning::LessonGrads;
using learning::Recorded;
using learning::TreeSum;

Minibatch::Minibatch(const Kernels& kernels, const Network& network, const GivenMinibatches& given,
                     std::int64_t number)
    : kernels_(kernels),
      network_(network),
      given_(given),
      number_(number),
      numbers_(network.rows() + network.gradients()),
      begun_(std::get<2>(given).size()),
      ready_(begun_.size()) {
  for (std::int64_t a = 0; a < agents(); ++a) {
    sums_.push_back(std::make_unique<TreeSum>(std::get<1>(given).size(), numbers_));
  }
}

std::int64_t Minibatch::agents() const {
  return static_cast<std::int64_t>(std::get<2>(given_).size());
}

std::int64_t Minibatch::shards() const {
  return static_cast<std::int64_t>(std::get<1>(given_).size());
}

const float* Minibatch::whole(std::int64_t agent) const {
  return sums_[static_cast<std::size_t>(agent)]->whole();
}

void Minibatch::make_ready(std::int64_t agent) {
  const auto own = static_cast<std::size_t>(agent);
  std::call_once(begun_[own], [&] {
    const Lesson lesson = network_.of(agent, {}, 1, 1, {});  // of which only weights are read
    ready_[own] = learning::ready_layers(kernels_, lesson.sight, true);
  });
}

Minibatch::Found Minibatch::learn(std::int64_t piece, Gathered& desk, Signals& signals) {
  const std::int64_t agent = agent_of(piece), shard = piece % shards();
  const auto [drawn_for, minibatches, sequences, length, most] = std::get<4>(given_);
  Numbers own = Numbers::unset(numbers_);
  if (!learn_from(agent, shard, 0, desk, own.data())) return Found::unknown;
  for (std::int64_t first = most; first < sequences; first += most) {
    if (signals.given_up()) return Found::unknown;
    Numbers more = Numbers::unset(numbers_);
    if (!learn_from(agent, shard, first, desk, more.data())) return Found::unknown;
    for (std::int64_t i = 0; i < numbers_; ++i) own.data()[i] += more.data()[i];
  }
  TreeSum& sum = *sums_[static_cast<std::size_t>(agent)];
  return sum.put(shard, std::move(own)) ? Found::all : Found::known;
}

bool Minibatch::learn_from(std::int64_t agent, std::int64_t shard, std::int64_t first,
                           Gathered& desk, float* to) {
  const auto& [batch, every, columns, places, sizes, scales_at] = given_;
  const auto& [where, starts, envs, others] = every[static_cast<std::size_t>(shard)];
  const auto [drawn_for, minibatches, sequences, length, most] = sizes;
  const auto own = static_cast<std::size_t>(agent);
  const std::int64_t row = places[own] * minibatches + number_;
  learning::Sequences s;
  s.count = std::min(most, sequences - first);
  s.length = length;
  s.starts = at<const std::int64_t>(starts, row * sequences + first);
  s.envs = at<const std::int64_t>(envs, row * sequences + first);
  const auto* scales = at<const float>(scales_at, row);
  Recorded recorded = recorded_of(where, batch);
  network_.tell(others, recorded);
  gather(recorded, columns[own], s, scales[0], scales[drawn_for * minibatches], network_.ahead(),
         desk);
  Lesson lesson = network_.of(agent, desk, length, s.count, recorded);
  make_ready(agent);
  lesson.sight.ready = &ready_[own];
  const LessonGrads grads = network_.grads(to + network_.rows());
  Learnt learnt;
  if (!learning::learn_from(kernels_, lesson, &grads, learnt)) return false;
  const std::vector<float> known = told(learnt);
  std::copy(known.begin(), known.end(), to);
  return true;
}

}  // namespace socialgrid::bindings
