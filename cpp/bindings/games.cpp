// Games, their options, and configuration values.
#include "socialgrid/game.hpp"

#include <pybind11/stl.h>

#include "register.hpp"
#include "values.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {

Value to_value(py::handle object, const std::string& name) {
  if (py::hasattr(object, "tolist")) return to_value(object.attr("tolist")(), name);  // of numpy
  if (object.is_none()) return {};
  if (py::isinstance<py::bool_>(object)) return object.cast<bool>();
  if (py::isinstance<py::str>(object)) return object.cast<std::string>();
  // All kinds of integers answer __index__.
  if (PyIndex_Check(object.ptr()) != 0) {
    const auto integer = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
    if (!integer) throw py::error_already_set();
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow);
    if (overflow != 0) {
      throw ConfigError(name + " = " + py::str(integer).cast<std::string>() + " is out of range");
    }
    return std::int64_t{value};
  }
  if (py::isinstance<py::list>(object) || py::isinstance<py::tuple>(object)) {
    Value::List list;
    for (const py::handle item : object) list.push_back(to_value(item, name));
    return list;
  }
  if (PyFloat_Check(object.ptr())) return object.cast<double>();
  throw ConfigError(name + " cannot be a " +
                    py::str(py::type::of(object).attr("__name__")).cast<std::string>() +
                    "; give a bool, int, float, str or a list of them");
}

Values to_values(const py::dict& config) {
  Values values;
  for (const auto& [key, value] : config) {
    const auto name = key.cast<std::string>();
    values[name] = to_value(value, name);
  }
  return values;
}

py::object from_value(const Value& value) {
  struct Converter {
    py::object operator()(std::monostate) const { return py::none(); }
    py::object operator()(bool v) const { return py::bool_(v); }
    py::object operator()(std::int64_t v) const { return py::int_(v); }
    py::object operator()(double v) const { return py::float_(v); }
    py::object operator()(const std::string& v) const { return py::str(v); }
    py::object operator()(const Value::List& v) const {
      py::list list;
      for (const Value& item : v) list.append(from_value(item));
      return list;
    }
  };
  return std::visit(Converter{}, value.data);
}

void register_games(py::module_& module) {
  py::register_exception<ConfigError>(module, "ConfigError", PyExc_ValueError);

  module.def(
      "list_games",
      [] {
        std::vector<std::string> names;
        for (const GameEntry& entry : games()) names.push_back(entry.name);
        return names;
      },
      "Names of all games.");

  module.def(
      "game_options",
      [](const std::string& game) {
        for (const GameEntry& entry : games()) {
          if (entry.name != game) continue;
          constexpr const char* kTypes[] = {"bool", "int", "float", "str"};
          constexpr const char* kShapes[] = {"single", "per_agent", "list_per_agent", "list",
                                             "size"};
          py::list options;
          for (const Option& option : entry.options) {
            py::dict item;
            item["name"] = option.name;
            item["type"] = kTypes[static_cast<int>(option.type)];
            item["shape"] = kShapes[static_cast<int>(option.shape)];
            item["default"] = from_value(option.fallback);
            const bool bounded =
                option.type == OptionType::kInt || option.type == OptionType::kNumber;
            item["low"] = bounded ? py::object(py::float_(option.low)) : py::none();
            item["high"] = bounded ? py::object(py::float_(option.high)) : py::none();
            item["choices"] = py::cast(option.choices);
            item["help"] = option.help;
            options.append(std::move(item));
          }
          return options;
        }
        make_game(game, {});  // throws, naming the nearest
        return py::list();
      },
      py::arg("game"), "Every option of a game, as dictionaries.");
}

}  // namespace socialgrid::bindings
