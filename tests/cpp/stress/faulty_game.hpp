// Rules that throw.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/game.hpp"

namespace socialgrid::stress {

// A game whose step throws when the fuse, counted in steps of single environments, burns down.
class FaultyGame final : public Game {
 public:
  explicit FaultyGame(std::shared_ptr<const Game> inner)
      : Game(inner->spec()), inner_(std::move(inner)) {}

  void arm(int steps, bool standard_exception) {
    standard_exception_ = standard_exception;
    fuse_ = steps;
  }
  void disarm() { fuse_ = 0; }

  void reset(World& world, Rng& rng) const override { inner_->reset(world, rng); }
  void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
            Rng& rng) const override {
    inner_->step(world, actions, outcome, rng);
    if (fuse_.load() > 0 && fuse_.fetch_sub(1) == 1) {
      if (standard_exception_) throw std::runtime_error("the fuse burnt down");
      throw 17;
    }
  }
  std::vector<ObsMode> obs_modes() const override { return inner_->obs_modes(); }
  std::unique_ptr<const Observer> observer(ObsMode mode) const override {
    return inner_->observer(mode);
  }
  void write_glyphs(const World& world, std::uint8_t* out) const override {
    inner_->write_glyphs(world, out);
  }
  void write_details(const World& world, Layout& layout) const override {
    inner_->write_details(world, layout);
  }
  void read_cells(World& next, const Layout& layout) const override {
    inner_->read_cells(next, layout);
  }
  void read_agents(World& next, const Layout& layout) const override {
    inner_->read_agents(next, layout);
  }
  void check(const World& world, bool finished) const override { inner_->check(world, finished); }

 private:
  std::shared_ptr<const Game> inner_;
  mutable std::atomic<int> fuse_{0};
  std::atomic<bool> standard_exception_{true};
};

}  // namespace socialgrid::stress
