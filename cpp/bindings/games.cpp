// Games, their options, and configuration values.
#include "core/game.hpp"

#include <pybind11/stl.h>

#include "bindings/register.hpp"
#include "bindings/values.hpp"
#include "core/text.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {

namespace {

constexpr int kDeepest = 8;                       // options hold lists of lists at most
constexpr std::size_t kMostValues = 1 << 20;      // of one option, whatever holds them
constexpr std::size_t kMostCharacters = 1 << 20;  // of one text

// Reads one option's value. A list may hold itself, or one list many times.
class ValueReader {
 public:
  explicit ValueReader(const std::string& name) : name_(name) {}

  Value read(py::handle object, int depth = 0) {
    if (depth > kDeepest) fail("is nested more than " + std::to_string(kDeepest) + " deep");
    if (++count_ > kMostValues) fail_size();
    if (object.is_none()) return {};
    if (py::isinstance<py::bool_>(object)) return object.cast<bool>();
    if (py::isinstance<py::str>(object)) return read_text(object);
    if (py::isinstance<py::list>(object) || py::isinstance<py::tuple>(object)) {
      Value::List list;
      // By index: reading an item may run code that changes the list.
      const auto sequence = py::reinterpret_borrow<py::sequence>(object);
      for (std::size_t i = 0; i < sequence.size(); ++i) {
        list.push_back(read(py::object(sequence[i]), depth + 1));
      }
      return list;
    }
    if (py::hasattr(object, "tolist")) {  // numpy's scalars and arrays, and other libraries'
      if (py::hasattr(object, "size") && PyLong_Check(py::object(object.attr("size")).ptr())) {
        int overflow = 0;
        const py::object size = object.attr("size");
        const long long items = PyLong_AsLongLongAndOverflow(size.ptr(), &overflow);
        if (overflow != 0 || items > static_cast<long long>(kMostValues)) fail_size();
      }
      return read(object.attr("tolist")(), depth + 1);
    }
    // All kinds of integers answer __index__.
    if (PyIndex_Check(object.ptr()) != 0) {
      const auto integer = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
      if (!integer) throw py::error_already_set();
      int overflow = 0;
      const long long value = PyLong_AsLongLongAndOverflow(integer.ptr(), &overflow);
      if (overflow != 0) fail("has an integer of more than 64 bits");
      return std::int64_t{value};
    }
    if (PyFloat_Check(object.ptr())) return object.cast<double>();
    fail("cannot be a " + py::str(py::type::of(object).attr("__name__")).cast<std::string>() +
         "; give a bool, int, float, str or a list of them");
  }

 private:
  Value read_text(py::handle object) const {
    if (PyUnicode_GET_LENGTH(object.ptr()) > static_cast<Py_ssize_t>(kMostCharacters)) {
      fail("has a text of more than " + std::to_string(kMostCharacters) + " characters");
    }
    Py_ssize_t bytes = 0;
    const char* text = PyUnicode_AsUTF8AndSize(object.ptr(), &bytes);
    if (text == nullptr) {
      PyErr_Clear();
      const auto ascii = py::reinterpret_steal<py::str>(PyObject_ASCII(object.ptr()));
      fail("has a text that is none, with half a character: " +
           printable(ascii.cast<std::string>()));
    }
    return std::string(text, static_cast<std::size_t>(bytes));
  }

  [[noreturn]] void fail(const std::string& problem) const {
    throw ConfigError(name_ + " " + problem);
  }
  [[noreturn]] void fail_size() const {
    fail("has more than " + std::to_string(kMostValues) + " values");
  }

  const std::string& name_;
  std::size_t count_ = 0;
};

}  // namespace

std::string to_text(py::handle object, const std::string& name) {
  if (!py::isinstance<py::str>(object)) {
    throw py::type_error(name + " must be a text, not a " +
                         py::str(py::type::of(object).attr("__name__")).cast<std::string>());
  }
  // Half characters (lone surrogates), which UTF-8 does not have, become escapes.
  const auto bytes = py::reinterpret_steal<py::bytes>(
      PyUnicode_AsEncodedString(object.ptr(), "utf-8", "backslashreplace"));
  if (!bytes) throw py::error_already_set();
  return bytes;
}

Values to_values(const py::dict& config) {
  Values values;
  for (const auto& [key, value] : config) {
    const std::string name = to_text(key, "an option's name");
    values[name] = ValueReader(name).read(value);
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
  const py::object config_error =
      py::register_exception<ConfigError>(module, "ConfigError", PyExc_ValueError);
  // Registered later, it is asked first. A TypeError, too, as of any function without the keyword.
  py::register_exception<UnknownOptionError>(
      module, "UnknownOptionError",
      py::make_tuple(config_error, py::reinterpret_borrow<py::object>(PyExc_TypeError)));

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
      [](const py::object& name) {
        const std::string game = to_text(name, "game");
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
            item["layout"] = option.layout;
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
