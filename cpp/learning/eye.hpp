// What a network of one agent sees in observations as they are kept.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <vector>

#include "kernels.hpp"
#include "sight.hpp"

namespace socialgrid::learning {

// Observations are vectors of float32, read as they are, or views, which go through layers.
struct Outlook {
  std::int64_t bytes = 0;     // of an observation
  std::int64_t features = 0;  // numbers that are read of it
  bool views = false;
  std::int64_t side = 1;  // of a tile: views of pixels are kept as images
  Sight sight;            // without views and weights

  // Of one agent's layers, which lie without gaps: weight and bias of each, one after the other.
  std::int64_t parameters() const;
  // Copies an observation, the pixels of a tile side by side.
  void take(const std::uint8_t* from, std::uint8_t* to) const;
};

// Views show more different tiles than there are numbers for, or than are worth a table.
struct TooManyTiles : std::runtime_error {
  TooManyTiles() : std::runtime_error("views show too many different tiles") {}
};

class Eye {
 public:
  // `learns`: there is a way back.
  Eye(const Kernels& kernels, const Outlook& outlook, const float* values, bool learns);
  Eye(const Eye&) = delete;
  Eye& operator=(const Eye&) = delete;

  // Packs weights that have changed, and writes nothing otherwise. To be called before several
  // threads see at once, of whom one may see for the way back and another one not.
  void make_ready();
  // Of `count` observations that were taken, features [count, features]; those for the way back
  // stay where they are. Throws TooManyTiles, and std::out_of_range where there is no such tile.
  void see(const std::uint8_t* taken, std::int64_t count, float* to, bool back);
  // From gradients of features that were seen last, for the way back, to those of parameters, as
  // they lie, which are written.
  void back(const float* grad, float* grads);
  // To be called when parameters have changed.
  void changed() { stale_ = true; }

 private:
  const Kernels& kernels_;
  const Outlook& outlook_;
  Sight sights_[2];  // of what is only seen, and for the way back
  std::optional<Seen> seen_[2];
  ReadyLayers ready_;
  bool learns_, stale_ = true;
};

}  // namespace socialgrid::learning
