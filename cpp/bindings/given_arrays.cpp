#include "given_arrays.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

std::string text_of(const std::vector<std::int64_t>& shape) {
  std::string found;
  for (const std::int64_t size : shape) {
    found += (found.empty() ? "[" : ", ") + std::to_string(size);
  }
  return found + "]";
}

}  // namespace

py::array GivenArrays::named(const std::string& name) const {
  if (!has(name)) throw py::value_error(name + ": missing");
  const py::object found = arrays_[name.c_str()];
  if (!py::isinstance<py::array>(found)) throw py::value_error(name + ": must be an array");
  return py::reinterpret_borrow<py::array>(found);
}

std::vector<std::int64_t> GivenArrays::shape(const std::string& name, int dimensions) const {
  const py::array found = named(name);
  if (found.ndim() != dimensions) {
    throw py::value_error(name + ": must have " + std::to_string(dimensions) + " dimensions, not " +
                          std::to_string(found.ndim()));
  }
  return {found.shape(), found.shape() + found.ndim()};
}

py::array GivenArrays::checked(const std::string& name, const py::dtype& dtype,
                               const std::vector<std::int64_t>& shape) const {
  py::array found = named(name);
  const std::vector<std::int64_t> own(found.shape(), found.shape() + found.ndim());
  if (own != shape || !found.dtype().equal(dtype) || (found.flags() & py::array::c_style) == 0) {
    throw py::value_error(name + ": must be " + py::str(dtype).cast<std::string>() + " " +
                          text_of(shape) + " without gaps, not " +
                          py::str(found.dtype()).cast<std::string>() + " " + text_of(own));
  }
  return found;
}

}  // namespace socialgrid::bindings
