// One function a category of bindings; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

namespace socialgrid::bindings {

void register_games(pybind11::module_& module);
void register_batch(pybind11::module_& module);
void register_tools(pybind11::module_& module);
void register_players(pybind11::module_& module);
void register_learning(pybind11::module_& module);
void register_collecting(pybind11::module_& module);

}  // namespace socialgrid::bindings
