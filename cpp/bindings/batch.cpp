// BatchEnv for Python: checks arguments, lends memory, releases the GIL while environments run.
#include "core/batch.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "bindings/unlocked.hpp"
#include "bindings/values.hpp"
#include "core/memory.hpp"
#include "core/text.hpp"

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

std::string type_name(py::handle object) {
  return py::str(py::type::of(object).attr("__name__")).cast<std::string>();
}

// A Python int; booleans and numbers with a fraction are refused.
py::object to_index(py::handle object, const std::string& name) {
  if (py::isinstance<py::bool_>(object) || PyIndex_Check(object.ptr()) == 0) {
    throw py::type_error(name + " must be an integer, not " + type_name(object));
  }
  auto integer = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
  if (!integer) throw py::error_already_set();
  return integer;
}

// A number of many digits has no text (Python refuses to make it), and nobody would read it.
std::string number_text(const py::object& integer) {
  const auto text = py::reinterpret_steal<py::str>(PyObject_Str(integer.ptr()));
  if (text) return printable(text.cast<std::string>(), 40);
  PyErr_Clear();
  return "a number of thousands of digits";
}

std::uint64_t to_seed(py::handle object, const std::string& name = "seed") {
  const py::object integer = to_index(object, name);
  const std::uint64_t seed = PyLong_AsUnsignedLongLong(integer.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw py::value_error(name + " = " + number_text(integer) +
                          " is out of range; allowed: 0 to 2**64 - 1");
  }
  return seed;
}

std::int64_t to_count(py::handle object, const std::string& name, std::int64_t low,
                      std::int64_t high) {
  const py::object integer = to_index(object, name);
  int overflow = 0;
  const std::int64_t value = PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow);
  if (overflow != 0 || value < low || value > high) {
    throw py::value_error(name + " = " + number_text(integer) + " is out of range; allowed: " +
                          std::to_string(low) + " to " + std::to_string(high));
  }
  return value;
}

