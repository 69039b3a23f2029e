#include "kernels.hpp"

namespace socialgrid::learning {

#define SOCIALGRID_DECLARE(set) \
  namespace set {               \
  extern const Kernels kernels; \
  }
#if defined(SOCIALGRID_KERNELS)
SOCIALGRID_DECLARE(portable)
#if defined(SOCIALGRID_KERNELS_X86)
SOCIALGRID_DECLARE(avx2)
SOCIALGRID_DECLARE(avx512)
#endif
#endif

std::vector<const Kernels*> kernel_sets() {
  std::vector<const Kernels*> found;
#if defined(SOCIALGRID_KERNELS_X86)
  const bool wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (wide && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
    found.push_back(&avx512::kernels);
  }
  if (wide) found.push_back(&avx2::kernels);
#endif
#if defined(SOCIALGRID_KERNELS)
  found.push_back(&portable::kernels);
#endif
  return found;
}

}  // namespace socialgrid::learning
