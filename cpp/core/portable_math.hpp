// Functions whose last bit must not depend on the C library, because pixels depend on them.
#pragma once

namespace socialgrid {

// For x >= 0, within about two units in the last place of 1.
double portable_tanh(double x);
double portable_sigmoid(double x);

}  // namespace socialgrid
