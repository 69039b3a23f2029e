// Minds of scripted players for Python, which owns what they remember: arrays by name.
#include "bindings/players.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/arguments.hpp"
#include "bindings/arrays.hpp"
#include "bindings/batch.hpp"
#include "bindings/register.hpp"
#include "bindings/unlocked.hpp"
#include "players/kinds.hpp"
#include "players/rooms.hpp"
#include "players/streams.hpp"

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
  // As a handle: to pybind11 3.0, str of a dtype is ambiguous.
  std::string text = std::string(py::str(py::handle(dtype))) + " [";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

// An array of exactly this type and shape.
py::array array_of(const py::handle& object, const std::string& name, const py::dtype& dtype,
                   const std::vector<py::ssize_t>& shape) {
  const auto wanted = [&] {
    return name + " must be a C-contiguous array " + text_of(dtype, shape);
  };
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error(wanted() + ", not " + type_name(object));
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  constexpr int kNeeded = int{py::array::c_style} | int{py::detail::npy_api::NPY_ARRAY_ALIGNED_};
  const std::size_t rank = shape.size();
  if (static_cast<std::size_t>(array.ndim()) != rank ||
      !std::equal(shape.begin(), shape.end(), array.shape()) || !array.dtype().equal(dtype) ||
      (array.flags() & kNeeded) != kNeeded) {
    throw py::value_error(wanted() + ", got " +
                          text_of(array.dtype(), {array.shape(), array.shape() + array.ndim()}));
  }
  return array;
}

py::handle entry(const py::dict& arrays, const std::string& name) {
  const py::str key(name);
  if (!arrays.contains(key)) throw py::value_error("memory lacks '" + name + "'");
  return arrays[key];
}

// What a player remembers, held so that numpy neither frees nor moves it.
class Held {
 public:
  Held() = default;
  Held(const Mind& mind, const py::dict& arrays) {
    const auto envs = static_cast<py::ssize_t>(mind.role().num_envs);
    memory_.known = hold<std::uint8_t>(arrays, "known", py::dtype::of<bool>(), {envs});
    memory_.pos = hold<std::int32_t>(arrays, "pos", py::dtype::of<std::int32_t>(), {envs, 2});
    memory_.dir = hold<std::int32_t>(arrays, "dir", py::dtype::of<std::int32_t>(), {envs});
    memory_.action = hold<std::int32_t>(arrays, "action", py::dtype::of<std::int32_t>(), {envs});
    memory_.aside = hold<std::uint8_t>(arrays, "aside", py::dtype::of<bool>(), {envs});
    memory_.restart = hold<std::int64_t>(arrays, "restart", py::dtype::of<std::int64_t>(), {envs});
    py::ssize_t slots = 0;
    for (std::size_t i = 0; i < mind.columns().size(); ++i) {
      const Column& column = mind.columns()[i];
      if (column.rank > 0 && slots == 0) {
        const auto given = py::array::ensure(entry(arrays, column.name));
        slots = given && given.ndim() > 1 ? given.shape(1) : 0;
      }
      std::vector<py::ssize_t> shape{envs};
      shape.insert(shape.end(), static_cast<std::size_t>(column.rank), slots);
      memory_.own[i] = hold<void>(arrays, column.name, to_dtype(column.type), shape);
    }
    memory_.slots = static_cast<std::size_t>(slots);
  }

  const Memory& memory() const { return memory_; }

 private:
  template <typename T>
  T* hold(const py::dict& arrays, const std::string& name, const py::dtype& dtype,
          const std::vector<py::ssize_t>& shape) {
    const py::array array = array_of(entry(arrays, name), name, dtype, shape);
    if (!array.writeable()) throw py::value_error(name + " must be writeable");
    buffers_.push_back(py::reinterpret_borrow<py::buffer>(array).request(true));
    return static_cast<T*>(buffers_.back().ptr);
  }

