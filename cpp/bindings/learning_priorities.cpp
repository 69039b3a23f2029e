// Drawing by priority, from others' arrays: see learning.cpp.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <vector>

#include "learning.hpp"
#include "priority_search.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using Numbers64 = py::array_t<double, py::array::c_style>;

// Levels [agents, entries], each a multiple of `children`, of sums over as many neighbours of the
// one before; masses [agents, count]. Returns items like the masses.
py::array_t<std::int64_t> find_by_priority(const std::vector<Numbers64>& levels,
                                           std::int64_t children, const Numbers64& masses) {
  if (levels.empty() || children < 1 || masses.ndim() != 2) {
    throw py::value_error("levels: must be some, of 1 or more children; masses: [agents, count]");
  }
  const std::int64_t agents = masses.shape(0), count = masses.shape(1);
  learning::PriorityLevels all;
  all.children = children;
  for (const Numbers64& level : levels) {
    if (level.ndim() != 2 || level.shape(0) != agents || level.shape(1) < children ||
        level.shape(1) % children != 0) {
      throw py::value_error("levels: must be [agents, a multiple of children]");
    }
    all.levels.push_back(level.data());
    all.sizes.push_back(level.shape(1));
  }
  py::array_t<std::int64_t> found({agents, count});
  const double* mass = masses.data();
  std::int64_t* to = found.mutable_data();
  const Unlocked unlocked;
  for (std::int64_t agent = 0; agent < agents; ++agent) {
    for (std::int64_t i = 0; i < count; ++i) *to++ = all.find(*mass++);
    for (std::size_t k = 0; k < levels.size(); ++k) all.levels[k] += all.sizes[k];
  }
  return found;
}

}  // namespace

void add_priorities(py::module_& module) {
  module.def("find_by_priority", &find_by_priority, py::arg("levels"), py::arg("children"),
             py::arg("masses"));
}

}  // namespace socialgrid::bindings
