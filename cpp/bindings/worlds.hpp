// State of environments for Python: arrays of all of them, and layouts of one.
#pragma once

#include <pybind11/pybind11.h>

#include "core/batch.hpp"

namespace socialgrid::bindings {

// The fields of that name, as arrays. Throws KeyError.
pybind11::dict to_arrays(const BatchEnv& batch, const pybind11::list& fields);

pybind11::dict from_layout(const Layout& layout);
// A layout's fields of agents, lists by name.
std::map<std::string, Value::List> to_agent_fields(const pybind11::dict& fields);

}  // namespace socialgrid::bindings
