// What the test programs say of themselves: CHECK names a line that does not hold and goes on, and
// main() returns `outcome()`.
#pragma once

#include <cstdio>

namespace socialgrid::testing {

inline int failures = 0;

inline void check(bool holds, const char* what, const char* file, int line) {
  if (holds) return;
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what);
  ++failures;
}

// The program's exit status.
inline int outcome() {
  if (failures == 0) std::puts("all checks passed");
  return failures == 0 ? 0 : 1;
}

}  // namespace socialgrid::testing

#define CHECK(condition) socialgrid::testing::check((condition), #condition, __FILE__, __LINE__)
