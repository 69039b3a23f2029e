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
  const ReadyLayers* ready = nullptr;  // `ready_layers` of it, if somebody has them
  std::int64_t cells_a_tile = 16;      // with fewer cells for a tile, tiles are not known
  std::int64_t most_tiles = 2048;
};

// The layers after that of windows.
ReadyLayers ready_layers(const Kernels& kernels, const Sight& sight, bool back);

struct SightGrads {
  std::vector<float*> weights, biases;
};

class Seen {
 public:
  // Throws std::out_of_range where there is no such tile.
  Seen(const Kernels& kernels, const Sight& sight, bool back);
  Seen(const Seen&) = delete;
  Seen& operator=(const Seen&) = delete;

  // Whether there are few enough tiles to know them all; else nothing else may be asked.
  bool known() const { return tiles_ >= 0; }
  // Features of every view, `row` numbers one from the next.
  void features(float* to, std::int64_t row);
  // From gradients of those to gradients of weights and biases, which are written.
  void back(const float* grad, std::int64_t row, const SightGrads& grads);

 private:
  void read_tiles(const std::vector<std::int64_t>& first);
  void share_views();
  Head make_table() const;

  const Kernels& kernels_;
  const Sight& sight_;
  const bool back_;
  std::int64_t tiles_ = -1, places_, padded_, views_ = 0;
  std::vector<std::uint16_t> numbers_, distinct_;
  std::vector<std::int64_t> place_;  // of every view among the distinct ones; empty: as they are
  Numbers pixels_, window_, zeros_, bias_, features_;
  std::vector<Head> table_;  // one, if tiles are known
  Encoding encoding_;
  ReadyLayers own_;  // unless somebody has them
  const ReadyLayers* ready_ = nullptr;
};

}  // namespace socialgrid::learning
