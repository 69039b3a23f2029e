#include "given_network.hpp"

#include <algorithm>
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
  r.state_apart = n[7];
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
      lesson_{kernels,
              {},
              {},
              std::get<2>(given),
              layers_of(std::get<3>(given)),
              std::get<4>(given),
              {},
              {},
              {},
              {},
              {}} {
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
  for (const auto& [model, packed] : std::get<9>(given)) {
    lesson_.models.push_back(model);
    lesson_.model_rows.forward = at<float>(packed[0]);
    lesson_.model_rows.back = at<float>(packed[1]);
    const auto hidden = static_cast<std::size_t>(std::get<1>(model)[3]);
    lesson_.zeros.resize(std::max(lesson_.zeros.size(), hidden));
  }
}

void Network::tell(const ModelAddresses& where, Recorded& r) const {
  if (lesson_.models.empty()) return;
  const auto& [fork, others, actions, hidden] = std::get<1>(lesson_.models[0]);
  r.taken = at<const std::int64_t>(where[0]);
  r.following = at<const std::int64_t>(where[1]);
  r.visible = at<const std::uint8_t>(where[2]);
  r.modelled = at<const float>(where[3]);
  r.others = others;
  r.modelled_size = 2 * hidden;
}

bool Network::ahead() const {
  return std::find(following_.begin(), following_.end(), true) != following_.end();
}

std::int64_t Network::rows() const {
  return static_cast<std::int64_t>(1 + 5 * lesson_.decisions.size() + following_.size() +
                                   3 * lesson_.models.size());
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
  own.model_rows.taken = g.taken.data();
  own.model_rows.following = g.following.data();
  own.model_rows.visible = g.visible.data();
  own.model_rows.weight = g.weight.data();
  own.model_rows.memory = g.modelled.data();
  Lesson lesson = own.of(agent, 0, {parameters_, apart_, agent});
  lesson.memory.zeros = lesson_.zeros.data();  // which stay
  for (learning::Modelling& model : lesson.models) model.memory.zeros = lesson_.zeros.data();
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

std::int64_t Network::packed_of_memory() const {
  return lesson_.kernels.packed(lesson_.inputs(), lesson_.n[10]);
}

std::int64_t Network::packed() const {
  std::int64_t found = packed_of_memory();
  for (const GivenModel& model : lesson_.models) {
    found += lesson_.kernels.packed(GivenLesson::inputs_of(model), std::get<1>(model)[3]);
  }
  return found;
}

void Network::pack_into(float* forward, float* back, std::int64_t agents) {
  lesson_.where[6] = reinterpret_cast<std::uintptr_t>(forward);
  lesson_.where[7] = reinterpret_cast<std::uintptr_t>(back);
  lesson_.model_rows.forward = forward + agents * packed_of_memory();
  lesson_.model_rows.back = back + agents * packed_of_memory();
}

void Network::pack(std::int64_t agent, bool back) const {
  pack(agent, back, 2 * lesson_.layers.size(), lesson_.inputs(), lesson_.n[10],
       at<float>(lesson_.where[back ? 7 : 6]));
  if (lesson_.models.empty()) return;
  const GivenModel& model = lesson_.models[0];
  const std::size_t behind = 2 * std::get<6>(model).size();  // parameters behind its memory's
  const ModelRows& rows = lesson_.model_rows;
  pack(agent, back, parameters_.size() - behind - 4, GivenLesson::inputs_of(model),
       std::get<1>(model)[3], back ? rows.back : rows.forward);
}

// From parameter `first` on: input's weights, bias, hidden's, bias.
void Network::pack(std::int64_t agent, bool back, std::size_t first, std::int64_t inputs,
                   std::int64_t hidden, float* to) const {
  const float *input = values(first, agent), *recurrent = values(first + 2, agent);
  to += agent * lesson_.kernels.packed(inputs, hidden);
  if (back) {
    lesson_.kernels.pack_backward(input, recurrent, inputs, hidden, to);
  } else {
    lesson_.kernels.pack_forward(input, recurrent, values(first + 1, agent),
                                 values(first + 3, agent), inputs, hidden, to);
  }
}

}  // namespace socialgrid::bindings
