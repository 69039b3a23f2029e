// Steps along the gradients of one minibatch after the other: see learning.cpp.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <exception>
#include <memory>
#include <tuple>
#include <vector>

#include "given_minibatches.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "meeting.hpp"
#include "numbers.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Gathered;
using learning::Kernels;

// Addresses of both moments of every parameter; of every agent its place among them, the steps that
// it has taken, and its rate; Adam's betas and eps, and what gradients' norms may be at most.
using GivenAdam = std::tuple<std::vector<std::array<std::uintptr_t, 2>>,
                             std::vector<std::array<double, 3>>, std::array<double, 4>>;
// Which of the numbers that are told is a divergence, and beyond which nobody takes a step.
using GivenLimit = std::tuple<std::int64_t, double>;

constexpr std::int64_t kNumbersATime = 4096;  // that a thread moves before it looks for more

// Numbers of one parameter of an agent, that a step moves.
struct Stretch {
  std::int64_t agent, offset, from, count;  // from: the agent's first gradient of them
  std::size_t parameter;
};

// Steps that threads take together; they meet after each part of one. Nothing throws between:
// what fails is kept, and then nobody goes on.
class Descent {
 public:
  Descent(const Kernels& kernels, const Network& network, const GivenMinibatches& drawn,
          const GivenAdam& adam, const GivenLimit& limit, std::array<std::int64_t, 2> minibatches,
          std::uintptr_t found, int threads, Signals& signals)
      : kernels_(kernels),
        network_(network),
        drawn_(drawn),
        adam_(adam),
        limit_(limit),
        first_(minibatches[0]),
        count_(minibatches[1]),
        agents_(static_cast<std::int64_t>(std::get<2>(drawn).size())),
        found_(found),
        signals_(signals),
        everybody_(threads),
        stepping_(std::get<2>(drawn).size()),
        scales_(stepping_.size(), 1.0) {
    for (std::int64_t agent = 0; agent < agents_; ++agent) {
      std::int64_t from = network.rows();
      for (std::size_t p = 0; p < network.apart().size(); ++p) {
        const std::int64_t own = network.apart()[p];
        for (std::int64_t at = 0; at < own; at += kNumbersATime) {
          stretches_.push_back({agent, at, from + at, std::min(kNumbersATime, own - at), p});
        }
        from += own;
      }
    }
    begin();
    errors_.resize(static_cast<std::size_t>(minibatch_->pieces()));
  }

  // What each of the threads does.
  void work() {
    Gathered desk;
    for (;;) {
      make_ready();
      meet([] {});
      learn(desk);
      meet([&] { judge(); });
      if (over_) return;
      step();
      meet([&] { go_on(); });
      if (over_) return;
    }
  }

  // Once all have ended: in how many minibatches everybody has taken a step who was to; throws the
  // first error, in the order of pieces, or what a handler of signals raised.
  std::int64_t done() const {
    signals_.rethrow();
    for (const std::exception_ptr& error : errors_) {
      if (error) std::rethrow_exception(error);
    }
    return done_;
  }

 private:
  void begin() {
    minibatch_.reset();
    minibatch_ = std::make_unique<Minibatch>(kernels_, network_, drawn_, first_ + done_);
  }

  // Calls one(i) for what no other thread has taken since all have met.
  template <typename One>
  void share(std::int64_t count, const One& one) {
    for (std::int64_t i = next_++; i < count; i = next_++) one(i);
  }

  // The last one to come does what nobody else does meanwhile.
  template <typename Last>
  void meet(const Last& last) {
    everybody_.meet([&] {
      next_ = 0;
      last();
    });
  }

  // Weights in the order in which they are read: those of layers that see, and the memory's.
  void make_ready() {
    share(3 * agents_, [&](std::int64_t i) {
      if (i >= agents_) return network_.pack(i % agents_, i >= 2 * agents_);
      try {
        minibatch_->make_ready(i);
      } catch (...) {  // whoever learns tries again, and keeps what that throws
      }
    });
  }

  void learn(Gathered& desk) {
    share(minibatch_->pieces(), [&](std::int64_t piece) {
      try {
        if (failed_ || signals_.given_up()) return;
        if (minibatch_->learn(piece, desk, signals_) == Minibatch::Found::unknown) failed_ = true;
      } catch (...) {
        errors_[static_cast<std::size_t>(piece)] = std::current_exception();
        failed_ = true;
      }
    });
  }

  // Who takes a step, if all have learnt something finite.
  void judge() {
    try {
      find_stepping();
    } catch (...) {
      fail();
    }
  }

