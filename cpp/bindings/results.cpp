#include "bindings/results.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "bindings/arguments.hpp"
#include "bindings/values.hpp"
#include "core/text.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {

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

Results::Results(const BatchEnv& batch) {
  const auto envs = static_cast<py::ssize_t>(batch.num_envs());
  const auto agents = static_cast<py::ssize_t>(batch.num_agents());
  std::vector<py::ssize_t> obs_shape = {envs, agents};
  for (const std::size_t extent : batch.observer().shape()) {
    obs_shape.push_back(static_cast<py::ssize_t>(extent));
  }
  const auto boolean = py::dtype::of<bool>();
  const py::dtype obs_dtype = to_dtype(batch.observer().type());
  pools_.emplace_back("obs", obs_dtype, obs_shape);
  pools_.emplace_back("reward", py::dtype::of<float>(), std::vector{envs, agents});
  pools_.emplace_back("terminated", boolean, std::vector{envs, agents});
  pools_.emplace_back("truncated", boolean, std::vector{envs, agents});
  pools_.emplace_back("done", boolean, std::vector{envs});
  pools_.emplace_back("final_obs", obs_dtype, obs_shape, true);
  pools_.emplace_back("active", boolean, std::vector{envs, agents});
  pools_.emplace_back("visible", py::dtype::of<std::uint8_t>(), std::vector{envs, agents, agents});
  pools_.emplace_back("last_actions", py::dtype::of<std::int32_t>(), std::vector{envs, agents});
  const auto kinds = static_cast<py::ssize_t>(batch.spec().event_names.size());
  if (kinds == 0) return;
  pools_.emplace_back("events", py::dtype::of<std::uint8_t>(), std::vector{envs, agents, kinds});
}

Arrays Results::for_views() {
  Arrays arrays;
  for (const ArrayIndex index : {kObs, kActive, kVisible, kLastActions}) {
    arrays[index] = pools_[index].acquire();
  }
  return arrays;
}

Arrays Results::for_step(const py::object& out) {
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

Arrays Results::wrap_all(const py::object& out) const {
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

void Results::refuse_overlaps(const Arrays& arrays) const {
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

py::tuple Results::of_step(const Arrays& arrays) {
  if (!info_type_) info_type_ = py::module_::import("socialgrid.step_info").attr("StepInfo");
  const py::object info = info_type_();
  const auto put = [&](std::size_t i) {
    if (PyDict_SetItem(info.ptr(), pools_[i].key().ptr(), arrays[i].object.ptr()) != 0) {
      throw py::error_already_set();
    }
  };
  for (std::size_t i = kDone; i < pools_.size(); ++i) {
    if (i != kFinalObs) put(i);
  }
  // A user's own is left as it is but for what ended.
  if (arrays[kFinalObs].rows == nullptr) {
    put(kFinalObs);
  } else {
    py::setattr(info, unread_, arrays[kFinalObs].object);
  }
  return py::make_tuple(arrays[kObs].object, arrays[kReward].object, arrays[kTerminated].object,
                        arrays[kTruncated].object, info);
}

ObserveBuffers observe_buffers(const Arrays& arrays) {
  return {arrays[kObs].data, reinterpret_cast<std::uint8_t*>(arrays[kActive].data),
          reinterpret_cast<std::uint8_t*>(arrays[kVisible].data),
          reinterpret_cast<std::int32_t*>(arrays[kLastActions].data)};
}

StepBuffers step_buffers(const Arrays& arrays) {
  const auto bytes = [&](ArrayIndex i) { return reinterpret_cast<std::uint8_t*>(arrays[i].data); };
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
          .final_rows = arrays[kFinalObs].rows};
}

}  // namespace socialgrid::bindings
