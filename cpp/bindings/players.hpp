// Minds of scripted players behind Python's, for other bindings.
#pragma once

#include <pybind11/pybind11.h>

#include "players/mind.hpp"

namespace socialgrid::bindings {

// A mind and what it remembers, which are as long there as Python holds them.
struct Playing {
  const players::Mind& mind;
  const players::Memory& memory;

  // Whether there is room for what it has to remember of these worlds. Throws std::invalid_argument
  // for a batch that it cannot play in.
  bool has_room(BatchEnv& worlds, players::MapStore& maps) const {
    mind.check(worlds);
    return memory.slots >= mind.slots(worlds, maps);
  }
};

// Throws std::runtime_error where it has no memory yet.
Playing playing(pybind11::handle mind);

}  // namespace socialgrid::bindings
