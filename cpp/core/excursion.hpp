// Many steps of a batch in which ranges of its environments do not wait for each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/batch.hpp"

namespace socialgrid {

// All or nothing, as a step: unless stay() ends it, it is as if the state of its beginning had been
// restored. Nobody else uses the batch meanwhile; of a range, world() and marks() are the present
// ones for whoever steps it. Environments begin their next episodes in the same step.
class Excursion {
 public:
  explicit Excursion(BatchEnv& batch);
  ~Excursion();
  Excursion(const Excursion&) = delete;
  Excursion& operator=(const Excursion&) = delete;

  // Environments `begin` to `end`, for one thread.
  class Range {
   public:
    Range(Excursion& excursion, std::size_t begin, std::size_t end);

    // A step with actions [E, A], of which, as of the buffers, only the range's rows count.
    // Throws ActionError, or EnvStepError; the excursion is at its end then.
    void step(const std::int32_t* actions, const StepBuffers& out);

   private:
    BatchEnv& batch_;
    const std::vector<BatchEnv::Injected>& injected_;
    std::size_t begin_, end_, step_ = 0;
    BatchEnv::Workspace workspace_;
  };

  // To be called when all ranges have taken the same number of steps.
  void stay() { stays_ = true; }

 private:
  BatchEnv& batch_;
  std::vector<BatchEnv::Injected> injected_;
  bool stays_ = false;
  std::vector<std::byte> worlds_;  // at the beginning
};

}  // namespace socialgrid
