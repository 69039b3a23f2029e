// Pure functions that players and tests use.
#include <pybind11/numpy.h>

#include <cstring>

#include "bindings/arrays.hpp"
#include "bindings/keyed.hpp"
#include "bindings/register.hpp"
#include "bindings/unlocked.hpp"
#include "core/cores.hpp"
#include "core/game.hpp"
#include "core/map.hpp"
#include "grid/distances.hpp"
#include "grid/visibility.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using BoolArray = py::array_t<bool, py::array::c_style>;
using IntArray = py::array_t<std::int64_t, py::array::c_style>;

py::array_t<std::int32_t> distances(const BoolArray& passable, const IntArray& targets) {
  if (passable.ndim() != 3) throw py::value_error("passable must have shape (N, rows, cols)");
  const py::ssize_t count = passable.shape(0), rows = passable.shape(1), cols = passable.shape(2);
  if (targets.ndim() != 2 || targets.shape(0) != count || targets.shape(1) != 2) {
    throw py::value_error("targets must have shape (N, 2) with N = " + std::to_string(count));
  }
  if (rows < 1 || cols < 1 || rows > kMaxSide || cols > kMaxSide) {
    throw py::value_error("grids must have 1 to " + std::to_string(kMaxSide) + " rows and columns");
  }
  for (py::ssize_t i = 0; i < count; ++i) {
    const std::int64_t row = targets.at(i, 0), col = targets.at(i, 1);
    if (row < 0 || col < 0 || row >= rows || col >= cols) {
      throw py::value_error("targets[" + std::to_string(i) + "] = (" + std::to_string(row) + ", " +
                            std::to_string(col) + ") is outside the grid");
    }
  }
  auto out = aligned_array<std::int32_t>({count, 4, rows, cols});
  const auto cells = static_cast<std::size_t>(rows * cols);
  const auto* free_cells = reinterpret_cast<const std::uint8_t*>(passable.data());
  const std::int64_t* target = targets.data();
  std::int32_t* result = out.mutable_data();
  const Unlocked unlocked;
  for (py::ssize_t i = 0; i < count; ++i) {
    action_distances({free_cells, cells}, static_cast<int>(rows), static_cast<int>(cols),
                     {static_cast<int>(target[0]), static_cast<int>(target[1])},
                     {result, 4 * cells});
    free_cells += cells;
    target += 2;
    result += 4 * cells;
  }
  return out;
}

BoolArray occlusion(const BoolArray& opaque, std::int64_t view_offset) {
  if (opaque.ndim() != 3 || opaque.shape(1) != opaque.shape(2)) {
    throw py::value_error("opaque must have shape (N, V, V)");
  }
  const auto size = static_cast<int>(opaque.shape(1));
  if (size < 3 || size > kMaxViewSize || size % 2 == 0 || view_offset < 0 || view_offset >= size) {
    throw py::value_error("views are odd, 3 to " + std::to_string(kMaxViewSize) +
                          " cells a side, and view_offset is below that");
  }
  BoolArray visible = aligned_array<bool>({opaque.shape(0), opaque.shape(1), opaque.shape(2)});
  const bool* in = opaque.data();
  bool* out = visible.mutable_data();
  for (py::ssize_t i = 0; i < opaque.shape(0); ++i) {
    RowMasks<1> transparent[kMaxViewSize], seen[kMaxViewSize];
    for (int row = 0; row < size; ++row) {
      transparent[row][0] = 0;
      for (int col = 0; col < size; ++col) {
        transparent[row][0] |= static_cast<std::uint32_t>(*in++ ? 0 : 1) << col;
      }
    }
    flood_visible(transparent, seen, size, size - 1 - static_cast<int>(view_offset), size / 2);
    for (int row = 0; row < size; ++row) {
      for (int col = 0; col < size; ++col) *out++ = ((seen[row][0] >> col) & 1) != 0;
    }
  }
  return visible;
}

py::array_t<std::uint32_t> keyed_words(const py::array_t<std::uint64_t, py::array::c_style>& keys,
                                       std::uint32_t first, std::int64_t count,
                                       const py::array_t<std::uint64_t, py::array::c_style>& steps,
                                       std::uint32_t kind, std::int64_t places) {
  constexpr std::int64_t kMostPlaces = 4 * 65536, kMostStreams = std::int64_t{1} << 32;
  if (keys.ndim() != 1) throw py::value_error("keys must have shape (A,)");
  if (steps.ndim() != 1 || steps.shape(0) != keys.shape(0)) {
    throw py::value_error("steps must have shape (A,), one for each of the " +
                          std::to_string(keys.shape(0)) + " keys");
  }
  if (count < 0 || first + count > kMostStreams) {
    throw py::value_error("environments must be 0 to 2^32 - 1, but there are " +
                          std::to_string(count) + " from " + std::to_string(first));
  }
  if (kind >= 65536) throw py::value_error("kind must be below 65536");
  if (places < 1 || places > kMostPlaces) {
    throw py::value_error("places must be 1 to " + std::to_string(kMostPlaces));
  }
  auto words = aligned_array<std::uint32_t>({keys.shape(0), count, places});
  std::uint32_t* out = words.mutable_data();
  const std::uint64_t* key = keys.data();
  const std::uint64_t* step = steps.data();
  const py::ssize_t agents = keys.shape(0);
  const Unlocked unlocked;
  for (py::ssize_t a = 0; a < agents; ++a) {
    out = draw_words(key[a], step[a], {first, count, kind, places}, out);
  }
  return words;
}

}  // namespace

void register_tools(py::module_& module) {
  module.def("usable_cores", &usable_cores, "Cores that threads of this process may run on.");
  module.def("quota_cores", &quota_cores, py::arg("membership"), py::arg("root"),
             "Whole cores that control groups allow; 0: there is no quota.");
  module.def("action_distances", &distances, py::arg("passable"), py::arg("targets"),
             "Fewest actions into each target; see socialgrid.action_distances.");
  module.def("occlusion", &occlusion, py::arg("opaque"), py::arg("view_offset"),
             "Visible cells of views; see socialgrid.occlusion.");
  module.def("keyed_words", &keyed_words, py::arg("keys"), py::arg("first"), py::arg("count"),
             py::arg("steps"), py::arg("kind"), py::arg("places"),
             "32-bit words that depend on their key, environment, step, kind and place alone.");
}

}  // namespace socialgrid::bindings
