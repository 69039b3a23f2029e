#include "lesson.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>

namespace socialgrid::learning {
namespace {

// Ones behind the features in rows of `inputs` numbers.
void hear(const Lesson& lesson, float* x, std::int64_t inputs, std::int64_t features) {
  std::int64_t columns = 0;
  for (const auto& [count, symbols] : lesson.heard) columns += count;
  for (std::int64_t n = 0; n < lesson.sight.count; ++n) {
    const std::int16_t* token = lesson.tokens + n * columns;
    float* code = x + n * inputs + features;
    for (const auto& [count, symbols] : lesson.heard) {
      for (std::int64_t k = 0; k < count; ++k, ++token, code += symbols) {
        if (*token < -1 || *token >= symbols) {
          throw std::out_of_range("an agent hears " + std::to_string(*token) + " of " +
                                  std::to_string(symbols) + " symbols");
        }
        if (*token >= 0) code[*token] = 1.0f;
      }
    }
  }
}

void add(const Numbers& from, std::int64_t count, Numbers& to) {
  for (std::int64_t i = 0; i < count; ++i) to.data()[i] += from.data()[i];
}

}  // namespace

Memory remember(const Kernels& kernels, const Lesson& lesson, Seen& seen, bool back,
                Modeller* model) {
  Memory m;
  Unroll& u = m.unroll = lesson.memory;
  const std::int64_t rows = u.steps * u.count, numbers = rows * u.hidden;
  m.x = lesson.heard.empty() ? Numbers::unset(rows * u.inputs) : Numbers(rows * u.inputs);
  m.gates = Numbers::unset(back ? 4 * numbers : 0);
  m.h = Numbers::unset(numbers);
  m.c = Numbers::unset(numbers);
  Features<float> features{m.x.data(), u.inputs};
  if (model != nullptr) {
    features.other = model->x();
    features.other_row = model->row();
  }
  seen.features(features);
  if (!lesson.heard.empty()) {
    hear(lesson, m.x.data(), u.inputs, lesson.sight.layers.back().outputs);
  }
  u.x = m.x.data();
  u.gates = back ? m.gates.data() : nullptr;
  u.h = m.h.data();
  u.c = m.c.data();
  kernels.forward(u, 0, u.count);
  return m;
}

bool learn_from(const Kernels& kernels, const Lesson& lesson, const LessonGrads* grads,
                Learnt& learnt) {
  const bool back = grads != nullptr;
  Seen seen(kernels, lesson.sight, back);
  if (!seen.known()) return false;
  std::optional<Modeller> model;
  if (!lesson.models.empty()) model.emplace(kernels, lesson.models[0], back);
  Memory memory = remember(kernels, lesson, seen, back, model ? &*model : nullptr);
  const Unroll& u = memory.unroll;
  const float* h = memory.h.data();
  const std::int64_t rows = u.steps * u.count, numbers = rows * u.hidden;
  Numbers grad_h = Numbers::unset(back ? numbers : 0), part = Numbers::unset(back ? numbers : 0);
  for (std::size_t i = 0; i < lesson.decisions.size(); ++i) {
    Deciding d = lesson.decisions[i];
    d.core = h;
    check(d);
    DecidingGrads g;
    if (back) {
      g.core = i == 0 ? grad_h.data() : part.data();
      g.policy = grads->decisions[i].first;
      g.value = grads->decisions[i].second;
    }
    const Losses found = decide(kernels, d, back ? &g : nullptr);
    const Judgement& j = d.judgement;
    learnt.loss += static_cast<double>(j.factor) *
                       (found.policy + static_cast<double>(j.value_coef) * found.value) -
                   static_cast<double>(j.entropy_coef) * found.entropy;
    learnt.decisions.push_back(found);
    if (back && i > 0) add(part, numbers, grad_h);
  }
  for (std::size_t i = 0; i < lesson.predictions.size(); ++i) {
    Decoding d = lesson.predictions[i];
    d.core = h;
    check(d);
    DecodingGrads g;
    if (back) {
      g = grads->predictions[i];
      g.core = part.data();
    }
    learnt.errors.push_back(decode(kernels, d, back ? &g : nullptr));
    learnt.loss += static_cast<double>(d.coef) * learnt.errors.back();
    if (back) add(part, numbers, grad_h);
  }
  if (model) {
    const Modelled found = model->learn(back ? &grads->models[0] : nullptr);
    learnt.loss += static_cast<double>(lesson.models[0].coef) * found.loss;
    learnt.models.push_back(found);
  }
  if (!back) return true;
  Numbers grad_x = Numbers::unset(rows * u.inputs);
  unroll_back(kernels, u, lesson.weights_back, grad_h.data(), grads->memory, grad_x.data());
  Features<const float> features{grad_x.data(), u.inputs};
  if (model) {
    features.other = model->x();
    features.other_row = model->row();
  }
  seen.back(features, grads->sight);
  return true;
}

}  // namespace socialgrid::learning
