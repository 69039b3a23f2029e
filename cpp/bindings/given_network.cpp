#include "given_network.hpp"

#include <cstddef>
#include <numeric>

#include "learning.hpp"

namespace socialgrid::bindings {

using learning::Gathered;
using learning::Kernels;
using learning::Lesson;
using learning::LessonGrads;
using learning::Recorded;

Recorded recorded_of(const BatchAddresses& where, const BatchSizes& n) {
  Recorded r;
  r.steps = n[0];
  r.envs = n[1];
  r.agents = n[2];
  r.views = at<const std::uint8_t>(where[0]);
  r.view = n[3];
  r.state = at<float>(where[1]);
  r.state_size = n[4];
  r.flags = at<const std::uint8_t>(where[2]);
  r.choices = at<const std::int64_t>(where[3]);
  r.numbers = at<const float>(where[4]);
  r.decisions = n[5];
  r.tokens = at<const std::int16_t>(where[5]);
  r.columns = n[6];
  return r;
}

namespace {

template <typename T>
std::uintptr_t address(const std::vector<T>& x, std::size_t offset = 0) {
  return reinterpret_cast<std::uintptr_t>(x.data()) + offset * sizeof(T);
}

}  // namespace

Network::Network(const Kernels& kernels, const GivenNetwork& given)
    : parameters_(std::get<7>(given)),
      apart_(std::get<8>(given)),
      lesson_{
          kernels, {}, {}, std::get<2>(given), layers_of(std::get<3>(given)), std::get<4>(given),
          {},      {}, {}} {
  const auto& where = std::get<0>(given);
  const auto& n = std::get<1>(given);
  lesson_.where = {0, where[0], 0, 0, 0, 0, where[1], where[2], 0};
  lesson_.n = {1, 0, 0, n[0], n[1], n[2], n[3], n[4], 0, n[5], n[6], 0, 0, 0, 0};
  lesson_.zeros.resize(static_cast<std::size_t>(n[6]));
  for (const auto& [mask, constants, policy, value] : std::get<5>(given)) {
    GivenDecision d;
    std::get<0>(d)[5] = mask;
    std::get<2>(d) = constants;
    std::get<3>(d) = policy;
    std::get<4>(d) = value;
    lesson_.decisions.push_back(d);
  }
  for (const auto& [following, constants, actions, layers] : std::get<6>(given)) {
    following_.push_back(following);
    lesson_.predictions.push_back({{}, constants, actions, layers});
  }
}

bool Network::ahead() const {
  return std::find(following_.begin(), following_.end(), true) != following_.end();
}

std::int64_t Network::rows() const {
  return static_cast<std::int64_t>(1 + 5 * lesson_.decisions.size() + following_.size());
}

Lesson Network::of(std::int64_t agent, const Gathered& g, std::int64_t steps,
                   std::int64_t sequences, const Recorded& recorded) const {
  GivenLesson own = lesson_;
  own.where[0] = address(g.views);
  own.where[2] = address(g.tokens);
  own.where[3] = address(g.reset);
  own.where[4] = address(g.state);
  own.where[5] = address(g.state, static_cast<std::size_t>(own.n[10]));
  own.n[1] = steps;
  own.n[2] = sequences;
  own.n[12] = own.n[14] = recorded.state_size;
  const auto decisions = static_cast<std::int64_t>(own.decisions.size());
  for (std::size_t i = 0; i < own.decisions.size(); ++i) {
    auto& [from, apart, constants, policy, value] = own.decisions[i];
    from = {address(g.choices, i),         address(g.numbers, 3 * i), address(g.numbers, 3 * i + 1),
            address(g.numbers, 3 * i + 2), address(g.weight),         from[5]};
    apart = {decisions, 3 * decisions};
  }
  for (std::size_t i = 0; i < own.predictions.size(); ++i) {
    auto& from = std::get<0>(own.predictions[i]);
    const std::int64_t before = following_[i] ? sequences * recorded.view : 0;
    from[0] = address(g.views, static_cast<std::size_t>(before));
    from[1] = following_[i] ? address(g.next_weight) : address(g.weight);
  }
  Lesson lesson = own.of(agent, 0, {parameters_, apart_, agent});
  lesson.memory.zeros = lesson_.zeros.data();  // which stay
  return lesson;
}

LessonGrads Network::grads(float* to) const {
  Addresses where;
  for (const std::int64_t count : apart_) {
    where.push_back(reinterpret_cast<std::uintptr_t>(to));
    to += count;
  }
  return lesson_.grads_of({where, Sizes(where.size()), 0});
}

std::int64_t Network::gradients() const {
  return std::accumulate(apart_.begin(), apart_.end(), std::int64_t{0});
}

float* Network::values(std::size_t parameter, std::int64_t agent) const {
  return at<float>(parameters_[parameter], agent * apart_[parameter]);
}

std::int64_t Network::packed() const {
  return lesson_.kernels.packed(lesson_.inputs(), lesson_.n[10]);
}

void Network::pack_into(float* forward, float* back) {
  lesson_.where[6] = reinterpret_cast<std::uintptr_t>(forward);
  lesson_.where[7] = reinterpret_cast<std::uintptr_t>(back);
}

void Network::pack(std::int64_t agent, bool back) const {
  const std::size_t first = 2 * lesson_.layers.size();  // input's weights, bias, hidden's, bias
  const std::int64_t inputs = lesson_.inputs(), hidden = lesson_.n[10];
  const float *input = values(first, agent), *recurrent = values(first + 2, agent);
  auto* to = at<float>(lesson_.where[back ? 7 : 6], agent * packed());
  if (back) {
    lesson_.kernels.pack_backward(input, recurrent, inputs, hidden, to);
  } else {
    lesson_.kernels.pack_forward(input, recurrent, values(first + 1, agent),
                                 values(first + 3, agent), inputs, hidden, to);
  }
}

}  // namespace socialgrid::bindings
