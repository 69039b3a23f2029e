#include "acting.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "met.hpp"

namespace socialgrid::learning {
namespace {

constexpr std::int64_t kGroup = 256;  // environments at a time, of which views may be shared
// Where hardly any views have been met before, how often not to look for them, and after how many.
constexpr int kPatience = 15;
constexpr std::int64_t kFew = 4 * kGroup;

// Bytes of views that were met and of what was made of them, of all agents of a thread.
constexpr std::int64_t kKept = std::int64_t{1} << 21;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

struct Acting::Packed {
  std::vector<Ready> cell;  // one or none
  Ready first;              // an affine layer from a cell to what it adds at each place
  Numbers first_bias;
  std::vector<Ready> layers;
  Numbers memory;
  std::vector<std::pair<std::vector<Ready>, std::vector<Ready>>> deciders;
};

struct Acting::Workspace {
  explicit Workspace(const Acting& acting);

  // What each agent makes of tiles, by its first layer, and of views.
  struct Known {
    explicit Known(Met views) : met(std::move(views)) {}

    void forget() {
      count = 0;
      met.clear();
    }

    Numbers table;
    std::int64_t room = 0, count = 0;
    Met met;
    int patience = 0;
  };

  std::int64_t version = 0;
  Tiles tiles;
  std::vector<Known> known;
  std::vector<std::uint16_t> cells;
  std::vector<std::int64_t> place;
  Numbers image, next;      // of a piece
  Numbers x;                // of a group
  Numbers h, c, zeros;      // of a group
  Numbers hidden, further;  // of a group, in deciders
  Numbers scratch;
  std::vector<std::uint8_t> reset;
  std::vector<std::int32_t> heard;
};

Acting::Workspace::Workspace(const Acting& acting) : tiles(acting.network_.views) {
  const Network& n = acting.network_;
  const std::int64_t bytes = kKept / std::max<std::int64_t>(n.agents, 1);
  for (std::int64_t agent = 0; agent < n.agents; ++agent) {
    known.emplace_back(Met(n.views.cells(), n.features, kGroup, bytes));
  }
  cells.resize(index(kGroup * n.views.cells()));
  place.resize(index(kGroup));
  image.resize(acting.piece_ * acting.widest_);
  next.resize(acting.piece_ * acting.widest_);
  x.resize(kGroup * n.features);
  h.resize(kGroup * n.memory);
  c.resize(kGroup * n.memory);
  zeros.resize(n.memory);
  std::int64_t most = 1;
  for (const Deciders& one : n.deciders) {
    for (const Layer& layer : one.policy) most = std::max(most, layer.outputs);
    for (const Layer& layer : one.value) most = std::max(most, layer.outputs);
  }
  hidden.resize(kGroup * most);
  further.resize(kGroup * most);
  scratch.resize(acting.kernels_.padded_outputs(most));
  reset.resize(index(kGroup));
  heard.resize(index(kGroup * acting.columns_));
}

Acting::Acting(const Kernels& kernels, Network network)
    : kernels_(kernels), network_(std::move(network)) {
  const Network& n = network_;
  for (const Heard& one : n.heard) {
    columns_ += one.columns;
    codes_ += one.columns * one.symbols;
    leaders_ = std::max(leaders_, one.leaders);
  }
  state_ = 2 * n.memory + static_cast<std::int64_t>(n.deciders.size()) - 1;
  padded_ = kernels_.padded_outputs(n.first.outputs);
  widest_ = std::max({n.first.results(), n.views.pixels(), n.cell.outputs});
  for (const Layer& layer : n.layers) widest_ = std::max(widest_, layer.results());
  piece_ = piece_of(widest_);
}

Acting::~Acting() = default;

std::size_t Acting::parameters() const {
  std::size_t layers = (network_.cell.outputs > 0 ? 1 : 0) + 1 + network_.layers.size();
  for (const Deciders& one : network_.deciders) layers += one.policy.size() + one.value.size();
  return 2 * layers + 4;
}

void Acting::load(const std::vector<const float*>& parameters) {
  const Network& n = network_;
  std::vector<Packed> packed(index(n.agents));
  for (std::int64_t agent = 0; agent < n.agents; ++agent) {
    Packed& own = packed[index(agent)];
    auto next = parameters.begin();
    const auto take = [&](std::int64_t size) { return *next++ + agent * size; };
    const auto layer = [&](const Layer& one) {
      const float* weight = take(one.weights());
      return ready(kernels_, one, weight, take(one.outputs));
    };
    if (n.cell.outputs > 0) own.cell.push_back(layer(n.cell));

    // What a cell adds at every place, side by side and padded.
    const std::int64_t places = n.first.kernel * n.first.kernel, inputs = n.first.inputs;
    const float* weight = take(n.first.outputs * places * inputs);
    std::vector<float> turned(index(places * padded_ * inputs));
    for (std::int64_t o = 0; o < n.first.outputs; ++o) {
      for (std::int64_t p = 0; p < places; ++p) {
        std::copy_n(weight + (o * places + p) * inputs, inputs,
                    turned.data() + (p * padded_ + o) * inputs);
      }
    }
    Layer table;
    table.inputs = inputs;
    table.outputs = places * padded_;
    own.first = ready(kernels_, table, turned.data(), nullptr);
    own.first_bias.resize(padded_);
    std::copy_n(take(n.first.outputs), n.first.outputs, own.first_bias.data());

    for (const Layer& one : n.layers) own.layers.push_back(layer(one));
    const std::int64_t gates = 4 * n.memory, heard = n.features + codes_;
    const float* input = take(gates * heard);
    const float* recurrent = take(gates * n.memory);
    const float* bias_input = take(gates);
    own.memory.resize(kernels_.packed(heard, n.memory));
    kernels_.pack_forward(input, recurrent, bias_input, take(gates), heard, n.memory,
                          own.memory.data());
    for (const Deciders& one : n.deciders) {
      auto& [policy, value] = own.deciders.emplace_back();
      for (const Layer& each : one.policy) policy.push_back(layer(each));
      for (const Layer& each : one.value) value.push_back(layer(each));
    }
  }
  packed_ = std::move(packed);
  ++version_;
}

std::unique_ptr<Acting::Workspace> Acting::borrow() {
  std::unique_ptr<Workspace> found;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!idle_.empty()) {
      found = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!found) found = std::make_unique<Workspace>(*this);
  if (found->version != version_) {
    for (Workspace::Known& known : found->known) known.forget();
    found->version = version_;
  }
  return found;
}

Acting::Desk::Desk(Acting& acting) : acting_(acting), workspace_(acting.borrow()) {}

Acting::Desk::~Desk() {
  try {
    const std::lock_guard<std::mutex> lock(acting_.mutex_);
    acting_.idle_.push_back(std::move(workspace_));
  } catch (const std::bad_alloc&) {
    // Whoever comes next makes another.
  }
}

void Acting::act(const Step& step, std::int64_t begin, std::int64_t end) {
  Desk desk(*this);
  act(step, begin, end, desk);
}

void Acting::act(const Step& step, std::int64_t begin, std::int64_t end, Desk& desk) {
  Workspace& w = *desk.workspace_;
  for (std::int64_t first = begin; first < end; first += kGroup) {
    const std::int64_t last = std::min(end, first + kGroup);
    for (std::int64_t agent = 0; agent < leaders_; ++agent) {
      run(w, step, Turn{agent, false, false}, first, last);
    }
    for (std::int64_t agent = 0; agent < network_.agents; ++agent) {
      const bool led = agent < leaders_;
      if (!led || hears_leaders(agent)) run(w, step, Turn{agent, true, led}, first, last);
    }
  }
}

// Whether it is told what leaders do, which have acted before.
bool Acting::hears_leaders(std::int64_t agent) const {
  return std::any_of(network_.heard.begin(), network_.heard.end(),
                     [agent](const Heard& one) { return one.leaders > 0 && agent >= one.leaders; });
}

void Acting::run(Workspace& w, const Step& s, Turn turn, std::int64_t begin, std::int64_t end) {
  while (begin < end) {
    const std::int64_t count =
        w.tiles.number(s.views.at(begin, turn.agent), s.views.env, end - begin, w.cells.data());
    if (count > 0) {
      encode(w, turn.agent, count);
      hear(w, s, turn, begin, count);
      remember(w, s, turn, begin, count);
      decide(w, s, turn, begin, count);
      begin += count;
    } else {
      w.tiles.clear();
      for (Workspace::Known& known : w.known) known.forget();
    }
  }
}

// From numbers of tiles to features in `x`; of views that were met with these weights only once.
void Acting::encode(Workspace& w, std::int64_t agent, std::int64_t count) {
  learn_tiles(w, agent);
  const std::int64_t cells = network_.views.cells(), width = network_.features;
  Workspace::Known& known = w.known[index(agent)];
  if (known.patience > 0) {
    --known.patience;
    encode_views(w, agent, w.cells.data(), count, w.x.data());
    return;
  }
  Met& met = known.met;
  if (met.room() < count) met.clear();
  const std::int64_t before = met.count();
  for (std::int64_t i = 0; i < count; ++i) {
    w.place[index(i)] = met.number(w.cells.data() + i * cells);
  }
  const std::int64_t added = met.count() - before;
  encode_views(w, agent, met.view(before), added, met.features(before));
  for (std::int64_t i = 0; i < count; ++i) {
    std::copy_n(met.features(w.place[index(i)]), width, w.x.data() + i * width);
  }
  const std::int64_t few = std::min(kFew, met.most() - kGroup);
  if (before >= few && 10 * added > 9 * count) known.patience = kPatience;
}

// What the first layer makes of tiles that the agent has not met with these weights.
void Acting::learn_tiles(Workspace& w, std::int64_t agent) {
  Workspace::Known& known = w.known[index(agent)];
  const Packed& own = packed_[index(agent)];
  const std::int64_t bytes = network_.views.pixels();
  const std::int64_t entry = own.first.images.outputs;
  if (w.tiles.size() > known.room) {
    const std::int64_t room = std::max(2 * known.room, w.tiles.size() + 16);
    Numbers larger(room * entry);
    std::copy_n(known.table.data(), known.count * entry, larger.data());
    known.table = std::move(larger);
    known.room = room;
  }
  while (known.count < w.tiles.size()) {
    const std::int64_t count = std::min(piece_, w.tiles.size() - known.count);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t tile = known.count + i;
      const std::uint8_t* pixels = network_.views.number > 0
                                       ? network_.atlas.data() + w.tiles.number_of(tile) * bytes
                                       : w.tiles.pixels_of(tile);
      for (std::int64_t j = 0; j < bytes; ++j) {
        w.image.data()[i * bytes + j] = static_cast<float>(pixels[j]) / 255.0f;
      }
    }
    float *x = w.image.data(), *to = w.next.data();
    for (const Ready& cell : own.cell) {
      cell.apply(kernels_, x, to, count);
      std::swap(x, to);
    }
    own.first.apply(kernels_, x, known.table.data() + known.count * entry, count);
    known.count += count;
  }
}

