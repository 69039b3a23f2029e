#include "grid/tile_pictures.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace socialgrid {
namespace {

constexpr Rgb kBlack{0, 0, 0};

// Inside the triangle (0.12, 0.19) (0.87, 0.50) (0.12, 0.81), by barycentric coordinates.
bool in_agent_triangle(double x, double y) {
  constexpr double ax = 0.12, ay = 0.19, bx = 0.87, by = 0.50, cx = 0.12, cy = 0.81;
  constexpr double v0x = cx - ax, v0y = cy - ay, v1x = bx - ax, v1y = by - ay;
  const double v2x = x - ax, v2y = y - ay;
  const double dot00 = v0x * v0x + v0y * v0y, dot01 = v0x * v1x + v0y * v1y;
  const double dot11 = v1x * v1x + v1y * v1y;
  const double dot02 = v0x * v2x + v0y * v2y, dot12 = v1x * v2x + v1y * v2y;
  const double scale = 1.0 / (dot00 * dot11 - dot01 * dot01);
  const double u = (dot11 * dot02 - dot01 * dot12) * scale;
  const double v = (dot00 * dot12 - dot01 * dot02) * scale;
  return u >= 0 && v >= 0 && u + v < 1;
}

Rgb dimmed(Rgb color) {
  const auto dim = [](std::uint8_t channel) { return static_cast<std::uint8_t>(0.45 * channel); };
  return {dim(color.r), dim(color.g), dim(color.b)};
}

void paint_door(Canvas& canvas, DoorState state, Rgb color) {
  switch (state) {
    case DoorState::kOpen:
      canvas.fill_rect(0.88, 1.00, 0.00, 1.00, color);
      canvas.fill_rect(0.92, 0.96, 0.04, 0.96, kBlack);
      return;
    case DoorState::kClosed:
      canvas.fill_rect(0.00, 1.00, 0.00, 1.00, color);
      canvas.fill_rect(0.04, 0.96, 0.04, 0.96, kBlack);
      canvas.fill_rect(0.08, 0.92, 0.08, 0.92, color);
      canvas.fill_rect(0.12, 0.88, 0.12, 0.88, kBlack);
      canvas.fill_circle(0.75, 0.50, 0.08, color);
      return;
    case DoorState::kLocked:
      canvas.fill_rect(0.00, 1.00, 0.00, 1.00, color);
      canvas.fill_rect(0.06, 0.94, 0.06, 0.94, dimmed(color));
      canvas.fill_rect(0.52, 0.75, 0.50, 0.56, color);
      return;
  }
}

void paint_key(Canvas& canvas, Rgb color) {
  canvas.fill_rect(0.50, 0.63, 0.31, 0.88, color);
  canvas.fill_rect(0.38, 0.50, 0.59, 0.66, color);
  canvas.fill_rect(0.38, 0.50, 0.81, 0.88, color);
  canvas.fill_circle(0.56, 0.28, 0.190, color);
  canvas.fill_circle(0.56, 0.28, 0.064, kBlack);
}

void paint_box(Canvas& canvas, Rgb color) {
  canvas.fill_rect(0.12, 0.88, 0.12, 0.88, color);
  canvas.fill_rect(0.18, 0.82, 0.18, 0.82, kBlack);
  canvas.fill_rect(0.16, 0.84, 0.47, 0.53, color);
}

}  // namespace

Picture draw_tile(Tile tile, int side) {
  const TileTraits& traits = kTiles[tile];
  const Rgb color = kColorValues[traits.color];
  Canvas canvas(side);
  const auto fill_all = [&](Rgb fill) { canvas.fill_rect(0, 1, 0, 1, fill); };
  switch (traits.kind) {
    case TileKind::kEmpty:
      break;
    case TileKind::kWall:
      fill_all(kWallColor);
      break;
    case TileKind::kGoal:
      fill_all({0, 255, 0});
      break;
    case TileKind::kCycle:
      fill_all({255, 255, 0});
      break;
    case TileKind::kLava:
      fill_all({255, 128, 0});
      break;
    case TileKind::kDoor:
      paint_door(canvas, traits.door, color);
      break;
    case TileKind::kKey:
      paint_key(canvas, color);
      break;
    case TileKind::kBall:
      canvas.fill_circle(0.5, 0.5, 0.31, color);
      break;
    case TileKind::kBox:
      paint_box(canvas, color);
      break;
  }
  return canvas.averaged();
}

