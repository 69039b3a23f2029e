// BatchEnv for Python: checks arguments, lends memory, releases the GIL while environments run.
#include "bindings/batch.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "bindings/arguments.hpp"
#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "bindings/results.hpp"
#include "bindings/unlocked.hpp"
#include "bindings/values.hpp"
#include "bindings/worlds.hpp"
#include "core/memory.hpp"

#ifdef _WIN32
#include <process.h>
#else
#include <unistd.h>
#endif

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

constexpr std::int64_t kMaxEnvs = std::int64_t{1} << 24;
constexpr int kMaxThreads = 1024;
constexpr int kSignalCheckMilliseconds = 50;

int process_id() {
#ifdef _WIN32
  return _getpid();
#else
  return getpid();
#endif
}

constexpr std::array<const char*, 3> kAutoresetNames = {"same_step", "next_step", "disabled"};

Autoreset to_autoreset(const std::string& name) {
  const auto found = std::find(kAutoresetNames.begin(), kAutoresetNames.end(), name);
  if (found == kAutoresetNames.end()) {
    throw py::value_error("autoreset must be 'same_step', 'next_step' or 'disabled', not '" + name +
                          "'");
  }
  return static_cast<Autoreset>(found - kAutoresetNames.begin());
}

class PyBatch {
 public:
  PyBatch(const py::object& game, const py::dict& config, const py::object& num_envs,
          const py::object& num_threads, const py::object& seed, const py::object& first_env_index,
          const py::object& obs_mode, const py::object& autoreset)
      : process_(process_id()) {
    const std::int64_t envs = to_count(num_envs, "num_envs", 1, kMaxEnvs);
    const std::int64_t threads = to_count(num_threads, "num_threads", 0, kMaxThreads);
    const std::uint64_t seed_value = to_seed(seed);
    const std::uint64_t first = to_seed(first_env_index, "first_env_index");
    const Autoreset ends = to_autoreset(to_text(autoreset, "autoreset"));
    std::shared_ptr<const Game> made = make_game(to_text(game, "game"), to_values(config));
    const ObsMode mode = obs_mode.is_none() ? made->obs_modes().front()
                                            : obs_mode_of(*made, to_text(obs_mode, "obs_mode"));
    batch_ = std::make_unique<BatchEnv>(std::move(made), static_cast<std::size_t>(envs),
                                        static_cast<int>(threads), seed_value, first, mode, ends);
    background_ = std::make_unique<BackgroundTask>();
    results_.emplace(*batch_);
  }

  ~PyBatch() {
    if (process_id() != process_) {
      // The threads stayed in the parent; joining them here would wait for ever.
      static_cast<void>(batch_.release());
      static_cast<void>(background_.release());
      return;
    }
    const Unlocked unlocked;
    background_.reset();
    batch_.reset();
  }

  py::tuple reset(const py::object& seed, const py::object& mask) {
    const Use use(*this);
    const std::vector<std::uint8_t> chosen = to_mask(*batch_, mask);
    const std::optional<std::vector<std::uint64_t>> seeds = to_seeds(*batch_, seed, chosen);
    const Arrays arrays = results_->for_views();
    const ObserveBuffers out = observe_buffers(arrays);
    if (seeds) {
      const Unlocked unlocked;
      batch_->reset(*seeds, out, chosen);
    } else if (!seed.is_none()) {
      const std::uint64_t value = to_seed(seed);
      const Unlocked unlocked;
      batch_->reset(value, out, chosen);
    } else {
      const Unlocked unlocked;
      batch_->reset(out, chosen);
    }
    py::dict info;
    info["active"] = arrays[kActive].object;
    info["visible"] = arrays[kVisible].object;
    info["last_actions"] = arrays[kLastActions].object;
    return py::make_tuple(arrays[kObs].object, info);
  }

  py::tuple step(const py::object& actions, const py::object& out) {
    const Use use(*this);
    prepare(actions, out);
    {
      const Unlocked unlocked;
      batch_->step(actions_, step_buffers(pending_));
    }
    return results_->of_step(std::exchange(pending_, {}));
  }

