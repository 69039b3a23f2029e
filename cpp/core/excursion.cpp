#include "core/excursion.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace socialgrid {

Excursion::Excursion(BatchEnv& batch) : batch_(batch) {
  if (batch.autoreset() != Autoreset::kSameStep) {
    throw std::invalid_argument("an excursion needs environments that restart by themselves");
  }
  worlds_ = batch.worlds_[batch.current_.front()];
  injected_ = std::exchange(batch.injected_, {});
}

Excursion::~Excursion() {
  if (stays_) return;
  for (std::size_t env = 0; env < batch_.num_envs(); ++env) {
    WorldMarks marks = batch_.marks(env);  // what came after the beginning may be known by them
    marks.replaced();
    batch_.marks_[0][env] = marks;
    batch_.current_[env] = 0;
  }
  batch_.worlds_[0] = std::move(worlds_);
}

Excursion::Range::Range(Excursion& excursion, std::size_t begin, std::size_t end)
    : batch_(excursion.batch_),
      injected_(excursion.injected_),
      begin_(begin),
      end_(end),
      workspace_(batch_.make_workspace()) {}

void Excursion::Range::step(const std::int32_t* actions, const StepBuffers& out) {
  const std::vector<int>& counts = batch_.spec().action_counts;
  const std::size_t agents = batch_.num_agents();
  for (std::size_t env = begin_; env < end_; ++env) {
    for (std::size_t a = 0; a < agents; ++a) {
      const std::int32_t action = actions[env * agents + a];
      if (action >= 0 && action < counts[a]) continue;
      throw batch_.action_error(env * agents + a, std::to_string(action));
    }
  }
  for (std::size_t env = begin_; env < end_; ++env) {
    BatchEnv::tell_of_faults(env, [&] {
      BatchEnv::fail_if_injected(injected_, env, step_);
      batch_.step_one(env, {actions + env * agents, agents}, out, workspace_);
    });
    batch_.current_[env] ^= 1;
  }
  ++step_;
}

}  // namespace socialgrid
