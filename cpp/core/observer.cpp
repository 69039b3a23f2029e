#include "core/observer.hpp"

namespace socialgrid {

const char* name_of(ObsMode mode) {
  switch (mode) {
    case ObsMode::kRgb:
      return "rgb";
    case ObsMode::kTiles:
      return "tiles";
    case ObsMode::kVector:
      return "vector";
  }
  return "";
}

void Observer::set_cells(ObsMode mode, int rows, int cols, int tile_size, int num_pictures) {
  mode_ = mode;
  const auto height = static_cast<std::size_t>(rows), width = static_cast<std::size_t>(cols);
  if (mode == ObsMode::kRgb) {
    const auto side = static_cast<std::size_t>(tile_size);
    shape_ = {height * side, width * side, 3};
    bytes_ = height * side * width * side * 3;
    return;
  }
  shape_ = {height, width};
  type_ = num_pictures <= 256 ? ObsType::kUint8 : ObsType::kUint16;
  bytes_ = height * width * (type_ == ObsType::kUint8 ? 1 : 2);
}

void Observer::set_numbers(std::size_t count) {
  mode_ = ObsMode::kVector;
  shape_ = {count};
  type_ = ObsType::kFloat32;
  bytes_ = count * sizeof(float);
}

}  // namespace socialgrid