void Acting::encode_views(Workspace& w, std::int64_t agent, const std::uint16_t* cells,
                          std::int64_t count, float* features) {
  const Packed& own = packed_[index(agent)];
  LookUp l;
  l.rows = network_.views.rows;
  l.cols = network_.views.cols;
  l.kernel = network_.first.kernel;
  l.outputs = network_.first.outputs;
  l.slope = network_.first.slope;
  l.table = w.known[index(agent)].table.data();
  l.place = padded_;
  l.tile = l.kernel * l.kernel * padded_;
  l.bias = own.first_bias.data();
  for (std::int64_t first = 0; first < count; first += piece_) {
    l.count = std::min(piece_, count - first);
    l.cells = cells + first * network_.views.cells();
    l.out = w.image.data();
    kernels_.look_up(l, 0, l.count);
    float *x = w.image.data(), *to = w.next.data();
    for (const Ready& layer : own.layers) {
      if (&layer == &own.layers.back()) to = features + first * network_.features;
      layer.apply(kernels_, x, to, l.count);
      std::swap(x, to);
    }
  }
}

// Which inputs of the memory are 1 because of what is heard.
void Acting::hear(Workspace& w, const Step& s, Turn turn, std::int64_t begin,
                  std::int64_t count) const {
  if (columns_ == 0) return;
  std::int32_t* heard = w.heard.data();
  for (std::int64_t e = begin; e < begin + count; ++e) {
    const std::int16_t* tokens = s.tokens.at(e, turn.agent);
    std::int16_t* told = s.told.at(e, turn.agent);
    std::int64_t code = 0;
    for (const Heard& one : network_.heard) {
      for (std::int64_t i = 0; i < one.columns; ++i, code += one.symbols) {
        std::int64_t token = *tokens++;
        if (turn.told && one.leaders > 0 && turn.agent >= one.leaders) {
          token = *s.decided.front().choice.at(e, i);
        }
        if (token >= one.symbols) {
          throw std::out_of_range("an agent hears " + std::to_string(token) +
                                  " where there are only " + std::to_string(one.symbols) +
                                  " symbols");
        }
        *told++ = static_cast<std::int16_t>(token);
        *heard++ = token < 0 ? -1 : static_cast<std::int32_t>(code + token);
      }
    }
  }
}

