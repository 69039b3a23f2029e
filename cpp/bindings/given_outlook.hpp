// What networks see, as it is given from Python.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <tuple>

#include "eye.hpp"
#include "given_arrays.hpp"
#include "given_layers.hpp"

namespace socialgrid::bindings {

// Rows, cols, pixels along the side of a tile and bytes of a tile's number, 0 where views are
// images; whether the first layer is of single cells; the layers.
using GivenViews = std::tuple<std::array<std::int64_t, 4>, bool, GivenLayers>;

// Of vectors of `inputs` numbers where no views are given. Views that are numbers need the array
// "atlas", uint8 [tiles, pixels]. Raises a ValueError where layers do not fit each other.
learning::Outlook outlook_of(const std::optional<GivenViews>& given, const GivenArrays& arrays,
                             std::int64_t inputs);

}  // namespace socialgrid::bindings
