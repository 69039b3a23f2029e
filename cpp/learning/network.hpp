// What those who learn in compiled loops share: memory for a step, and networks in it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels.hpp"

namespace socialgrid::learning {

// Numbers that begin a line of the cache; what they are is not known yet.
class Scratch {
 public:
  explicit Scratch(std::int64_t count)
      : memory_(new float[static_cast<std::size_t>(count + kLine)]), data_(memory_.get()) {
    while (reinterpret_cast<std::uintptr_t>(data_) % (sizeof(float) * kLine) != 0) ++data_;
  }
  float* data() { return data_; }

 private:
  static constexpr std::int64_t kLine = 16;
  std::unique_ptr<float[]> memory_;
  float* data_;
};

// Parameters of a perceptron whose rows have `sizes` numbers before and after each layer.
std::int64_t parameters_of(const std::vector<std::int64_t>& sizes);
// Numbers that all its results for a batch take.
std::int64_t room_of(const Kernels& kernels, const std::vector<std::int64_t>& sizes,
                     std::int64_t batch);

// Perceptrons of agents whose parameters lie one agent's behind the other's.
struct AgentNetworks {
  std::vector<std::int64_t> sizes;  // of rows before and after each layer
  const float* values = nullptr;    // [agents, parameters]
  std::int64_t parameters = 0;

  const float* of(std::int64_t agent) const { return values + agent * parameters; }
};

// Weight and bias of every layer, of parameters that lie without gaps, one after the other.
template <typename T>
struct LayerParameters {
  std::vector<T*> weights, biases;

  LayerParameters(const std::vector<std::int64_t>& sizes, T* at) {
    for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
      weights.push_back(at);
      at += sizes[l] * sizes[l + 1];
      biases.push_back(at);
      at += sizes[l + 1];
    }
  }
};

// A perceptron of one agent on batches of one size, ReLU after every layer but the last.
class DenseNetwork {
 public:
  DenseNetwork(const Kernels& kernels, const std::vector<std::int64_t>& sizes, std::int64_t batch,
               const float* values)
      : kernels_(kernels), parameters_(sizes, values) {
    own_.count = batch;
    own_.layers = static_cast<std::int64_t>(sizes.size()) - 1;
    own_.rectified = own_.layers - 1;
    own_.sizes = sizes.data();
    own_.weights = parameters_.weights.data();
    own_.biases = parameters_.biases.data();
  }
  DenseNetwork(const DenseNetwork&) = delete;
  DenseNetwork& operator=(const DenseNetwork&) = delete;

  // From now on there are so many samples.
  void take(std::int64_t samples) { own_.count = samples; }

  // Sample by sample, from [batch, inputs] to [batch, outputs].
  const float* see(const float* x, float* out, float* room, bool kept) {
    own_.by_unit = false;
    return forward(x, out, room, kept);
  }
  // Unit by unit, see Perceptron.
  const float* see_units(const float* x, float* out, float* room, bool kept) {
    own_.by_unit = true;
    return forward(x, out, room, kept);
  }
  // Back through what was seen last, and kept.
  void back(const PerceptronBack& back) { kernels_.perceptron_back(own_, back); }

  // The last layer has other parameters than those that lie behind the others'.
  void end_with(const float* weight, const float* bias) {
    parameters_.weights.back() = weight;
    parameters_.biases.back() = bias;
  }
  // What was kept of the last layer's inputs, unit by unit.
  const float* latent() const;

 private:
  const float* forward(const float* x, float* out, float* room, bool kept) {
    own_.x = x;
    own_.out = out;
    own_.room = room;
    own_.kept = kept;
    kernels_.perceptron_forward(own_);
    return out;
  }

  const Kernels& kernels_;
  LayerParameters<const float> parameters_;
  Perceptron own_;
};

}  // namespace socialgrid::learning