void Acting::remember(Workspace& w, const Step& s, Turn turn, std::int64_t begin,
                      std::int64_t count) {
  const std::int64_t memory = network_.memory;
  for (std::int64_t i = 0; i < count; ++i) {
    float* before = s.before.at(begin + i, turn.agent);
    w.reset[index(i)] = *s.reset.at(begin + i, turn.agent);
    if (w.reset[index(i)] != 0) {
      std::fill_n(before, state_, 0.0f);
    } else {
      std::copy_n(s.state.at(begin + i, turn.agent), state_, before);
    }
  }
  Unroll u;
  u.steps = 1;
  u.count = count;
  u.inputs = network_.features;
  u.codes = codes_;
  u.columns = columns_;
  u.heard = w.heard.data();
  u.hidden = memory;
  u.weights = packed_[index(turn.agent)].memory.data();
  u.zeros = w.zeros.data();
  u.x = w.x.data();
  u.first_h = s.before.at(begin, turn.agent);
  u.first_c = u.first_h + memory;
  u.first_h_row = u.first_c_row = s.before.env;
  u.reset = w.reset.data();
  u.h = w.h.data();
  u.c = w.c.data();
  kernels_.forward(u, 0, count);
  for (std::int64_t i = 0; i < count; ++i) {
    float* after = s.after.at(begin + i, turn.agent);
    std::copy_n(w.h.data() + i * memory, memory, after);
    std::copy_n(w.c.data() + i * memory, memory, after + memory);
  }
}

