#include "register.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The simulator: worlds, rules, views and batches.";
  socialgrid::bindings::register_games(module);
  socialgrid::bindings::register_batch(module);
  socialgrid::bindings::register_tools(module);
}
