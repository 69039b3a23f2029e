// Whole gradients of recurrent actor-critics, on the memory of others' tensors: see learning.cpp.
#include "lesson.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <vector>

#include "given_lesson.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Kernels;
using learning::Learnt;
using learning::Lesson;
using learning::LessonGrads;

// Parameters: weights and biases of the layers that see, of the memory (input's and hidden), of
// policy and value of each decision, and of each prediction. Gradients likewise, or none. False
// where the views of an agent have too many different tiles; nothing is promised of results then.
bool learn(const Kernels& kernels, const std::array<std::uintptr_t, 9>& where,
           const std::array<std::int64_t, 15>& sizes, bool of_cells, const GivenLayers& layers,
           const GivenChannels& heard, const std::vector<GivenDecision>& decisions,
           const std::vector<GivenPrediction>& predictions, const Addresses& parameters,
           const Sizes& apart, const Addresses& grads, const Sizes& grads_apart, int threads) {
  const Unlocked unlocked;
  const GivenLesson given{kernels,
                          where,
                          sizes,
                          of_cells,
                          layers_of(layers),
                          heard,
                          decisions,
                          predictions,
                          std::vector<float>(static_cast<std::size_t>(sizes[10])),
                          {},
                          {}};
  const std::int64_t agents = sizes[0];
  std::vector<std::exception_ptr> failed(static_cast<std::size_t>(agents));
  std::vector<std::uint8_t> known(static_cast<std::size_t>(agents));
  const auto one = [&](std::int64_t agent) {
    const Lesson lesson = given.of(agent, agent, {parameters, apart, agent});
    LessonGrads own;
    if (!grads.empty()) own = given.grads_of({grads, grads_apart, agent});
    Learnt learnt;
    if (!learning::learn_from(kernels, lesson, grads.empty() ? nullptr : &own, learnt)) return;
    const std::vector<float> rows = told(learnt);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      *at<float>(where[8], static_cast<std::int64_t>(i) * agents + agent) = rows[i];
    }
    known[static_cast<std::size_t>(agent)] = 1;
  };
  share(agents, 1, static_cast<int>(std::min<std::int64_t>(threads, agents)),
        [&](std::int64_t agent, std::int64_t, std::int64_t) {
          try {
            one(agent);
          } catch (...) {
            failed[static_cast<std::size_t>(agent)] = std::current_exception();
          }
        });
  for (const std::exception_ptr& error : failed) {
    if (error) std::rethrow_exception(error);
  }
  return std::all_of(known.begin(), known.end(), [](std::uint8_t is) { return is != 0; });
}

}  // namespace

void add_lesson(py::class_<Kernels>& kernels) {
  kernels.def("learn", &learn, py::arg("where"), py::arg("sizes"), py::arg("of_cells"),
              py::arg("layers"), py::arg("heard"), py::arg("decisions"), py::arg("predictions"),
              py::arg("parameters"), py::arg("apart"), py::arg("grads"), py::arg("grads_apart"),
              py::arg("threads"));
}

}  // namespace socialgrid::bindings
