// All of acting: from what agents see and hear to what they decide.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels.hpp"
#include "layers.hpp"
#include "numbers.hpp"
#include "tiles.hpp"

namespace socialgrid::learning {

// Tokens that agents hear one-hot, and how many of the agents act before the others, whose tokens
// these are then.
struct Heard {
  std::int64_t columns = 0, symbols = 0, leaders = 0;
};

// What decides something in every step.
struct Deciders {
  std::vector<Layer> policy, value;
};

// Networks of independent agents, alike but for their weights.
struct Network {
  std::int64_t agents = 0;
  Views views;
  std::vector<std::uint8_t> atlas;  // [tiles, bytes] where views have numbers
  Layer cell;                       // of each cell; without outputs: there is none
  Layer first;                      // the first one over images, whose inputs are cells
  std::vector<Layer> layers;        // those after it, up to what the memory reads
  std::int64_t features = 0, memory = 0;
  std::vector<Heard> heard;
  std::vector<Deciders> deciders;  // the action's are the first
  std::vector<float> mask;         // [agents, actions], added to logits; empty: nothing
};

// An array [environments, agents, ...] of the caller's. Distances are in numbers of type T.
template <typename T>
struct Table {
  T* data = nullptr;
  std::int64_t env = 0, agent = 0;

  T* at(std::int64_t e, std::int64_t a) const { return data + e * env + a * agent; }
  explicit operator bool() const { return data != nullptr; }
};

struct Decided {
  Table<const float> uniform;  // in [0, 1), or null: the most probable
  Table<std::int64_t> choice;
  Table<float> log_prob, value;
};

// One step of acting. A state is h, c, and 1 + the last choice of each further decider.
struct Step {
  Table<const std::uint8_t> views;
  Table<const float> state;
  Table<const std::uint8_t> reset;   // the state is zeroed before the step
  Table<const std::int16_t> tokens;  // where something is heard; -1 is silent
  Table<float> before, after;        // states, resets applied
  Table<std::int16_t> told;          // tokens, with what leaders do
  std::vector<Decided> decided;
};

// Acts with the weights that were loaded last. What it computes for a row depends neither on the
// other rows nor on which of them a call computes. Several threads may act at once.
class Acting {
 public:
  Acting(const Kernels& kernels, Network network);
  ~Acting();

  // How many parameters there are, each [agents, ...] and dense: weight [outputs, kernel, kernel,
  // inputs] and bias of the layer of each cell, if any, of the first and of the other layers; of
  // the memory weights and biases as pack_forward has them; weights and biases of each decider's
  // policy, then value.
  std::size_t parameters() const;
  std::size_t deciders() const { return network_.deciders.size(); }
  std::int64_t columns() const { return columns_; }  // that are heard
  std::size_t agents() const { return static_cast<std::size_t>(network_.agents); }
  // Packs them; not while anybody acts.
  void load(const std::vector<const float*>& parameters);

  // Where one thread acts. It keeps what was made of views as long as the weights are the same.
  class Desk;
  // Environments `begin` to `end`. Throws std::out_of_range where a view or a token is of nothing;
  // what is written by then has no meaning.
  void act(const Step& step, std::int64_t begin, std::int64_t end, Desk& desk);
  void act(const Step& step, std::int64_t begin, std::int64_t end);

 private:
  struct Packed;
  struct Workspace;
  // Whose turn it is: an agent's that is told what leaders do, or whose action is decided already.
  struct Turn {
    std::int64_t agent;
    bool told, decided;
  };

  void run(Workspace& w, const Step& s, Turn turn, std::int64_t begin, std::int64_t end);
  void encode(Workspace& w, std::int64_t agent, std::int64_t count);
  void encode_views(Workspace& w, std::int64_t agent, const std::uint16_t* cells,
                    std::int64_t count, float* features);
  void learn_tiles(Workspace& w, std::int64_t agent);
  void hear(Workspace& w, const Step& s, Turn turn, std::int64_t begin, std::int64_t count) const;
  void remember(Workspace& w, const Step& s, Turn turn, std::int64_t begin, std::int64_t count);
  void decide(Workspace& w, const Step& s, Turn turn, std::int64_t begin, std::int64_t count);
  bool hears_leaders(std::int64_t agent) const;
  std::unique_ptr<Workspace> borrow();

  const Kernels kernels_;
  Network network_;
  std::int64_t columns_ = 0, codes_ = 0, leaders_ = 0, state_ = 0;
  std::int64_t padded_ = 0;   // outputs of the first layer
  std::int64_t widest_ = 0;   // numbers of one view in any layer
  std::int64_t piece_ = 0;    // views that are encoded at a time
  std::int64_t version_ = 0;  // of the weights
  std::vector<Packed> packed_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> idle_;
};

class Acting::Desk {
 public:
  // Nobody loads weights as long as it is there.
  explicit Desk(Acting& acting);
  ~Desk();
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;

 private:
  friend class Acting;

  Acting& acting_;
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace socialgrid::learning
