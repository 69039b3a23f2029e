// The batch behind Python's, for other bindings.
#pragma once

#include <pybind11/pybind11.h>

#include <functional>

#include "bindings/unlocked.hpp"
#include "core/batch.hpp"
#include "players/distance_maps.hpp"

namespace socialgrid::bindings {

// Work on a batch, and on what players keep of its worlds, without the interpreter's lock.
using BetweenSteps = std::function<void(BatchEnv&, players::MapStore&, Unlocked&)>;

// Does it between two steps. Refuses what a step refuses: before reset(), after close(), in a
// forked process, while another thread uses the batch or a step is under way.
void between_steps(pybind11::handle batch, const BetweenSteps& work);

}  // namespace socialgrid::bindings
