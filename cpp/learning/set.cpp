// One set of kernels. Compiled once for every set.
#include "unroll.hpp"

#define SOCIALGRID_TEXT_OF(name) #name
#define SOCIALGRID_TEXT(name) SOCIALGRID_TEXT_OF(name)

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {

extern const Kernels kernels;
const Kernels kernels = {
    SOCIALGRID_TEXT(SOCIALGRID_KERNEL_SET),
    packed,
    padded,
    pack_forward,
    pack_backward,
    forward,
    backward,
    weights,
};

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
