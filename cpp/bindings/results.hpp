// The arrays that a batch hands out: its own, or the caller's.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bindings/arrays.hpp"
#include "core/batch.hpp"

namespace socialgrid::bindings {

// The arrays of a step, in the order of its results.
enum ArrayIndex {
  kObs,
  kReward,
  kTerminated,
  kTruncated,
  kDone,
  kFinalObs,
  kActive,
  kVisible,
  kLastActions,
  kEvents,  // of games that count events
  kNumArrays
};

using Arrays = std::array<ArrayPool::Handed, kNumArrays>;

// Memory of the caller for some results, checked once for many steps of one batch.
struct BoundOut {
  std::uint64_t batch;  // its number
  Arrays arrays;
};

pybind11::dtype to_dtype(ObsType type);

class Results {
 public:
  explicit Results(const BatchEnv& batch);

  // Arrays for a reset, or to observe.
  Arrays for_views();
  // Arrays for a step: the caller's where `out` has them, which is a mapping, a BoundOut of this
  // batch, or None.
  Arrays for_step(const pybind11::object& out);
  BoundOut bind(const pybind11::object& out) const { return {number_, wrap_all(out)}; }

  // What a step returns.
  pybind11::tuple of_step(const Arrays& arrays);

 private:
  // The caller's memory for the results that it names.
  Arrays wrap_all(const pybind11::object& out) const;
  void refuse_overlaps(const Arrays& arrays) const;

  static inline std::atomic<std::uint64_t> next_number_{0};
  const std::uint64_t number_ = next_number_++;
  std::vector<ArrayPool> pools_;
  pybind11::object info_type_;
  pybind11::str unread_{"unread"};
};

ObserveBuffers observe_buffers(const Arrays& arrays);
StepBuffers step_buffers(const Arrays& arrays);

}  // namespace socialgrid::bindings