void Acting::decide(Workspace& w, const Step& s, Turn turn, std::int64_t begin,
                    std::int64_t count) {
  const auto through = [&](const std::vector<Ready>& layers) {
    const float* x = w.h.data();
    float *to = w.hidden.data(), *other = w.further.data();
    for (const Ready& layer : layers) {
      layer.apply(kernels_, x, to, count);
      x = to;
      std::swap(to, other);
    }
    return x;
  };
  const auto& deciders = packed_[index(turn.agent)].deciders;
  for (std::size_t i = 0; i < deciders.size(); ++i) {
    const Decided& to = s.decided[i];
    Choice c;
    c.rows = count;
    c.choices = deciders[i].first.back().images.outputs;
    c.logits = through(deciders[i].first);
    if (i == 0 && !network_.mask.empty()) c.mask = network_.mask.data() + turn.agent * c.choices;
    c.scratch = w.scratch.data();
    if (to.uniform) c.uniform = to.uniform.at(begin, turn.agent);
    c.uniform_row = to.uniform.env;
    c.given = i == 0 && turn.decided;
    c.choice = to.choice.at(begin, turn.agent);
    c.choice_row = to.choice.env;
    c.log_prob = to.log_prob.at(begin, turn.agent);
    c.log_prob_row = to.log_prob.env;
    kernels_.choose(c);
    const float* value = through(deciders[i].second);
    for (std::int64_t row = 0; row < count; ++row) {
      *to.value.at(begin + row, turn.agent) = value[row];
      if (i == 0) continue;
      const auto choice = static_cast<float>(*to.choice.at(begin + row, turn.agent));
      s.after.at(begin + row, turn.agent)[2 * network_.memory + static_cast<std::int64_t>(i) - 1] =
          choice + 1.0f;
    }
  }
}

}  // namespace socialgrid::learning
