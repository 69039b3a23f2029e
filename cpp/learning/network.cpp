// Networks of those who learn in compiled loops.
#include "network.hpp"

namespace socialgrid::learning {

std::int64_t parameters_of(const std::vector<std::int64_t>& sizes) {
  std::int64_t found = 0;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) found += (sizes[l] + 1) * sizes[l + 1];
  return found;
}

std::int64_t room_of(const Kernels& kernels, const std::vector<std::int64_t>& sizes,
                     std::int64_t batch) {
  Perceptron p;
  p.count = batch;
  p.layers = static_cast<std::int64_t>(sizes.size()) - 1;
  p.sizes = sizes.data();
  return kernels.perceptron_room(p);
}

const float* DenseNetwork::latent() const {
  std::int64_t before = 0;
  for (std::int64_t l = 0; l + 1 < own_.layers; ++l) before += own_.sizes[l];
  return own_.room + before * kernels_.perceptron_apart(own_.count);
}

}  // namespace socialgrid::learning
