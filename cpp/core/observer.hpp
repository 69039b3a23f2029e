// What agents see, written into the caller's memory. Each family of games has an observer of its
// own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/world.hpp"

namespace socialgrid {

inline constexpr int kMaxViewSize = 31;         // cells a side of what an agent sees around it
inline constexpr int kMaxTilePictures = 65536;  // that can be numbered

enum class ObsMode { kRgb, kTiles, kVector };
enum class ObsType { kUint8, kUint16, kFloat32 };

// "rgb", "tiles", "vector".
const char* name_of(ObsMode mode);

// Working memory of one thread.
struct ObserverScratch {
  virtual ~ObserverScratch() = default;
};

// The picture of every tile number: [count, side, side, 3].
struct TilePictures {
  int count = 0;
  int side = 0;
  std::vector<std::uint8_t> pixels;
};

class Observer {
 public:
  virtual ~Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  ObsMode mode() const { return mode_; }
  // Shape and type of one agent's observation.
  const std::vector<std::size_t>& shape() const { return shape_; }
  ObsType type() const { return type_; }
  std::size_t bytes_per_agent() const { return bytes_; }

  virtual std::unique_ptr<ObserverScratch> make_scratch() const = 0;

  // Views of all agents: obs [A, ...], and visible [A, A]: visible[i, j] = 1 if agent i sees the
  // cell of agent j. `scratch` comes from make_scratch().
  virtual void observe(const World& world, ObserverScratch& scratch, std::byte* obs,
                       std::uint8_t* visible) const = 0;

  // The whole grid with its agents: [rows * side, cols * side, 3].
  virtual std::vector<std::uint8_t> render(const World& world, int side) const = 0;

  // With ObsMode::kTiles a view is numbers of these pictures, which laid out are the rgb view.
  virtual TilePictures tile_pictures() const = 0;

 protected:
  Observer() = default;
  // Views are rows x cols tiles with `tile_size` pixels a side, of at most kMaxTilePictures kinds
  // if they are shown by number.
  void set_cells(ObsMode mode, int rows, int cols, int tile_size, int num_pictures);
  // Views are so many numbers (ObsMode::kVector).
  void set_numbers(std::size_t count);

 private:
  ObsMode mode_ = ObsMode::kRgb;
  std::vector<std::size_t> shape_;
  ObsType type_ = ObsType::kUint8;
  std::size_t bytes_ = 0;
};

}  // namespace socialgrid