  Memory memory_;
  std::vector<py::buffer_info> buffers_;
};

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
    between_steps(batch, [&](BatchEnv& worlds, players::MapStore& maps, Unlocked&) {
      mind_->check(worlds);
      slots = mind_->slots(worlds, maps);
    });
    return slots;
  }

  void bind(const py::dict& memory) { held_ = Held(*mind_, memory); }

  Playing playing() const {
    if (held_.memory().known == nullptr) throw std::runtime_error("bind() comes first");
    return {*mind_, held_.memory()};
  }

  py::object act(const py::object& batch, std::uint64_t calls) const {
    const Playing own = playing();
    auto actions = aligned_array<std::int32_t>({static_cast<py::ssize_t>(mind_->role().num_envs)});
    std::int32_t* const out = actions.mutable_data();
    bool roomy = false;
    between_steps(batch, [&](BatchEnv& worlds, players::MapStore& maps, Unlocked&) {
      roomy = own.has_room(worlds, maps);
      if (roomy) mind_->act({worlds, maps, own.memory, calls}, out);
    });
    return roomy ? py::object(actions) : py::none();
  }

  bool observe(const py::object& batch, std::uint64_t calls, const py::object& rewards,
               const py::object& done) const {
    const Playing own = playing();
    const auto envs = static_cast<py::ssize_t>(mind_->role().num_envs);
    const auto agents = static_cast<py::ssize_t>(mind_->role().num_agents);
    const py::array earned = array_of(rewards, "reward", py::dtype::of<float>(), {envs, agents});
    const py::array over = array_of(done, "done", py::dtype::of<bool>(), {envs});
    const auto* earned_data = static_cast<const float*>(earned.data());
    const auto* over_data = static_cast<const std::uint8_t*>(over.data());
    bool roomy = false;
    between_steps(batch, [&](BatchEnv& worlds, players::MapStore& maps, Unlocked&) {
      roomy = own.has_room(worlds, maps);
      if (roomy) mind_->observe({worlds, maps, own.memory, calls}, earned_data, over_data);
    });
    return roomy;
  }

 private:
  std::unique_ptr<const Mind> mind_;
  Held held_;
};

template <typename T>
void advise(const T* obs, std::size_t rows, std::size_t axes, bool opposite,
            const players::Draws& draws, std::int64_t* out) {
  std::vector<T> target(axes);
  for (std::size_t row = 0; row < rows; ++row, obs += 2 * axes) {
    for (std::size_t axis = 0; axis < axes; ++axis) {
      target[axis] = opposite ? players::opposite(obs[axes + axis], T(1)) : obs[axes + axis];
    }
    out[row] =
        players::walk_towards(obs, target.data(), axes, T(1), [&] { return draws.word(row); });
  }
}

// What somebody would do who sees these vectors [M, 2 D] of rooms: place and goal.
py::array room_advice(const py::array& obs, bool opposite, std::uint64_t seed, std::uint64_t agent,
                      std::uint64_t call) {
  const bool is_float = obs.dtype().equal(py::dtype::of<float>());
  const py::ssize_t rows = obs.ndim() == 2 ? obs.shape(0) : -1;
  const py::ssize_t columns = obs.ndim() == 2 ? obs.shape(1) : 0;
  if (columns < 2 || columns % 2 != 0) throw py::value_error("obs must be [M, 2 D]");
  const py::array seen = array_of(
      obs, "obs", is_float ? py::dtype::of<float>() : py::dtype::of<double>(), {rows, columns});
  auto advice = aligned_array<std::int64_t>({rows});
  std::int64_t* const out = advice.mutable_data();
  const void* const data = seen.data();
  const Unlocked unlocked;
  const players::Draws draws(seed, agent, call, 0);
  const auto count = static_cast<std::size_t>(rows), axes = static_cast<std::size_t>(columns / 2);
  if (is_float) {
    advise(static_cast<const float*>(data), count, axes, opposite, draws, out);
  } else {
    advise(static_cast<const double*>(data), count, axes, opposite, draws, out);
  }
  return advice;
}

}  // namespace

Playing playing(py::handle mind) { return mind.cast<const PyMind&>().playing(); }

void register_players(py::module_& module) {
  py::class_<PyMind>(module, "Mind", "How a scripted player chooses; see socialgrid.players.")
      .def(py::init<const std::string&, const py::dict&, const std::map<std::string, double>&>(),
           py::arg("kind"), py::arg("role"), py::arg("numbers"))
      .def("columns", &PyMind::columns)
      .def("slots", &PyMind::slots)
      .def("slots_in", &PyMind::slots_in, py::arg("batch"))
      .def("bind", &PyMind::bind, py::arg("memory"), "Remember by these arrays, in place.")
      .def("act", &PyMind::act, py::arg("batch"), py::arg("calls"),
           "Actions [E]; None, and nothing is changed: slots_in(batch) is more than there is.")
      .def("observe", &PyMind::observe, py::arg("batch"), py::arg("calls"), py::arg("rewards"),
           py::arg("done"), "False, and nothing is changed: as None in act().");
  module.def("room_advice", &room_advice, py::arg("obs"), py::arg("opposite"), py::arg("seed"),
             py::arg("agent"), py::arg("call"), "What a scripted adviser says in rooms.");
}

}  // namespace socialgrid::bindings
