// From views of one agent to features and back: every tile and every view once.
#pragma once

#include <cstdint>
#include <vector>

#include "head.hpp"
#include "kernels.hpp"
#include "layers.hpp"
#include "shown.hpp"

namespace socialgrid::learning {

struct Sight {
  std::int64_t count = 0, rows = 0, cols = 0, pixels = 0;  // views, cells, bytes of a tile's pixels
  Shown shown;
  // A layer of single cells or none, one of windows of several, and those after it. Of all,
  // weights [outputs, kernel, kernel, inputs] and biases.
  bool of_cells = false;
  std::vector<Layer> layers;
  std::vector<const float*> weights, biases;
  // Another way from what the layer `fork` reads, one after that of windows, if there is one.
  std::size_t fork = 0;
  std::vector<Layer> other;
  std::vector<const float*> other_weights, other_biases;
  const ReadyLayers* ready = nullptr;  // `ready_layers` of it, if somebody has them
  std::int64_t cells_a_tile = 16;      // with fewer cells for a tile, tiles are not known
  std::int64_t most_tiles = 2048;
};

// The layers after that of windows.
ReadyLayers ready_layers(const Kernels& kernels, const Sight& sight, bool back);

struct SightGrads {
  std::vector<float*> weights, biases, other_weights, other_biases;
};

// Rows of features, `row` numbers one from the next, and of what comes of the other way, or null.
template <typename T>
struct Features {
  T* data = nullptr;
  std::int64_t row = 0;
  T* other = nullptr;
  std::int64_t other_row = 0;
};

class Seen {
 public:
  // Throws std::out_of_range where there is no such tile.
  Seen(const Kernels& kernels, const Sight& sight, bool back);
  Seen(const Seen&) = delete;
  Seen& operator=(const Seen&) = delete;

  // Whether there are few enough tiles to know them all; else nothing else may be asked.
  bool known() const { return tiles_ >= 0; }
  // Of every view.
  void features(const Features<float>& to);
  // From gradients of those to gradients of weights and biases, which are written.
  void back(const Features<const float>& grad, const SightGrads& grads);

 private:
  void read_tiles(const std::vector<std::int64_t>& first);
  void share_views();
  std::int64_t place(std::int64_t view) const {
    return place_.empty() ? view : place_[static_cast<std::size_t>(view)];
  }
  Head make_table() const;

  const Kernels& kernels_;
  const Sight& sight_;
  const bool back_;
  std::int64_t tiles_ = -1, places_, padded_, views_ = 0;
  std::vector<std::uint16_t> numbers_, distinct_;
  std::vector<std::int64_t> place_;  // of every view among the distinct ones; empty: as they are
  Numbers pixels_, window_, zeros_, bias_, features_, other_;
  std::vector<Head> table_;  // one, if tiles are known
  Encoding encoding_;
  ReadyLayers own_;  // unless somebody has them
  const ReadyLayers* ready_ = nullptr;
};

}  // namespace socialgrid::learning
