#include "bindings/arguments.hpp"

#include <pybind11/numpy.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "core/text.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {

std::string type_name(py::handle object) {
  return py::str(py::type::of(object).attr("__name__")).cast<std::string>();
}

py::object to_index(py::handle object, const std::string& name) {
  if (py::isinstance<py::bool_>(object) || PyIndex_Check(object.ptr()) == 0) {
    throw py::type_error(name + " must be an integer, not " + type_name(object));
  }
  auto integer = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
  if (!integer) throw py::error_already_set();
  return integer;
}

// A number of many digits has no text (Python refuses to make it), and nobody would read it.
std::string number_text(const py::object& integer) {
  const auto text = py::reinterpret_steal<py::str>(PyObject_Str(integer.ptr()));
  if (text) return printable(text.cast<std::string>(), 40);
  PyErr_Clear();
  return "a number of thousands of digits";
}

std::uint64_t to_seed(py::handle object, const std::string& name) {
  const py::object integer = to_index(object, name);
  const std::uint64_t seed = PyLong_AsUnsignedLongLong(integer.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw py::value_error(name + " = " + number_text(integer) +
                          " is out of range; allowed: 0 to 2**64 - 1");
  }
  return seed;
}

std::int64_t to_count(py::handle object, const std::string& name, std::int64_t low,
                      std::int64_t high) {
  const py::object integer = to_index(object, name);
  int overflow = 0;
  const std::int64_t value = PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow);
  if (overflow != 0 || value < low || value > high) {
    throw py::value_error(name + " = " + number_text(integer) + " is out of range; allowed: " +
                          std::to_string(low) + " to " + std::to_string(high));
  }
  return value;
}

std::vector<std::uint8_t> to_mask(const BatchEnv& batch, const py::object& mask) {
  if (mask.is_none()) return {};
  const auto array = py::module_::import("numpy").attr("asarray")(mask).cast<py::array>();
  const std::size_t envs = batch.num_envs();
  if (array.dtype().kind() != 'b') {
    throw py::type_error("mask must be boolean, not " + py::str(array.dtype()).cast<std::string>());
  }
  if (array.ndim() != 1 || static_cast<std::size_t>(array.shape(0)) != envs) {
    throw py::value_error("mask must have shape (" + std::to_string(envs) +
                          ",), one entry for each environment, not " +
                          py::str(array.attr("shape")).cast<std::string>());
  }
  const py::array_t<bool, py::array::c_style | py::array::forcecast> flags(array);
  std::vector<std::uint8_t> chosen(envs);
  for (std::size_t env = 0; env < envs; ++env) chosen[env] = flags.data()[env] ? 1 : 0;
  if (!batch.is_reset() && std::find(chosen.begin(), chosen.end(), 0) != chosen.end()) {
    throw std::runtime_error("the first reset() begins all environments; call it without a mask");
  }
  return chosen;
}

std::optional<std::vector<std::uint64_t>> to_seeds(const BatchEnv& batch, const py::object& seed,
                                                   const std::vector<std::uint8_t>& chosen) {
  const Py_ssize_t length = PyObject_Size(seed.ptr());
  const bool too_long = length < 0 && PyErr_ExceptionMatches(PyExc_OverflowError) != 0;
  if (length < 0 && !too_long) {
    if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw py::error_already_set();
    PyErr_Clear();
    return std::nullopt;
  }
  PyErr_Clear();
  const bool ordered = PySequence_Check(seed.ptr()) != 0 || py::hasattr(seed, "tolist");
  if (!ordered || PyUnicode_Check(seed.ptr()) || PyBytes_Check(seed.ptr())) {
    throw py::type_error("seed must be an integer or a sequence of them, not " + type_name(seed));
  }
  const std::size_t envs = batch.num_envs();
  const auto refuse = [&](const std::string& count) {
    return py::value_error("seed has " + count + " entries for " + std::to_string(envs) +
                           " environments");
  };
  if (too_long) throw refuse("more than 2**63");
  if (static_cast<std::size_t>(length) != envs) throw refuse(std::to_string(length));
  std::vector<std::uint64_t> seeds;
  for (const py::handle item : seed) {
    const std::size_t env = seeds.size();
    if (env == envs) throw refuse("more than " + std::to_string(envs));
    const bool ignored = !chosen.empty() && chosen[env] == 0;
    seeds.push_back(ignored ? 0 : to_seed(item, "seed[" + std::to_string(env) + "]"));
  }
  if (seeds.size() != envs) throw refuse(std::to_string(seeds.size()));
  return seeds;
}

void read_actions(const BatchEnv& batch, const py::object& actions,
                  std::vector<std::int32_t>& out) {
  const bool is_array = py::isinstance<py::array>(actions);
  const auto array = is_array
                         ? py::reinterpret_borrow<py::array>(actions)
                         : py::module_::import("numpy").attr("asarray")(actions).cast<py::array>();
  const auto envs = static_cast<py::ssize_t>(batch.num_envs());
  const auto agents = static_cast<py::ssize_t>(batch.num_agents());
  const char kind = array.dtype().kind();
  if (kind != 'i' && kind != 'u') {
    throw py::type_error("actions must be integers, not " +
                         py::str(array.dtype()).cast<std::string>());
  }
  if (array.ndim() != 2 || array.shape(0) != envs || array.shape(1) != agents) {
    throw py::value_error("actions must have shape (" + std::to_string(envs) + ", " +
                          std::to_string(agents) + "), environments by agents, not " +
                          py::str(array.attr("shape")).cast<std::string>());
  }
  const auto count = static_cast<std::size_t>(envs * agents);
  out.resize(count);
  // Copied, so that nobody can change them while the environments run.
  if (py::isinstance<py::array_t<std::int32_t, py::array::c_style>>(array)) {
    std::memcpy(out.data(), array.data(), count * sizeof out[0]);  // may be unaligned
  } else {
    const bool unsigned64 = kind == 'u' && array.itemsize() == 8;
    const py::array_t<std::int64_t, py::array::c_style | py::array::forcecast> wide(array);
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t value = wide.data()[i];
      out[i] = 0;
      if (batch.is_finished(i / batch.num_agents())) continue;  // does not act
      if (value < std::numeric_limits<std::int32_t>::min() ||
          value > std::numeric_limits<std::int32_t>::max() || (unsigned64 && value < 0)) {
        throw batch.action_error(i, unsigned64 ? std::to_string(static_cast<std::uint64_t>(value))
                                               : std::to_string(value));
      }
      out[i] = static_cast<std::int32_t>(value);
    }
  }
  batch.check_actions(out);
}

}  // namespace socialgrid::bindings