  BoundOut bind(const py::object& out) {
    const Use use(*this, kMayBeInFlight);
    return results_->bind(out);
  }

  void send(const py::object& actions, const py::object& out) {
    const Use use(*this);
    prepare(actions, out);
    const StepBuffers buffers = step_buffers(pending_);
    background_->start([this, buffers] { batch_->step(actions_, buffers); });
    in_flight_ = true;
  }

  py::tuple recv() {
    const Use use(*this, kMayBeInFlight);
    if (!in_flight_) throw std::runtime_error("recv() without send(); call send(actions) first");
    for (bool finished = false; !finished;) {
      {
        const Unlocked unlocked;
        finished = background_->wait(kSignalCheckMilliseconds);
      }
      // After an interruption the step goes on and a later recv() returns it.
      if (!finished && PyErr_CheckSignals() != 0) throw py::error_already_set();
    }
    in_flight_ = false;
    background_->collect();
    return results_->of_step(std::exchange(pending_, {}));
  }

  void between_steps(const BetweenSteps& work) {
    const Use use(*this);
    require_reset("act");
    Unlocked unlocked;
    work(*batch_, maps_, unlocked);
  }

  void inject_failure(const py::object& env, std::size_t later) {
    const Use use(*this);
    batch_->inject_failure(env_index(env), later);
  }

  py::object observe() {
    const Use use(*this);
    require_reset("observe");
    const Arrays arrays = results_->for_views();
    const ObserveBuffers out = observe_buffers(arrays);
    {
      const Unlocked unlocked;
      batch_->observe(out);
    }
    return arrays[kObs].object;
  }

  py::bytes get_state() {
    const Use use(*this, kIdle, kAnyProcess);
    try {
      const std::vector<std::byte> bytes = batch_->snapshot();
      return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    } catch (const std::bad_alloc&) {
      throw OutOfMemory(2 * batch_->num_envs() * batch_->state_bytes_per_env(), "a snapshot");
    }
  }

  void set_state(const py::bytes& state) {
    const Use use(*this);
    const std::string_view view = state;
    batch_->restore({reinterpret_cast<const std::byte*>(view.data()), view.size()});
  }

  py::dict get_layout(const py::object& env) {
    const Use use(*this);
    require_reset("get_layout");
    return from_layout(batch_->layout(env_index(env)));
  }

  void set_layout(const py::object& env, const std::vector<std::string>& cells,
                  const std::vector<std::pair<int, int>>& agent_pos,
                  const std::vector<int>& agent_dir, const std::vector<bool>& agent_active,
                  const py::dict& agent_fields, int step,
                  const std::map<std::pair<int, int>, std::string>& details) {
    const Use use(*this);
    require_reset("set_layout");
    batch_->set_layout(env_index(env), {cells, agent_pos, agent_dir, agent_active,
                                        to_agent_fields(agent_fields), step, details});
  }

  py::dict worlds(const py::list& fields) {
    const Use use(*this);
    require_reset("worlds");
    return to_arrays(*batch_, fields);
  }

  py::array render(const py::object& env, const py::object& tile_size) {
    const Use use(*this);
    require_reset("render");
    const std::int64_t side = to_count(tile_size, "tile_size", 1, 256);
    const std::size_t index = env_index(env);
    const WorldShape& shape = batch_->spec().shape;
    const std::string purpose = "a picture of " + std::to_string(shape.rows * side) + " x " +
                                std::to_string(shape.cols * side) + " pixels, twice";
    const std::uint64_t bytes = 6 * shape.num_cells() * static_cast<std::uint64_t>(side * side);
    require_memory(bytes, purpose);
    std::vector<std::uint8_t> pixels;
    try {
      pixels = batch_->render(index, static_cast<int>(side));
    } catch (const std::bad_alloc&) {
      throw OutOfMemory(bytes, purpose);
    }
    auto image = aligned_array<std::uint8_t>({shape.rows * side, shape.cols * side, 3});
    std::copy(pixels.begin(), pixels.end(), image.mutable_data());
    return image;
  }

