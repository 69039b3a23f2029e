// What agents of the social dilemmas see: the whole square around them, one colour a cell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/observer.hpp"
#include "dilemma/shuffled_cells.hpp"
#include "dilemma/square_view.hpp"

namespace socialgrid {

class SquareObserver final : public Observer {
 public:
  // The view has to live as long.
  SquareObserver(const WorldShape& world, const SquareView& view, ObsMode mode);

  std::unique_ptr<ObserverScratch> make_scratch() const override;
  void observe(const World& world, ObserverScratch& scratch, std::byte* obs,
               std::uint8_t* visible) const override;
  // Beams are drawn whether agents see them or not; from four pixels a cell a dark notch shows
  // where an agent faces.
  std::vector<std::uint8_t> render(const World& world, int side) const override;
  TilePictures tile_pictures() const override;

 private:
  // Code: what looks the same has the same number; first tiles, then beams, then agents.
  template <typename Code>
  void observe_as(const World& world, ObserverScratch& scratch, std::byte* obs,
                  std::uint8_t* visible) const;
  // Lays the grid with agents, by their codes, and beams into a plane whose rows are `stride`
  // apart.
  template <typename Code>
  void fill_plane(const World& world, bool show_beams, const std::vector<std::uint16_t>& agents,
                  Code* plane, std::size_t stride) const;
  // Gives agents codes below 16 that no tile of this game has, if there are enough, and says what
  // colour each code then has.
  std::vector<std::uint32_t> use_free_codes();
  template <typename Code>
  void write(const Code* corner, std::ptrdiff_t row_step, std::ptrdiff_t col_step,
             std::byte* obs) const;
  void see_agents(const World& world, std::uint8_t* visible) const;

  const SquareView& view_;
  int margin_;
  std::size_t plane_rows_;
  std::size_t plane_cols_;
  std::vector<std::uint32_t> colors_;  // of each code: red, green, blue in the lowest three bytes
  std::vector<std::uint16_t> agent_codes_;         // in views
  std::vector<std::uint8_t> rows_;                 // of each cell
  std::unique_ptr<const ShuffledCells> shuffled_;  // nothing where it does not apply
};

}  // namespace socialgrid