py::dtype to_dtype(ObsType type) {
  switch (type) {
    case ObsType::kUint8:
      return py::dtype::of<std::uint8_t>();
    case ObsType::kUint16:
      return py::dtype::of<std::uint16_t>();
    case ObsType::kFloat32:
      return py::dtype::of<float>();
  }
  throw std::logic_error("an observation type without a dtype");
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

// The arrays of a step, in the order of its results.
enum ArrayIndex {
  kObs,
  kReward,
  kTerminated,
  kTruncated,
  kDone,
  kFinalObs,
  kActive,
  kVisible,
  kLastActions,
  kEvents,  // of games that count events
  kNumArrays
};

using Arrays = std::array<ArrayPool::Handed, kNumArrays>;

// Memory of the caller for some results, checked once for many steps of one batch.
struct BoundOut {
  std::uint64_t batch;  // its number
  Arrays arrays;
};

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
    const ObsMode mode = obs_mode.is_none()
                             ? obs_modes(made->spec().view).front()
                             : obs_mode_of(made->spec(), to_text(obs_mode, "obs_mode"));
    batch_ = std::make_unique<BatchEnv>(std::move(made), static_cast<std::size_t>(envs),
                                        static_cast<int>(threads), seed_value, first, mode, ends);
    background_ = std::make_unique<BackgroundTask>();
    make_pools();
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
    const std::vector<std::uint8_t> chosen = to_mask(mask);
    const std::optional<Seeds> seeds = to_seeds(seed, chosen);
    Arrays arrays;
    for (const ArrayIndex index : {kObs, kActive, kVisible, kLastActions}) {
      arrays[index] = pools_[index].acquire();
    }
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
    return results();
  }

  BoundOut bind(const py::object& out) {
    const Use use(*this, kMayBeInFlight);
    return {number_, wrap_all(out)};
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
    return results();
  }

  void inject_failure(const py::object& env) {
    const Use use(*this);
    batch_->inject_failure(env_index(env));
  }

  py::object observe() {
    const Use use(*this);
    require_reset("observe");
    Arrays arrays;
    for (const ArrayIndex index : {kObs, kActive, kVisible, kLastActions}) {
      arrays[index] = pools_[index].acquire();
    }
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
    const Layout layout = batch_->layout(env_index(env));
    py::dict out;
    out["cells"] = layout.cells;
    out["agent_pos"] = layout.agent_pos;
    out["agent_dir"] = layout.agent_dir;
    out["agent_active"] = layout.agent_active;
    out["agent_carrying"] = layout.agent_carrying;
    out["agent_prestige"] = layout.agent_prestige;
    out["agent_last_tile"] = layout.agent_last_tile;
    out["step"] = layout.step;
    out["details"] = layout.details;
    return out;
  }

  void set_layout(const py::object& env, const std::vector<std::string>& cells,
                  const std::vector<std::pair<int, int>>& agent_pos,
                  const std::vector<int>& agent_dir, const std::vector<bool>& agent_active,
                  const std::vector<std::optional<std::string>>& agent_carrying,
                  const std::vector<double>& agent_prestige,
                  const std::vector<std::optional<int>>& agent_last_tile, int step,
                  const std::map<std::pair<int, int>, std::string>& details) {
    const Use use(*this);
    require_reset("set_layout");
    batch_->set_layout(env_index(env), {cells, agent_pos, agent_dir, agent_active, agent_carrying,
                                        agent_prestige, agent_last_tile, step, details});
  }

  py::dict worlds(const py::list& fields);

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
  using Seeds = std::vector<std::uint64_t>;
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

  void make_pools() {
    const auto envs = static_cast<py::ssize_t>(batch_->num_envs());
    const auto agents = static_cast<py::ssize_t>(batch_->num_agents());
    std::vector<py::ssize_t> obs_shape = {envs, agents};
    for (const std::size_t extent : batch_->observer().shape()) {
      obs_shape.push_back(static_cast<py::ssize_t>(extent));
    }
    const auto boolean = py::dtype::of<bool>();
    const py::dtype obs_dtype = to_dtype(batch_->observer().type());
    pools_.emplace_back("obs", obs_dtype, obs_shape);
    pools_.emplace_back("reward", py::dtype::of<float>(), std::vector{envs, agents});
    pools_.emplace_back("terminated", boolean, std::vector{envs, agents});
    pools_.emplace_back("truncated", boolean, std::vector{envs, agents});
    pools_.emplace_back("done", boolean, std::vector{envs});
    pools_.emplace_back("final_obs", obs_dtype, obs_shape);
    pools_.emplace_back("active", boolean, std::vector{envs, agents});
    pools_.emplace_back("visible", py::dtype::of<std::uint8_t>(),
                        std::vector{envs, agents, agents});
    pools_.emplace_back("last_actions", py::dtype::of<std::int32_t>(), std::vector{envs, agents});
    const auto kinds = static_cast<py::ssize_t>(batch_->spec().event_names.size());
    if (kinds == 0) return;
    pools_.emplace_back("events", py::dtype::of<std::uint8_t>(), std::vector{envs, agents, kinds});
  }

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

  // Which environments to reset, as bytes [E]; empty: all.
  std::vector<std::uint8_t> to_mask(const py::object& mask) const {
    if (mask.is_none()) return {};
    const auto array = py::module_::import("numpy").attr("asarray")(mask).cast<py::array>();
    const std::size_t envs = batch_->num_envs();
    if (array.dtype().kind() != 'b') {
      throw py::type_error("mask must be boolean, not " +
                           py::str(array.dtype()).cast<std::string>());
    }
    if (array.ndim() != 1 || static_cast<std::size_t>(array.shape(0)) != envs) {
      throw py::value_error("mask must have shape (" + std::to_string(envs) +
                            ",), one entry for each environment, not " +
                            py::str(array.attr("shape")).cast<std::string>());
    }
    const py::array_t<bool, py::array::c_style | py::array::forcecast> flags(array);
    std::vector<std::uint8_t> chosen(envs);
    for (std::size_t env = 0; env < envs; ++env) chosen[env] = flags.data()[env] ? 1 : 0;
    if (!batch_->is_reset() && std::find(chosen.begin(), chosen.end(), 0) != chosen.end()) {
      throw std::runtime_error("the first reset() begins all environments; call it without a mask");
    }
    return chosen;
  }

  // One seed for each environment, or nothing where `seed` has no length. The length is compared
  // first, and no further item is asked for: a range may be endless in all but name. Entries of
  // environments that are not reset are not looked at.
  std::optional<Seeds> to_seeds(const py::object& seed,
                                const std::vector<std::uint8_t>& chosen) const {
    const Py_ssize_t length = PyObject_Size(seed.ptr());
    const bool too_long = length < 0 && PyErr_ExceptionMatches(PyExc_OverflowError) != 0;
    if (length < 0 && !too_long) {
      if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw py::error_already_set();
      PyErr_Clear();
      return std::nullopt;
    }
    PyErr_Clear();
    const bool ordered = PySequence_Check(seed.ptr()) != 0 || py::hasattr(seed, "tolist");
    if (!ordered || PyUnicode_Check(seed.ptr()) || PyBytes_Check(seed.ptr())) {
      throw py::type_error("seed must be an integer or a sequence of them, not " + type_name(seed));
    }
    const std::size_t envs = batch_->num_envs();
    const auto refuse = [&](const std::string& count) {
      return py::value_error("seed has " + count + " entries for " + std::to_string(envs) +
                             " environments");
    };
    if (too_long) throw refuse("more than 2**63");
    if (static_cast<std::size_t>(length) != envs) throw refuse(std::to_string(length));
    Seeds seeds;
    for (const py::handle item : seed) {
      const std::size_t env = seeds.size();
      if (env == envs) throw refuse("more than " + std::to_string(envs));
      const bool ignored = !chosen.empty() && chosen[env] == 0;
      seeds.push_back(ignored ? 0 : to_seed(item, "seed[" + std::to_string(env) + "]"));
    }
    if (seeds.size() != envs) throw refuse(std::to_string(seeds.size()));
    return seeds;
  }

  void require_reset(const char* what) const {
    if (!batch_->is_reset()) {
      throw std::runtime_error(std::string("call reset() before ") + what + "()");
    }
  }

  // Checks everything a step needs; nothing changes if it throws.
  void prepare(const py::object& actions, const py::object& out) {
    require_reset("step");
    read_actions(actions);
    pending_ = take_arrays(out);
  }

  void read_actions(const py::object& actions) {
    const bool is_array = py::isinstance<py::array>(actions);
    const auto array =
        is_array ? py::reinterpret_borrow<py::array>(actions)
                 : py::module_::import("numpy").attr("asarray")(actions).cast<py::array>();
    const auto envs = static_cast<py::ssize_t>(batch_->num_envs());
    const auto agents = static_cast<py::ssize_t>(batch_->num_agents());
    const char kind = array.dtype().kind();
    if (kind != 'i' && kind != 'u') {
      throw py::type_error("actions must be integers, not " +
                           py::str(array.dtype()).cast<std::string>());
    }
    if (array.ndim() != 2 || array.shape(0) != envs || array.shape(1) != agents) {
      throw py::value_error("actions must have shape (" + std::to_string(envs) + ", " +
                            std::to_string(agents) + "), environments by agents, not " +
                            py::str(array.attr("shape")).cast<std::string>());
    }
    const auto count = static_cast<std::size_t>(envs * agents);
    actions_.resize(count);
    // Copied, so that nobody can change them while the environments run.
    if (py::isinstance<py::array_t<std::int32_t, py::array::c_style>>(array)) {
      std::memcpy(actions_.data(), array.data(), count * sizeof actions_[0]);  // may be unaligned
    } else {
      const bool unsigned64 = kind == 'u' && array.itemsize() == 8;
      const py::array_t<std::int64_t, py::array::c_style | py::array::forcecast> wide(array);
      for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t value = wide.data()[i];
        actions_[i] = 0;
        if (batch_->is_finished(i / batch_->num_agents())) continue;  // does not act
        if (value < std::numeric_limits<std::int32_t>::min() ||
            value > std::numeric_limits<std::int32_t>::max() || (unsigned64 && value < 0)) {
          throw batch_->action_error(i, unsigned64
                                            ? std::to_string(static_cast<std::uint64_t>(value))
                                            : std::to_string(value));
        }
        actions_[i] = static_cast<std::int32_t>(value);
      }
    }
    batch_->check_actions(actions_);
  }

  Arrays take_arrays(const py::object& out) {
    Arrays arrays;
    if (py::isinstance<BoundOut>(out)) {
      const auto& bound = out.cast<const BoundOut&>();
      if (bound.batch != number_) {
        throw py::value_error("out is bound to another environment; use this one's bind()");
      }
      arrays = bound.arrays;
    } else if (!out.is_none()) {
      arrays = wrap_all(out);
    }
    for (std::size_t i = 0; i < pools_.size(); ++i) {
      if (arrays[i].data != nullptr) continue;
      arrays[i] = pools_[i].acquire();
    }
    return arrays;
  }

  // The caller's memory for the results that it names.
  Arrays wrap_all(const py::object& out) const {
    Arrays arrays;
    if (!py::hasattr(out, "items")) {
      throw py::type_error("out must be a mapping from names to arrays, not " + type_name(out));
    }
    for (const py::handle entry : out.attr("items")()) {
      if (!py::isinstance<py::tuple>(entry) || py::len(entry) != 2) {
        throw py::type_error("out must be a mapping from names to arrays; its items() gave a " +
                             type_name(entry));
      }
      const auto pair = py::reinterpret_borrow<py::tuple>(entry);
      const std::string key = to_text(pair[0], "a name in out");
      const auto pool = std::find_if(pools_.begin(), pools_.end(),
                                     [&](const ArrayPool& p) { return p.name() == key; });
      if (pool == pools_.end()) {
        std::vector<std::string> names;
        for (const ArrayPool& p : pools_) names.push_back(p.name());
        const std::string near = nearest_name(key, names);
        throw py::key_error("out has no place '" + printable(key) + "'" +
                            (near.empty() ? "" : "; did you mean '" + near + "'?"));
      }
      arrays[static_cast<std::size_t>(pool - pools_.begin())] = pool->wrap(pair[1]);
    }
    refuse_overlaps(arrays);
    return arrays;
  }

  void refuse_overlaps(const Arrays& arrays) const {
    for (std::size_t i = 0; i < pools_.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (arrays[i].data == nullptr || arrays[j].data == nullptr) continue;
        if (arrays[i].data < arrays[j].data + pools_[j].bytes() &&
            arrays[j].data < arrays[i].data + pools_[i].bytes()) {
          throw py::value_error("out[\"" + pools_[j].name() + "\"] and out[\"" + pools_[i].name() +
                                "\"] share memory");
        }
      }
    }
  }

  static ObserveBuffers observe_buffers(const Arrays& arrays) {
    return {arrays[kObs].data, reinterpret_cast<std::uint8_t*>(arrays[kActive].data),
            reinterpret_cast<std::uint8_t*>(arrays[kVisible].data),
            reinterpret_cast<std::int32_t*>(arrays[kLastActions].data)};
  }

  static StepBuffers step_buffers(const Arrays& arrays) {
    const auto bytes = [&](ArrayIndex i) {
      return reinterpret_cast<std::uint8_t*>(arrays[i].data);
    };
    return {.obs = arrays[kObs].data,
            .reward = reinterpret_cast<float*>(arrays[kReward].data),
            .terminated = bytes(kTerminated),
            .truncated = bytes(kTruncated),
            .done = bytes(kDone),
            .final_obs = arrays[kFinalObs].data,
            .active = bytes(kActive),
            .visible = bytes(kVisible),
            .last_actions = reinterpret_cast<std::int32_t*>(arrays[kLastActions].data),
            .events = bytes(kEvents),
            // A user's own rows are left alone; a pool's may hold what somebody wrote into them.
            .clear_final_obs = arrays[kFinalObs].held.empty()};
  }

  py::tuple results() {
    const Arrays arrays = std::exchange(pending_, {});
    py::dict info;
    for (std::size_t i = kDone; i < pools_.size(); ++i) {
      info[py::str(pools_[i].name())] = arrays[i].object;
    }
    return py::make_tuple(arrays[kObs].object, arrays[kReward].object, arrays[kTerminated].object,
                          arrays[kTruncated].object, info);
  }

  static inline std::atomic<std::uint64_t> next_number_{0};
  const std::uint64_t number_ = next_number_++;
  int process_;
  std::atomic<bool> in_use_{false};
  bool in_flight_ = false;
  std::vector<ArrayPool> pools_;
  std::vector<std::int32_t> actions_;
  Arrays pending_;
  std::unique_ptr<BatchEnv> batch_;
  std::unique_ptr<BackgroundTask> background_;
};

