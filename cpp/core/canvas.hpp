// Drawing small pictures: shapes are painted on 3 x 3 subpixels a pixel, sampled at subpixel
// centres in unit coordinates (x right, y down), and averaged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/tile.hpp"

namespace socialgrid {

// A square RGB picture.
struct Picture {
  int side = 0;
  std::vector<std::uint8_t> pixels;  // [side, side, 3]
  friend bool operator==(const Picture&, const Picture&) = default;
};

class Canvas {
 public:
  explicit Canvas(int side)
      : side_(side),
        samples_(side * kSubpixels),
        colors_(static_cast<std::size_t>(samples_ * samples_)) {}

  template <typename Inside>
  void fill(Inside inside, Rgb color) {
    for (int row = 0; row < samples_; ++row) {
      for (int col = 0; col < samples_; ++col) {
        const double x = (col + 0.5) / samples_;
        const double y = (row + 0.5) / samples_;
        if (inside(x, y)) colors_[static_cast<std::size_t>(row * samples_ + col)] = color;
      }
    }
  }

  void fill_rect(double x0, double x1, double y0, double y1, Rgb color) {
    fill([=](double x, double y) { return x >= x0 && x <= x1 && y >= y0 && y <= y1; }, color);
  }

  void fill_circle(double cx, double cy, double r, Rgb color) {
    fill([=](double x, double y) { return (x - cx) * (x - cx) + (y - cy) * (y - cy) <= r * r; },
         color);
  }

  Picture averaged() const {
    Picture picture{side_, {}};
    picture.pixels.reserve(static_cast<std::size_t>(side_ * side_ * 3));
    for (int row = 0; row < side_; ++row) {
      for (int col = 0; col < side_; ++col) {
        picture.pixels.push_back(average(row, col, &Rgb::r));
        picture.pixels.push_back(average(row, col, &Rgb::g));
        picture.pixels.push_back(average(row, col, &Rgb::b));
      }
    }
    return picture;
  }

 private:
  static constexpr int kSubpixels = 3;

  // The mean over each subpixel row, then over the three rows, truncated.
  std::uint8_t average(int row, int col, std::uint8_t Rgb::* channel) const {
    double total = 0;
    for (int i = 0; i < kSubpixels; ++i) {
      int sum = 0;
      for (int j = 0; j < kSubpixels; ++j) {
        const int at = (row * kSubpixels + i) * samples_ + col * kSubpixels + j;
        sum += colors_[static_cast<std::size_t>(at)].*channel;
      }
      total += static_cast<double>(sum) / kSubpixels;
    }
    return static_cast<std::uint8_t>(total / kSubpixels);
  }

  int side_;
  int samples_;
  std::vector<Rgb> colors_;
};

}  // namespace socialgrid
