// Configuration values between Python and C++.
#pragma once

#include <pybind11/pybind11.h>

#include "socialgrid/config.hpp"

namespace socialgrid::bindings {

Value to_value(pybind11::handle object, const std::string& name);
Values to_values(const pybind11::dict& config);
pybind11::object from_value(const Value& value);

}  // namespace socialgrid::bindings
