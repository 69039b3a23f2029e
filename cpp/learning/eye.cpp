#include "eye.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace socialgrid::learning {
namespace {

// Calls with the offset of every layer's weight and bias.
template <typename Work>
void each_layer(const Outlook& outlook, const Work& work) {
  std::int64_t at = 0;
  for (const Layer& layer : outlook.sight.layers) {
    work(at, at + layer.weights());
    at += layer.weights() + layer.outputs;
  }
}

}  // namespace

std::int64_t Outlook::parameters() const {
  std::int64_t found = 0;
  for (const Layer& layer : sight.layers) found += layer.weights() + layer.outputs;
  return found;
}

void Outlook::take(const std::uint8_t* from, std::uint8_t* to) const {
  if (!views || sight.shown.number > 0 || side == 1) {
    std::copy_n(from, bytes, to);
    return;
  }
  const std::int64_t part = 3 * side;  // of a tile, in a row of pixels
  for (std::int64_t row = 0; row < sight.rows; ++row) {
    for (std::int64_t y = 0; y < side; ++y) {
      for (std::int64_t col = 0; col < sight.cols; ++col, from += part) {
        std::copy_n(from, part, to + (row * sight.cols + col) * sight.pixels + y * part);
      }
    }
  }
}

Eye::Eye(const Kernels& kernels, const Outlook& outlook, const float* values, bool learns)
    : kernels_(kernels), outlook_(outlook), sights_{outlook.sight, outlook.sight}, learns_(learns) {
  for (Sight& sight : sights_) {
    each_layer(outlook, [&](std::int64_t weight, std::int64_t bias) {
      sight.weights.push_back(values + weight);
      sight.biases.push_back(values + bias);
    });
    sight.ready = &ready_;
  }
}

void Eye::make_ready() {
  if (!stale_) return;
  if (outlook_.views) ready_ = ready_layers(kernels_, sights_[0], learns_);
  stale_ = false;
}

void Eye::see(const std::uint8_t* taken, std::int64_t count, float* to, bool back) {
  if (!outlook_.views) {
    std::memcpy(to, taken, static_cast<std::size_t>(count * outlook_.bytes));
    return;
  }
  Sight& sight = sights_[back];
  std::optional<Seen>& seen = seen_[back];
  make_ready();
  sight.count = count;
  sight.shown.views = taken;
  seen.emplace(kernels_, sight, back);
  if (!seen->known()) throw TooManyTiles();
  seen->features({to, outlook_.features});
}

void Eye::back(const float* grad, float* grads) {
  if (!outlook_.views) return;
  SightGrads own;
  each_layer(outlook_, [&](std::int64_t weight, std::int64_t bias) {
    own.weights.push_back(grads + weight);
    own.biases.push_back(grads + bias);
  });
  seen_[true]->back({grad, outlook_.features}, own);
}

}  // namespace socialgrid::learning
