// What the test programs say of themselves: CHECK names a line that does not hold and goes on, and
// main() returns `outcome()`.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

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

// The message of what `call` throws as Error; an empty text if it throws nothing of the kind.
template <typename Error>
std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace socialgrid::testing

#define CHECK(condition) socialgrid::testing::check((condition), #condition, __FILE__, __LINE__)