  py::array tile_atlas() {
    const Use use(*this, kMayBeInFlight);
    const TilePictures atlas = batch_->observer().tile_pictures();
    auto out = aligned_array<std::uint8_t>({atlas.count, atlas.side, atlas.side, 3});
    std::copy(atlas.pixels.begin(), atlas.pixels.end(), out.mutable_data());
    return out;
  }

  void close() {
    if (batch_ == nullptr) return;
    const Use use(*this, kMayBeInFlight);
    {
      const Unlocked unlocked;
      background_.reset();  // finishes a step under way
      batch_.reset();
      maps_ = {};
    }
    in_flight_ = false;
    pending_ = {};
  }

  bool closed() const { return batch_ == nullptr; }

  // Facts for the Python wrapper, as one dictionary.
  py::dict facts() {
    const Use use(*this, kMayBeInFlight);
    const GameSpec& spec = batch_->spec();
    py::dict config;
    for (const auto& [name, value] : spec.config) config[py::str(name)] = from_value(value);
    py::dict out;
    out["game"] = spec.name;
    out["config"] = config;
    out["num_envs"] = batch_->num_envs();
    out["num_agents"] = batch_->num_agents();
    out["num_threads"] = batch_->num_threads();
    out["action_counts"] = py::tuple(py::cast(spec.action_counts));
    out["action_names"] = py::tuple(py::cast(spec.action_names));
    out["event_names"] = py::tuple(py::cast(spec.event_names));
    std::vector<std::string> agent_fields;
    for (const AgentField& field : spec.agent_fields) {
      if (field.shown) agent_fields.push_back(field.name);
    }
    out["agent_fields"] = py::tuple(py::cast(agent_fields));
    out["max_steps"] = spec.max_steps;
    out["grid_shape"] = py::make_tuple(spec.shape.rows, spec.shape.cols);
    out["obs_shape"] = py::tuple(py::cast(batch_->observer().shape()));
    out["obs_dtype"] = to_dtype(batch_->observer().type());
    out["obs_mode"] = name_of(batch_->observer().mode());
    out["autoreset"] = kAutoresetNames[static_cast<std::size_t>(batch_->autoreset())];
    out["state_bytes_per_env"] = batch_->state_bytes_per_env();
    return out;
  }

 private:
  enum Phase { kIdle, kMayBeInFlight };
  enum Process { kOwnProcess, kAnyProcess };  // any: what needs no threads works after fork(), too

  // Refuses use after close, in a forked child, from two threads at once, or during a sent step.
  class Use {
   public:
    explicit Use(PyBatch& owner, Phase phase = kIdle, Process process = kOwnProcess)
        : owner_(owner) {
      if (process == kOwnProcess && process_id() != owner.process_) {
        throw std::runtime_error(
            "this environment was made in another process and its threads did not come along "
            "through fork(); make it, or a copy of it, in the process that uses it");
      }
      if (owner.in_use_.exchange(true)) {
        throw std::runtime_error(
            "another thread is using this environment; give each thread its own");
      }
      if (owner.batch_ == nullptr) {
        owner.in_use_ = false;
        throw std::runtime_error("this environment is closed; make a new one with make_vec()");
      }
      if (phase == kIdle && owner.in_flight_) {
        owner.in_use_ = false;
        throw std::runtime_error("a step is under way; call recv() first");
      }
    }
    ~Use() { owner_.in_use_ = false; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    PyBatch& owner_;
  };

  std::size_t env_index(const py::object& env) const {
    const py::object integer = to_index(env, "the index of an environment");
    const auto last = static_cast<std::int64_t>(batch_->num_envs()) - 1;
    int overflow = 0;
    const std::int64_t index = PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow);
    if (overflow != 0 || index < 0 || index > last) {
      throw py::index_error("environment " + number_text(integer) +
                            " does not exist; allowed: 0 to " + std::to_string(last));
    }
    return static_cast<std::size_t>(index);
  }

  void require_reset(const char* what) const {
    if (!batch_->is_reset()) {
      throw std::runtime_error(std::string("call reset() before ") + what + "()");
    }
  }

  // Checks everything a step needs; nothing changes if it throws.
  void prepare(const py::object& actions, const py::object& out) {
    require_reset("step");
    read_actions(*batch_, actions, actions_);
    pending_ = results_->for_step(out);
  }

