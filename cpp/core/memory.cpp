#include "core/memory.hpp"

#include <algorithm>
#include <fstream>
#include <limits>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <unistd.h>
#endif

namespace socialgrid {
namespace {

constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();

std::uint64_t machine_bytes() {
#ifdef _WIN32
  MEMORYSTATUSEX status = {};
  status.dwLength = sizeof status;
  return GlobalMemoryStatusEx(&status) != 0 ? status.ullTotalPageFile : kUnknown;
#else
  const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return kUnknown;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
#endif
}

std::uint64_t control_group_bytes() {
  std::uint64_t least = kUnknown;
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::uint64_t limit = 0;  // stays 0 where the file is missing or says "max"
    if (std::ifstream(path) >> limit) least = std::min(least, limit);
  }
  return least;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  return std::to_string(bytes) + " bytes" +
         (bytes >= kMiB ? " (" + std::to_string(bytes / kMiB) + " MiB)" : "");
}

}  // namespace

OutOfMemory::OutOfMemory(std::uint64_t bytes, const std::string& purpose)
    : text_("there is not enough memory: " + size_text(bytes) + " for " + purpose) {}

void require_memory(std::uint64_t bytes, const std::string& purpose) {
  static const std::uint64_t most = std::min(machine_bytes(), control_group_bytes());
  if (bytes > most)
    throw OutOfMemory(bytes, purpose + "; there are " + size_text(most) + " in all");
}

}  // namespace socialgrid