Picture draw_agent(Rgb color, bool prestige, int dir, int side) {
  Canvas canvas(side);
  canvas.fill(
      [dir](double x, double y) {
        // Turn the sample back by dir quarter turns about the centre.
        for (int i = 0; i < dir; ++i) {
          const double turned_x = y;
          y = 1.0 - x;
          x = turned_x;
        }
        return in_agent_triangle(x, y);
      },
      prestige ? Rgb{255, 255, 255} : color);
  return prestige ? tinted(canvas.averaged(), color) : canvas.averaged();
}

Picture blend(const Picture& object, const Picture& agent) {
  const std::size_t count = object.pixels.size() / 3;
  const auto weight = [&](std::size_t pixel) {
    return agent.pixels[3 * pixel] + agent.pixels[3 * pixel + 1] + agent.pixels[3 * pixel + 2];
  };
  int largest = 0;
  for (std::size_t pixel = 0; pixel < count; ++pixel) largest = std::max(largest, weight(pixel));
  if (largest == 0) return object;
  Picture out = object;
  for (std::size_t i = 0; i < out.pixels.size(); ++i) {
    const int a = weight(i / 3);
    out.pixels[i] = static_cast<std::uint8_t>(
        (object.pixels[i] * (largest - a) + agent.pixels[i] * a) / largest);
  }
  return out;
}

Picture with_grid_lines(Picture picture) {
  const int side = picture.side;
  const int brightness = grid_line_brightness(side);
  const auto pixel = [&](int row, int col) {
    return &picture.pixels[static_cast<std::size_t>((row * side + col) * 3)];
  };
  const auto is_black = [&](const std::uint8_t* p) { return p[0] == 0 && p[1] == 0 && p[2] == 0; };
  if (!is_black(pixel(0, 0)) && !is_black(pixel(0, side - 1)) && !is_black(pixel(side - 1, 0)) &&
      !is_black(pixel(side - 1, side - 1))) {
    return picture;
  }
  for (int row = 0; row < side; ++row) {
    for (int col = 0; col < side; ++col) {
      if (row != 0 && col != side - 1) continue;
      for (int channel = 0; channel < 3; ++channel) {
        std::uint8_t& value = pixel(row, col)[channel];
        value = static_cast<std::uint8_t>(std::min(255, value + brightness));
      }
    }
  }
  return picture;
}

Picture tinted(Picture mask, Rgb color) {
  const std::uint8_t channels[3] = {color.r, color.g, color.b};
  for (std::size_t i = 0; i < mask.pixels.size(); ++i) {
    mask.pixels[i] = static_cast<std::uint8_t>((mask.pixels[i] * channels[i % 3]) >> 8);
  }
  return mask;
}

Picture draw_shadow(int side) {
  Canvas canvas(side);
  canvas.fill_rect(0, 1, 0, 1, kShadow);
  return canvas.averaged();
}

std::size_t turned_from(int side, int dir, int row, int col) {
  const int last = side - 1;
  const int from[4][2] = {
      {col, last - row}, {last - row, last - col}, {last - col, row}, {row, col}};
  return static_cast<std::size_t>(from[dir][0] * side + from[dir][1]);
}

Picture turned(const Picture& picture, int dir) {
  Picture out{picture.side, std::vector<std::uint8_t>(picture.pixels.size())};
  for (int row = 0; row < picture.side; ++row) {
    for (int col = 0; col < picture.side; ++col) {
      std::copy_n(&picture.pixels[3 * turned_from(picture.side, dir, row, col)], 3,
                  &out.pixels[static_cast<std::size_t>((row * picture.side + col) * 3)]);
    }
  }
  return out;
}

int grid_line_brightness(int side) { return std::max(0, std::min(20, side - 10)); }

}  // namespace socialgrid