  void find_stepping() {
    over_ = failed_ || signals_.given_up();
    for (std::int64_t agent = 0; agent < agents_ && !over_; ++agent) {
      over_ = !std::isfinite(minibatch_->whole(agent)[0]);
    }
    if (over_) return;
    for (std::int64_t agent = 0; agent < agents_; ++agent) {
      const float* told = minibatch_->whole(agent);
      for (std::int64_t i = 0; i < network_.rows(); ++i) {
        *at<float>(found_, (i * count_ + done_) * agents_ + agent) = told[i];
      }
      const auto own = static_cast<std::size_t>(agent);
      stepping_[own] = !(static_cast<double>(told[std::get<0>(limit_)]) > std::get<1>(limit_));
      const double most = std::get<2>(adam_)[3];
      if (std::isfinite(most)) {
        const double norm = kernels_.norm(told + network_.rows(), network_.gradients());
        scales_[own] = std::min(1.0, most / (norm + 1e-6));
      }
    }
  }

  void step() {
    share(static_cast<std::int64_t>(stretches_.size()), [&](std::int64_t i) {
      const Stretch& one = stretches_[static_cast<std::size_t>(i)];
      const auto own = static_cast<std::size_t>(one.agent);
      if (!stepping_[own]) return;
      const auto& [place, taken, rate] = std::get<1>(adam_)[own];
      const auto& where = std::get<0>(adam_)[one.parameter];
      const std::int64_t before =
          static_cast<std::int64_t>(place) * network_.apart()[one.parameter] + one.offset;
      learning::Descent d;
      d.count = one.count;
      d.values = network_.values(one.parameter, one.agent) + one.offset;
      d.grads = minibatch_->whole(one.agent) + one.from;
      d.first = at<float>(where[0], before);
      d.second = at<float>(where[1], before);
      d.beta1 = std::get<2>(adam_)[0];
      d.beta2 = std::get<2>(adam_)[1];
      d.eps = std::get<2>(adam_)[2];
      d.steps = taken + static_cast<double>(done_ + 1);
      d.rate = rate;
      d.scale = scales_[own];
      kernels_.descend(d);
    });
  }

  // The next minibatch, unless that was the last one, or somebody stops with it.
  void go_on() {
    ++done_;
    over_ = done_ == count_ || std::count(stepping_.begin(), stepping_.end(), 0) > 0;
    if (over_) return;
    try {
      begin();
    } catch (...) {
      fail();
    }
  }

  // Keeps an error of what is not done piece by piece.
  void fail() {
    if (!errors_.front()) errors_.front() = std::current_exception();
    over_ = true;
  }

  const Kernels& kernels_;
  const Network& network_;
  const GivenMinibatches& drawn_;
  const GivenAdam& adam_;
  const GivenLimit& limit_;
  const std::int64_t first_, count_, agents_;
  const std::uintptr_t found_;
  Signals& signals_;
  learning::Meeting everybody_;
  std::vector<Stretch> stretches_;
  std::vector<std::uint8_t> stepping_;  // of every agent
  std::vector<double> scales_;          // of their gradients
  std::unique_ptr<Minibatch> minibatch_;
  std::vector<std::exception_ptr> errors_;
  std::int64_t done_ = 0;
  bool over_ = false;  // changes only while all but one wait
  std::atomic<bool> failed_{false};
  std::atomic<std::int64_t> next_{0};
};

// Who learns, from which of the minibatches (the first, and how many); what is told of each lesson,
// [rows, minibatches, agents]. Returns in how many of them everybody has learnt, and taken a step
// unless the limit forbids it; less than there are where somebody does not in the last of these, or
// where what comes next is for others: views have too many different tiles, or a loss is not
// finite. Nobody moves in such a minibatch.
std::int64_t learn_minibatches(const Kernels& kernels, const GivenNetwork& given,
                               const GivenMinibatches& drawn,
                               const std::array<std::int64_t, 2>& minibatches, std::uintptr_t found,
                               const GivenAdam& adam, const GivenLimit& limit, int threads) {
  Unlocked unlocked;
  Signals signals(unlocked);
  Network network(kernels, given);
  const auto agents = static_cast<std::int64_t>(std::get<2>(drawn).size());
  Numbers forward = Numbers::unset(agents * network.packed());
  Numbers back = Numbers::unset(agents * network.packed());
  network.pack_into(forward.data(), back.data(), agents);
  const auto pieces = agents * static_cast<std::int64_t>(std::get<1>(drawn).size());
  threads =
      static_cast<int>(std::clamp<std::int64_t>(threads, 1, std::max<std::int64_t>(pieces, 1)));
  Descent descent(kernels, network, drawn, adam, limit, minibatches, found, threads, signals);
  learning::side_by_side(threads, [&](int) { descent.work(); });
  return descent.done();
}

}  // namespace

void add_minibatches(py::class_<Kernels>& kernels) {
  kernels.def("learn_minibatches", &learn_minibatches, py::arg("network"), py::arg("minibatches"),
              py::arg("which"), py::arg("found"), py::arg("adam"), py::arg("limit"),
              py::arg("threads"));
}

}  // namespace socialgrid::bindings
