// Absolute errors of predicted views and their gradients. Compiled once for every set of kernels.
#include "images.hpp"
#include "lanes.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {
namespace {

// Of one vector of all columns in all cells of a view: the sum of absolute errors.
template <bool Back>
SOCIALGRID_INLINE Lanes errors_of(const Errors& e, std::int64_t view, std::int64_t column,
                                  Lanes& sums) {
  const float factor = e.weight[view] * e.scale * e.coef;
  const Lanes above = all(factor), below = all(factor * e.slope), none = {};
  const std::int32_t* numbers = e.numbers + view * e.cells;
  float* at = e.shown + view * e.cells * e.columns + column;
  Lanes total = {};
  for (std::int64_t cell = 0; cell < e.cells; ++cell, at += e.columns) {
    const Lanes x = load(at), difference = x - load(e.table + numbers[cell] * e.columns + column);
    total += difference < 0.0f ? -difference : difference;
    if (!Back) continue;
    const Lanes own = x > 0.0f ? above : below;
    const Lanes grad = difference > 0.0f ? own : (difference < 0.0f ? -own : none);
    sums += grad;
    store(at, grad);
  }
  return total;
}

template <bool Back>
double errors_of_all(const Errors& e) {
  double found = 0.0;
  for (std::int64_t view = 0; view < e.views; ++view) {
    Lanes total = {};
    for (std::int64_t column = 0; column < e.columns; column += kLanes) {
      Lanes sums = Back ? load(e.sums + column) : Lanes{};
      total += errors_of<Back>(e, view, column, sums);
      if (Back) store(e.sums + column, sums);
    }
    double one = 0.0;
    for (int lane = 0; lane < kLanes; ++lane) one += total[lane];
    found += one * e.weight[view] * e.scale;
  }
  return found;
}

}  // namespace

double absolute_errors(const Errors& e) {
  return e.sums == nullptr ? errors_of_all<false>(e) : errors_of_all<true>(e);
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