  int process_;
  std::atomic<bool> in_use_{false};
  bool in_flight_ = false;
  std::optional<Results> results_;
  std::vector<std::int32_t> actions_;
  Arrays pending_;
  std::unique_ptr<BatchEnv> batch_;
  std::unique_ptr<BackgroundTask> background_;
  players::MapStore maps_;
};

py::bytes to_bytes(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> of_bytes(const py::bytes& bytes) {
  const std::string_view view = bytes;
  return {reinterpret_cast<const std::byte*>(view.data()), view.size()};
}

py::bytes take_from_state(const py::bytes& state, std::size_t first, std::size_t count) {
  return to_bytes(take_from_snapshot(of_bytes(state), first, count));
}

py::bytes join_states(const std::vector<py::bytes>& states) {
  std::vector<std::span<const std::byte>> parts;
  for (const py::bytes& state : states) parts.push_back(of_bytes(state));
  return to_bytes(join_snapshots(parts));
}

}  // namespace

void between_steps(py::handle batch, const BetweenSteps& work) {
  batch.cast<PyBatch&>().between_steps(work);
}

void register_batch(py::module_& module) {
  module.def("clear_rest", &ArrayPool::clear_rest, py::arg("final_obs"),
             "Write the zeros that a step left out of its final_obs.");
  py::register_exception<ActionError>(module, "ActionError", PyExc_ValueError);
  py::register_exception<LayoutError>(module, "LayoutError", PyExc_ValueError);
  py::register_exception<SnapshotError>(module, "SnapshotError", PyExc_ValueError);
  py::register_exception<FinishedError>(module, "FinishedError", PyExc_RuntimeError);
  py::register_exception<EnvStepError>(module, "EnvStepError", PyExc_RuntimeError);

  module.def("take_from_state", &take_from_state, py::arg("state"), py::arg("first"),
             py::arg("count"), "Some environments of a snapshot, as a snapshot of only them.");
  module.def("join_states", &join_states, py::arg("states"),
             "One snapshot from those of batches whose environments follow each other.");

  py::class_<PyBatch>(module, "BatchEnv", "A batch of environments; see socialgrid.VecEnv.")
      .def(py::init<const py::object&, const py::dict&, const py::object&, const py::object&,
                    const py::object&, const py::object&, const py::object&, const py::object&>(),
           py::arg("game"), py::arg("config"), py::arg("num_envs"), py::arg("num_threads"),
           py::arg("seed"), py::arg("first_env_index"), py::arg("obs_mode"), py::arg("autoreset"))
      .def("facts", &PyBatch::facts)
      .def("reset", &PyBatch::reset, py::arg("seed"), py::arg("mask"))
      .def("step", &PyBatch::step, py::arg("actions"), py::arg("out"))
      .def("send", &PyBatch::send, py::arg("actions"), py::arg("out"))
      .def("recv", &PyBatch::recv)
      .def("inject_failure", &PyBatch::inject_failure, py::arg("env"), py::arg("later"))
      .def("observe", &PyBatch::observe)
      .def("get_state", &PyBatch::get_state)
      .def("set_state", &PyBatch::set_state, py::arg("state"))
      .def("get_layout", &PyBatch::get_layout, py::arg("env"))
      .def("set_layout", &PyBatch::set_layout, py::arg("env"), py::arg("cells"),
           py::arg("agent_pos"), py::arg("agent_dir"), py::arg("agent_active"),
           py::arg("agent_fields"), py::arg("step"), py::arg("details"))
      .def("worlds", &PyBatch::worlds, py::arg("fields"))
      .def("render", &PyBatch::render, py::arg("env"), py::arg("tile_size"))
      .def("tile_atlas", &PyBatch::tile_atlas)
      .def("close", &PyBatch::close)
      .def_property_readonly("closed", &PyBatch::closed);
  py::class_<BoundOut>(module, "BoundOut", "Memory for results; see socialgrid.VecEnv.bind.")
      .def(py::init([](PyBatch& batch, const py::object& out) { return batch.bind(out); }),
           py::arg("batch"), py::arg("out"));
}

}  // namespace socialgrid::bindings