py::dict PyBatch::worlds(const py::list& fields) {
  const Use use(*this);
  require_reset("worlds");
  const auto envs = static_cast<py::ssize_t>(batch_->num_envs());
  const auto agents = static_cast<py::ssize_t>(batch_->num_agents());
  const BatchEnv& batch = *batch_;
  const auto per_agent = [&]<typename T>(T, auto read) {
    auto out = aligned_array<T>({envs, agents});
    T* data = out.mutable_data();
    for (std::size_t env = 0; env < batch.num_envs(); ++env) {
      for (const Agent& agent : batch.world(env).agents()) *data++ = read(agent);
    }
    return out;
  };
  const auto per_env = [&]<typename T>(T, auto read) {
    auto out = aligned_array<T>({envs});
    for (std::size_t env = 0; env < batch.num_envs(); ++env) {
      out.mutable_data()[env] = read(batch.world(env).header());
    }
    return out;
  };
  const auto per_mark = [&](auto read) {
    auto out = aligned_array<std::int64_t>({envs});
    for (std::size_t env = 0; env < batch.num_envs(); ++env) {
      out.mutable_data()[env] = static_cast<std::int64_t>(read(batch.marks(env)));
    }
    return out;
  };
  py::dict out;
  for (const py::handle name : fields) {
    const std::string field = to_text(name, "a field");
    py::object value;
    if (field == "agent_pos") {
      auto positions = aligned_array<std::int32_t>({envs, agents, 2});
      std::int32_t* data = positions.mutable_data();
      for (std::size_t env = 0; env < batch.num_envs(); ++env) {
        for (const Agent& agent : batch.world(env).agents()) {
          *data++ = agent.row;
          *data++ = agent.col;
        }
      }
      value = positions;
    } else if (field == "agent_dir") {
      value = per_agent(std::int32_t{}, [](const Agent& a) { return std::int32_t{a.dir}; });
    } else if (field == "agent_active") {
      value = per_agent(bool{}, [](const Agent& a) { return a.active(); });
    } else if (field == "agent_last_tile") {
      value = per_agent(std::int32_t{}, [](const Agent& a) { return std::int32_t{a.last_tile}; });
    } else if (field == "agent_prestige") {
      value = per_agent(double{}, [](const Agent& a) { return a.prestige; });
    } else if (field == "agent_carrying") {
      value = per_agent(std::uint8_t{}, [](const Agent& a) {
        return a.carrying == kEmpty ? std::uint8_t{0}
                                    : static_cast<std::uint8_t>(kTiles[a.carrying].glyph);
      });
    } else if (field == "step") {
      value = per_env(std::int32_t{}, [](const WorldHeader& h) { return h.step; });
    } else if (field == "episode") {
      value = per_env(std::int64_t{},
                      [](const WorldHeader& h) { return std::int64_t{h.stream.episode}; });
    } else if (field == "content") {
      value = per_mark([](const WorldMarks& marks) { return marks.content; });
    } else if (field == "restart") {
      value = per_mark([](const WorldMarks& marks) { return marks.restart; });
    } else if (field == "cells") {
      const WorldShape& shape = batch.spec().shape;
      auto cells = aligned_array<std::uint8_t>({envs, shape.rows, shape.cols});
      std::uint8_t* data = cells.mutable_data();
      for (std::size_t env = 0; env < batch.num_envs(); ++env) {
        batch.write_glyphs(env, data);
        data += shape.num_cells();
      }
      value = cells;
    } else {
      const std::string near = nearest_name(
          field, {"agent_pos", "agent_dir", "agent_active", "agent_last_tile", "agent_prestige",
                  "agent_carrying", "step", "episode", "content", "restart", "cells"});
      throw py::key_error("worlds have no field '" + printable(field) + "'" +
                          (near.empty() ? "" : "; did you mean '" + near + "'?"));
    }
    out[py::str(field)] = value;
  }
  return out;
}

}  // namespace

void register_batch(py::module_& module) {
  py::register_exception<ActionError>(module, "ActionError", PyExc_ValueError);
  py::register_exception<LayoutError>(module, "LayoutError", PyExc_ValueError);
  py::register_exception<SnapshotError>(module, "SnapshotError", PyExc_ValueError);
  py::register_exception<FinishedError>(module, "FinishedError", PyExc_RuntimeError);
  py::register_exception<EnvStepError>(module, "EnvStepError", PyExc_RuntimeError);

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
      .def("inject_failure", &PyBatch::inject_failure, py::arg("env"))
      .def("observe", &PyBatch::observe)
      .def("get_state", &PyBatch::get_state)
      .def("set_state", &PyBatch::set_state, py::arg("state"))
      .def("get_layout", &PyBatch::get_layout, py::arg("env"))
      .def("set_layout", &PyBatch::set_layout, py::arg("env"), py::arg("cells"),
           py::arg("agent_pos"), py::arg("agent_dir"), py::arg("agent_active"),
           py::arg("agent_carrying"), py::arg("agent_prestige"), py::arg("agent_last_tile"),
           py::arg("step"), py::arg("details"))
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
