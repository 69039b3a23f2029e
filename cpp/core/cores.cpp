#include "core/cores.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace socialgrid {
namespace {

// Whole cores in `quota` of `period` microseconds, at least 1; 0 where there is no limit.
int whole_cores(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return 0;
  return static_cast<int>(std::clamp(quota / period, 1.0, 1e6));
}

// cpu.max of version 2: "max 100000" or "150000 100000".
int quota_of_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max") return 0;
  std::istringstream number(quota);
  double value = 0;
  return number >> value ? whole_cores(value, period) : 0;
}

// Version 1: -1 is no quota.
int quota_of_v1(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  double quota = 0, period = 0;
  return quota_file >> quota && period_file >> period ? whole_cores(quota, period) : 0;
}

int smaller(int one, int other) {
  return one == 0 || other == 0 ? std::max(one, other) : std::min(one, other);
}

}  // namespace

int quota_cores(const std::string& membership, const std::string& root) {
  int least = 0;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    // "0::/a/b" in version 2, "4:cpu,cpuacct:/a/b" in version 1.
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    // A container often sees its own group at the root, whatever the path.
    for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
      if (!path.empty() && path.back() == '/') path.pop_back();
      least = smaller(least, v2 ? quota_of_v2(root + path) : quota_of_v1(root + "/cpu" + path));
      if (path.rfind('/') == std::string::npos) break;
    }
  }
  return least;
}

int usable_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  // Larger machines than the set has room for say so, and then only the quota counts.
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = smaller(cores, CPU_COUNT(&set));
  std::ifstream file("/proc/self/cgroup");
  std::ostringstream membership;
  membership << file.rdbuf();
  cores = smaller(cores, quota_cores(membership.str(), "/sys/fs/cgroup"));
#endif
  return std::max(1, cores);
}

}  // namespace socialgrid
