// Configuration values between Python and C++.
#pragma once

#include <pybind11/pybind11.h>

#include "core/config.hpp"

namespace socialgrid::bindings {

// A str as UTF-8, for names: what no name has is kept as an escape. Throws TypeError.
std::string to_text(pybind11::handle object, const std::string& name);
// Throws ConfigError for what is no value of an option; reads no more of one than an option needs.
Values to_values(const pybind11::dict& config);
pybind11::object from_value(const Value& value);

}  // namespace socialgrid::bindings
