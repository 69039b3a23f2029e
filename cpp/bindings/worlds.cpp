#include "bindings/worlds.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/values.hpp"
#include "core/text.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

// A value of every agent, [E, A], as read(world, agent) has it.
template <typename T, typename Read>
py::object per_agent(const BatchEnv& batch, Read read) {
  const auto envs = static_cast<py::ssize_t>(batch.num_envs());
  const std::size_t agents = batch.num_agents();
  auto out = aligned_array<T>({envs, static_cast<py::ssize_t>(agents)});
  T* data = out.mutable_data();
  for (std::size_t env = 0; env < batch.num_envs(); ++env) {
    const World world = batch.world(env);
    for (std::size_t a = 0; a < agents; ++a) *data++ = read(world, a);
  }
  return out;
}

// A value of every environment, [E], as read(env) has it.
template <typename T, typename Read>
py::object per_env(const BatchEnv& batch, Read read) {
  auto out = aligned_array<T>({static_cast<py::ssize_t>(batch.num_envs())});
  for (std::size_t env = 0; env < batch.num_envs(); ++env) {
    out.mutable_data()[env] = static_cast<T>(read(env));
  }
  return out;
}

py::object positions(const BatchEnv& batch) {
  auto out = aligned_array<std::int32_t>({static_cast<py::ssize_t>(batch.num_envs()),
                                          static_cast<py::ssize_t>(batch.num_agents()), 2});
  std::int32_t* data = out.mutable_data();
  for (std::size_t env = 0; env < batch.num_envs(); ++env) {
    for (const Agent& agent : batch.world(env).agents()) {
      *data++ = agent.row;
      *data++ = agent.col;
    }
  }
  return out;
}

py::object glyphs(const BatchEnv& batch) {
  const WorldShape& shape = batch.spec().shape;
  auto out = aligned_array<std::uint8_t>(
      {static_cast<py::ssize_t>(batch.num_envs()), shape.rows, shape.cols});
  std::uint8_t* data = out.mutable_data();
  for (std::size_t env = 0; env < batch.num_envs(); ++env, data += shape.num_cells()) {
    batch.write_glyphs(env, data);
  }
  return out;
}

// What the game declares: integers, numbers, or the characters of things, 0 for none.
py::object declared(const BatchEnv& batch, std::size_t index) {
  const AgentField& field = batch.spec().agent_fields[index];
  const Field<std::int32_t> integers{index};
  switch (field.type) {
    case FieldType::kNumber:
      return per_agent<double>(batch, [&](const World& world, std::size_t a) {
        return world.field(Field<double>{index})[a];
      });
    case FieldType::kInteger:
      return per_agent<std::int32_t>(
          batch, [&](const World& world, std::size_t a) { return world.field(integers)[a]; });
    case FieldType::kThing:
      return per_agent<std::uint8_t>(batch, [&](const World& world, std::size_t a) {
        const auto thing =
            std::find_if(field.things.begin(), field.things.end(),
                         [&](const Thing& t) { return t.tile == world.field(integers)[a]; });
        return thing == field.things.end() ? std::uint8_t{0}
                                           : static_cast<std::uint8_t>(thing->glyph);
      });
  }
  return py::none();
}

py::object directions(const BatchEnv& batch) {
  return per_agent<std::int32_t>(
      batch, [](const World& world, std::size_t a) { return world.agents()[a].dir; });
}

py::object in_play(const BatchEnv& batch) {
  return per_agent<bool>(
      batch, [](const World& world, std::size_t a) { return world.agents()[a].active(); });
}

py::object steps(const BatchEnv& batch) {
  return per_env<std::int32_t>(batch,
                               [&](std::size_t env) { return batch.world(env).header().step; });
}

py::object episodes(const BatchEnv& batch) {
  return per_env<std::int64_t>(
      batch, [&](std::size_t env) { return batch.world(env).header().stream.episode; });
}

py::object content_marks(const BatchEnv& batch) {
  return per_env<std::int64_t>(batch, [&](std::size_t env) { return batch.marks(env).content; });
}

py::object restart_marks(const BatchEnv& batch) {
  return per_env<std::int64_t>(batch, [&](std::size_t env) { return batch.marks(env).restart; });
}

// What all worlds have.
struct CommonField {
  std::string_view name;
  py::object (*read)(const BatchEnv&);
};
constexpr CommonField kCommon[] = {
    {"agent_pos", positions},   {"agent_dir", directions},
    {"agent_active", in_play},  {"step", steps},
    {"episode", episodes},      {"content", content_marks},
    {"restart", restart_marks}, {"cells", glyphs},
};

// The field of that name, or nothing.
py::object find(const BatchEnv& batch, const std::string& name) {
  for (const CommonField& field : kCommon) {
    if (field.name == name) return field.read(batch);
  }
  for (std::size_t i = 0; i < batch.spec().agent_fields.size(); ++i) {
    const AgentField& field = batch.spec().agent_fields[i];
    if (field.shown && "agent_" + field.name == name) return declared(batch, i);
  }
  return py::none();
}

std::vector<std::string> names_of(const BatchEnv& batch) {
  std::vector<std::string> names;
  for (const CommonField& field : kCommon) names.emplace_back(field.name);
  for (const AgentField& field : batch.spec().agent_fields) {
    if (field.shown) names.push_back("agent_" + field.name);
  }
  return names;
}

}  // namespace

py::dict to_arrays(const BatchEnv& batch, const py::list& fields) {
  py::dict out;
  for (const py::handle item : fields) {
    const std::string name = to_text(item, "a field");
    const py::object array = find(batch, name);
    if (array.is_none()) {
      const std::string near = nearest_name(name, names_of(batch));
      throw py::key_error("worlds have no field '" + printable(name) + "'" +
                          (near.empty() ? "" : "; did you mean '" + near + "'?"));
    }
    out[py::str(name)] = array;
  }
  return out;
}

py::dict from_layout(const Layout& layout) {
  py::dict fields;
  for (const auto& [name, values] : layout.agent_fields) {
    fields[py::str(name)] = from_value(values);
  }
  py::dict out;
  out["cells"] = layout.cells;
  out["agent_pos"] = layout.agent_pos;
  out["agent_dir"] = layout.agent_dir;
  out["agent_active"] = layout.agent_active;
  out["agent_fields"] = fields;
  out["step"] = layout.step;
  out["details"] = layout.details;
  return out;
}

std::map<std::string, Value::List> to_agent_fields(const py::dict& fields) {
  std::map<std::string, Value::List> out;
  for (const auto& [name, value] : to_values(fields)) {
    if (value.list() == nullptr) throw LayoutError("agent_" + name + " must be a list");
    out[name] = *value.list();
  }
  return out;
}

}  // namespace socialgrid::bindings
