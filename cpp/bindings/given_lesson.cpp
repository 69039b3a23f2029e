#include "given_lesson.hpp"

#include "learning.hpp"

namespace socialgrid::bindings {

using learning::Deciding;
using learning::Decoding;
using learning::Learnt;
using learning::Lesson;
using learning::LessonGrads;

std::int64_t GivenLesson::columns() const {
  std::int64_t found = 0;
  for (const auto& channel : heard) found += channel.first;
  return found;
}

std::int64_t GivenLesson::inputs() const {
  std::int64_t found = n[9];
  for (const auto& [count, symbols] : heard) found += count * symbols;
  return found;
}

Lesson GivenLesson::of(std::int64_t agent, std::int64_t rows_of,
                       Parameters<const float> own) const {
  const std::int64_t rows = n[1] * n[2], hidden = n[10];
  Lesson lesson;
  learning::Sight& sight = lesson.sight;
  sight.count = rows;
  sight.rows = n[3];
  sight.cols = n[4];
  sight.pixels = n[5];
  sight.shown.number = n[6];
  sight.shown.tiles = n[7];
  sight.shown.views = at<const std::uint8_t>(where[0], rows_of * n[8]);
  sight.shown.atlas = at<const std::uint8_t>(where[1]);
  sight.of_cells = of_cells;
  sight.layers = layers;
  own.take(layers.size(), sight.weights, sight.biases);
  lesson.heard = heard;
  lesson.tokens = at<const std::int16_t>(where[2], rows_of * rows * columns());
  std::vector<const float*> unused, not_used;  // packed weights are
  own.take(2, unused, not_used);
  learning::Unroll& u = lesson.memory;
  u.steps = n[1];
  u.count = n[2];
  u.inputs = inputs();
  u.hidden = hidden;
  u.zeros = zeros.data();
  u.reset = at<const std::uint8_t>(where[3], rows_of * rows);
  u.first_h = at<const float>(where[4], rows_of * n[11]);
  u.first_h_row = n[12];
  u.first_c = at<const float>(where[5], rows_of * n[13]);
  u.first_c_row = n[14];
  const std::int64_t packed = kernels.packed(u.inputs, hidden);
  u.weights = at<const float>(where[6], agent * packed);
  lesson.weights_back = at<const float>(where[7], agent * packed);
  for (const auto& [from, apart, constants, policy, value] : decisions) {
    Deciding d;
    d.policy.layers = layers_of(policy);
    d.value.layers = layers_of(value);
    own.take(policy.size(), d.policy.weights, d.policy.biases);
    own.take(value.size(), d.value.weights, d.value.biases);
    d.mask = at<const float>(from[5], agent * d.policy.layers.back().outputs);
    learning::Judgement& j = d.judgement;
    j.rows = rows;
    j.choice_row = apart[0];
    j.number_row = apart[1];
    j.choice = at<const std::int64_t>(from[0], rows_of * rows * j.choice_row);
    j.log_prob = at<const float>(from[1], rows_of * rows * j.number_row);
    j.advantage = at<const float>(from[2], rows_of * rows * j.number_row);
    j.target = at<const float>(from[3], rows_of * rows * j.number_row);
    j.weight = at<const float>(from[4], rows_of * rows);
    j.clipped = constants[0] >= 0.0;
    j.clip = static_cast<float>(constants[0]);
    j.factor = static_cast<float>(constants[1]);
    j.value_coef = static_cast<float>(constants[2]);
    j.entropy_coef = static_cast<float>(constants[3]);
    lesson.decisions.push_back(d);
  }
  for (const auto& [from, constants, actions, own_layers] : predictions) {
    Decoding d;
    d.count = rows;
    d.memory = hidden;
    d.actions = actions;
    d.cells = n[3] * n[4];
    d.pixels = n[5];
    d.layers = layers_of(own_layers);
    d.coef = static_cast<float>(constants[0]);
    d.slope = static_cast<float>(constants[1]);
    own.take(own_layers.size() + 1, d.weights, d.biases);
    d.action = lesson.decisions.front().judgement.choice;
    d.action_row = lesson.decisions.front().judgement.choice_row;
    d.row_weight = at<const float>(from[1], rows_of * rows);
    d.shown = sight.shown;
    d.shown.views = at<const std::uint8_t>(from[0], rows_of * n[8]);
    lesson.predictions.push_back(d);
  }
  if (!models.empty()) add_model(lesson, agent, own);
  return lesson;
}

std::int64_t GivenLesson::inputs_of(const GivenModel& model) {
  const auto& [fork, others, actions, hidden] = std::get<1>(model);
  return std::get<3>(std::get<5>(model).back()) + (1 + others) * actions;
}

void GivenLesson::add_model(Lesson& lesson, std::int64_t agent,
                            Parameters<const float>& own) const {
  const auto& [mask, sizes, coef, visible_only, slots, given_layers, head] = models[0];
  const auto& [fork, others, actions, hidden] = sizes;
  learning::Sight& sight = lesson.sight;
  sight.fork = static_cast<std::size_t>(fork);
  sight.other = layers_of(given_layers);
  own.take(sight.other.size(), sight.other_weights, sight.other_biases);
  std::vector<const float*> unused, not_used;  // packed weights are
  own.take(2, unused, not_used);
  learning::Modelling m;
  m.features = sight.other.back().outputs;
  m.others = others;
  m.actions = actions;
  m.slot = slots[static_cast<std::size_t>(agent)];
  m.mask = at<const float>(mask);
  m.coef = static_cast<float>(coef);
  m.head.layers = layers_of(head);
  own.take(head.size(), m.head.weights, m.head.biases);
  m.taken = model_rows.taken;
  m.following = model_rows.following;
  m.visible = visible_only ? model_rows.visible : nullptr;
  m.weight = model_rows.weight;
  learning::Unroll& u = m.memory = lesson.memory;  // the same steps, resets and zeros
  u.inputs = inputs_of(models[0]);
  u.hidden = hidden;
  u.first_h = model_rows.memory;
  u.first_c = model_rows.memory + hidden;
  u.first_h_row = u.first_c_row = 2 * hidden;
  const std::int64_t packed = kernels.packed(u.inputs, hidden);
  u.weights = model_rows.forward + agent * packed;
  m.weights_back = model_rows.back + agent * packed;
  lesson.models.push_back(m);
}

LessonGrads GivenLesson::grads_of(Parameters<float> own) const {
  LessonGrads g;
  own.take(layers.size(), g.sight.weights, g.sight.biases);
  std::vector<float*> weights, biases;
  own.take(2, weights, biases);
  g.memory = {weights[0], weights[1], biases[0], biases[1]};
  for (const GivenDecision& one : decisions) {
    auto& [policy, value] = g.decisions.emplace_back();
    own.take(std::get<3>(one).size(), policy.weights, policy.biases);
    own.take(std::get<4>(one).size(), value.weights, value.biases);
  }
  for (const GivenPrediction& one : predictions) {
    learning::DecodingGrads& prediction = g.predictions.emplace_back();
    own.take(std::get<3>(one).size() + 1, prediction.weights, prediction.biases);
  }
  for (const GivenModel& one : models) {
    learning::ModellingGrads& model = g.models.emplace_back();
    own.take(std::get<5>(one).size(), g.sight.other_weights, g.sight.other_biases);
    std::vector<float*> inputs, bias;
    own.take(2, inputs, bias);
    model.memory = {inputs[0], inputs[1], bias[0], bias[1]};
    own.take(std::get<6>(one).size(), model.head.weights, model.head.biases);
  }
  return g;
}

std::vector<float> told(const Learnt& learnt) {
  std::vector<float> found = {static_cast<float>(learnt.loss)};
  for (const learning::Losses& one : learnt.decisions) {
    for (const double x : {one.policy, one.value, one.entropy, one.divergence, one.share}) {
      found.push_back(static_cast<float>(x));
    }
  }
  for (const double error : learnt.errors) found.push_back(static_cast<float>(error));
  for (const learning::Modelled& one : learnt.models) {
    for (const double x : {one.loss, one.right, one.all}) found.push_back(static_cast<float>(x));
  }
  return found;
}

}  // namespace socialgrid::bindings
