// Minds of scripted players for Python, which owns what they remember: arrays by name.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bindings/arguments.hpp"
#include "bindings/arrays.hpp"
#include "bindings/batch.hpp"
#include "bindings/register.hpp"
#include "players/kinds.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using players::Column;
using players::ColumnType;
using players::Memory;
using players::Mind;

py::dtype to_dtype(ColumnType type) {
  switch (type) {
    case ColumnType::kBool:
      return py::dtype::of<bool>();
    case ColumnType::kInt32:
      return py::dtype::of<std::int32_t>();
    case ColumnType::kInt64:
      break;
  }
  return py::dtype::of<std::int64_t>();
}

std::string text_of(const py::dtype& dtype, const std::vector<py::ssize_t>& shape) {
  std::string text = py::str(dtype).cast<std::string>() + " [";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

// The memory of an array of exactly this type and shape.
void* data_of(const py::handle& object, const std::string& name, const py::dtype& dtype,
              const std::vector<py::ssize_t>& shape, bool writeable) {
  const std::string wanted = std::string(writeable ? "a writeable " : "a ") +
                             "C-contiguous array " + text_of(dtype, shape);
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error(name + " must be " + wanted + ", not " + type_name(object));
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  const std::vector<py::ssize_t> given(array.shape(), array.shape() + array.ndim());
  constexpr int kNeeded = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if (given != shape || !array.dtype().equal(dtype) || (array.flags() & kNeeded) != kNeeded ||
      (writeable && !array.writeable())) {
    throw py::value_error(name + " must be " + wanted + ", got " + text_of(array.dtype(), given));
  }
  return const_cast<void*>(array.data());
}

py::handle entry(const py::dict& arrays, const std::string& name) {
  const py::str key(name);
  if (!arrays.contains(key)) throw py::value_error("memory lacks '" + name + "'");
  return arrays[key];
}

Memory to_memory(const Mind& mind, const py::dict& arrays) {
  const auto envs = static_cast<py::ssize_t>(mind.role().num_envs);
  const auto data = [&](const char* name, const py::dtype& dtype, bool pairs = false) {
    std::vector<py::ssize_t> shape{envs};
    if (pairs) shape.push_back(2);
    return data_of(entry(arrays, name), name, dtype, shape, true);
  };
  const py::dtype flag = py::dtype::of<bool>(), integer = py::dtype::of<std::int32_t>();
  Memory memory;
  memory.known = static_cast<std::uint8_t*>(data("known", flag));
  memory.pos = static_cast<std::int32_t*>(data("pos", integer, true));
  memory.dir = static_cast<std::int32_t*>(data("dir", integer));
  memory.action = static_cast<std::int32_t*>(data("action", integer));
  memory.aside = static_cast<std::uint8_t*>(data("aside", flag));
  memory.restart = static_cast<std::int64_t*>(data("restart", py::dtype::of<std::int64_t>()));
  py::ssize_t slots = 0;
  for (std::size_t i = 0; i < mind.columns().size(); ++i) {
    const Column& column = mind.columns()[i];
    const py::handle array = entry(arrays, column.name);
    if (column.rank > 0 && slots == 0) {
      if (!py::isinstance<py::array>(array)) {
        throw py::type_error(column.name + " must be an array, not " + type_name(array));
      }
      const auto found = py::reinterpret_borrow<py::array>(array);
      slots = found.ndim() > 1 ? found.shape(1) : 0;
    }
    std::vector<py::ssize_t> shape{envs};
    shape.insert(shape.end(), static_cast<std::size_t>(column.rank), slots);
    memory.own[i] = data_of(array, column.name, to_dtype(column.type), shape, true);
  }
  memory.slots = static_cast<std::size_t>(slots);
  return memory;
}

class PyMind {
 public:
  PyMind(const std::string& kind, const py::dict& role,
         const std::map<std::string, double>& numbers) {
    const auto count = [&](const char* name, std::int64_t low, std::int64_t high) {
      return to_count(entry(role, name), name, low, high);
    };
    players::Role known;
    known.game = entry(role, "game").cast<std::string>();
    known.num_envs = static_cast<std::size_t>(count("num_envs", 1, std::int64_t{1} << 24));
    known.num_agents = static_cast<std::size_t>(count("num_agents", 1, kMaxAgents));
    known.agent = static_cast<std::size_t>(
        count("agent", 0, static_cast<std::int64_t>(known.num_agents) - 1));
    known.num_actions = static_cast<int>(count("num_actions", 1, 1 << 16));
    known.idle_action = static_cast<std::int32_t>(count("idle_action", 0, 1 << 16));
    known.can_block = entry(role, "can_block").cast<bool>();
    known.seed = to_seed(entry(role, "seed"));
    known.first_env_index = to_seed(entry(role, "first_env_index"), "first_env_index");
    known.error_rate = entry(role, "error_rate").cast<double>();
    mind_ = players::make_mind(kind, std::move(known), players::Numbers(numbers));
  }

  // (name, dtype, how many times `slots`, what is there when an episode begins)
  py::list columns() const {
    py::list out;
    for (const Column& column : mind_->columns()) {
      out.append(py::make_tuple(column.name, to_dtype(column.type), column.rank, column.fallback));
    }
    return out;
  }

  std::size_t slots() const { return mind_->slots(); }

  std::size_t slots_in(const py::object& batch) const {
    std::size_t slots = 0;
    between_steps(batch, [&](BatchEnv& worlds, players::MapStore& maps) {
      mind_->check(worlds);
      slots = mind_->slots(worlds, maps);
    });
    return slots;
  }

  py::array act(const py::object& batch, const py::dict& arrays, std::uint64_t calls) const {
    const Memory memory = to_memory(*mind_, arrays);
    auto actions = aligned_array<std::int32_t>({static_cast<py::ssize_t>(mind_->role().num_envs)});
    std::int32_t* const out = actions.mutable_data();
    between_steps(batch, [&](BatchEnv& worlds, players::MapStore& maps) {
      check(worlds, maps, memory);
      mind_->act({worlds, maps, memory, calls}, out);
    });
    return actions;
  }

  void observe(const py::object& batch, const py::dict& arrays, std::uint64_t calls,
               const py::object& reward, const py::object& done) const {
    const Memory memory = to_memory(*mind_, arrays);
    const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(mind_->role().num_envs)};
    const auto* earned = static_cast<const double*>(
        data_of(reward, "reward", py::dtype::of<double>(), shape, false));
    const auto* over = static_cast<const std::uint8_t*>(
        data_of(done, "done", py::dtype::of<bool>(), shape, false));
    between_steps(batch, [&](BatchEnv& worlds, players::MapStore& maps) {
      check(worlds, maps, memory);
      mind_->observe({worlds, maps, memory, calls}, earned, over);
    });
  }

 private:
  void check(BatchEnv& worlds, players::MapStore& maps, const Memory& memory) const {
    mind_->check(worlds);
    const std::size_t slots = mind_->slots(worlds, maps);
    if (memory.slots < slots) {
      throw std::invalid_argument("memory has room for " + std::to_string(memory.slots) +
                                  " targets, and there are " + std::to_string(slots));
    }
  }

  std::unique_ptr<const Mind> mind_;
};

}  // namespace

void register_players(py::module_& module) {
  py::class_<PyMind>(module, "Mind", "How a scripted player chooses; see socialgrid.players.")
      .def(py::init<const std::string&, const py::dict&, const std::map<std::string, double>&>(),
           py::arg("kind"), py::arg("role"), py::arg("numbers"))
      .def("columns", &PyMind::columns)
      .def("slots", &PyMind::slots)
      .def("slots_in", &PyMind::slots_in, py::arg("batch"))
      .def("act", &PyMind::act, py::arg("batch"), py::arg("memory"), py::arg("calls"))
      .def("observe", &PyMind::observe, py::arg("batch"), py::arg("memory"), py::arg("calls"),
           py::arg("reward"), py::arg("done"));
}

}  // namespace socialgrid::bindings
