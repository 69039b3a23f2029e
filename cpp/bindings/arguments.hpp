// Arguments as the core takes them: integers, masks, seeds, actions; or an error that says what is
// wrong with them.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/batch.hpp"

namespace socialgrid::bindings {

std::string type_name(pybind11::handle object);
// A Python int; booleans and numbers with a fraction are refused.
pybind11::object to_index(pybind11::handle object, const std::string& name);
// An integer for a message.
std::string number_text(const pybind11::object& integer);
std::uint64_t to_seed(pybind11::handle object, const std::string& name = "seed");
std::int64_t to_count(pybind11::handle object, const std::string& name, std::int64_t low,
                      std::int64_t high);

// Which environments to reset, as bytes [E]; empty: all.
std::vector<std::uint8_t> to_mask(const BatchEnv& batch, const pybind11::object& mask);
// One seed for each environment, or nothing where `seed` has no length. The length is compared
// first, and no further item is asked for: a range may be endless in all but name. Entries of
// environments that are not reset are not looked at.
std::optional<std::vector<std::uint64_t>> to_seeds(const BatchEnv& batch,
                                                   const pybind11::object& seed,
                                                   const std::vector<std::uint8_t>& chosen);
// Checked actions [E, A], copied, so that nobody can change them while the environments run.
void read_actions(const BatchEnv& batch, const pybind11::object& actions,
                  std::vector<std::int32_t>& out);

}  // namespace socialgrid::bindings
