#include "bindings/register.hpp"

// Defined by PYBIND11_MODULE below.
extern "C" PyObject* PyInit__core_of_main();

// Importing into a sub-interpreter would wait for ever inside pybind11, for a lock of the main one.
extern "C" PYBIND11_EXPORT PyObject* PyInit__core();
extern "C" PyObject* PyInit__core() {
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
    PyErr_SetString(
        PyExc_ImportError,
        "socialgrid works in the main interpreter only, not in a sub-interpreter; use a "
        "process instead");
    return nullptr;
  }
  return PyInit__core_of_main();
}

PYBIND11_MODULE(_core_of_main, module) {
  module.doc() = "The simulator: worlds, rules, views and batches.";
  socialgrid::bindings::register_games(module);
  socialgrid::bindings::register_batch(module);
  socialgrid::bindings::register_tools(module);
  socialgrid::bindings::register_players(module);
#if defined(SOCIALGRID_LEARNING)
  socialgrid::bindings::register_learning(module);
  socialgrid::bindings::register_collecting(module);
#endif
}
