// Arrays by name, whose kind is looked at before their memory is.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <string>
#include <vector>

namespace socialgrid::bindings {

// Every question raises a ValueError that names the array where it is not what is asked for: there,
// of this type and shape, without gaps. Pointers hold as long as the arrays do.
class GivenArrays {
 public:
  explicit GivenArrays(const pybind11::dict& arrays) : arrays_(arrays) {}

  bool has(const std::string& name) const { return arrays_.contains(name.c_str()); }
  std::vector<std::int64_t> shape(const std::string& name, int dimensions) const;

  template <typename T>
  const T* readable(const std::string& name, const std::vector<std::int64_t>& shape) const {
    return static_cast<const T*>(checked(name, pybind11::dtype::of<T>(), shape).data());
  }
  template <typename T>
  T* writable(const std::string& name, const std::vector<std::int64_t>& shape) const {
    pybind11::array found = checked(name, pybind11::dtype::of<T>(), shape);
    if (!found.writeable()) throw pybind11::value_error(name + ": must be writable");
    return static_cast<T*>(found.mutable_data());
  }

 private:
  pybind11::array named(const std::string& name) const;
  pybind11::array checked(const std::string& name, const pybind11::dtype& dtype,
                          const std::vector<std::int64_t>& shape) const;

  pybind11::dict arrays_;
};

}  // namespace socialgrid::bindings
