// One set of kernels. Compiled once for every set.
#include "dense.hpp"
#include "images.hpp"
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
    alternatives,
    exertion_room,
    exert,
    packed_taps,
    pack_taps,
    correlate,
    spread,
    tap_gradients,
    rectified,
    squashed,
    tanh_all,
    absolute_errors,
    padded_outputs,
    margins,
    look_up,
    look_up_back,
    common_tile,
    look_up_rest,
    choose,
    judge,
    perceptron_apart,
    perceptron_room,
    perceptron_forward,
    perceptron_back,
    exponential_all,
    squash,
    squash_back,
    state_noise,
    state_noise_back,
    categorical,
    finite,
    norm,
    descend,
    approach,
    add_rows,
};

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
