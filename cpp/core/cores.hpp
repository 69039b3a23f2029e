// How many cores this process may use.
#pragma once

#include <string>

namespace socialgrid {

// Cores that threads of this process may run on: those of the machine, less what its affinity and
// the quotas of its control groups (Linux, version 1 or 2) leave out; a share of a core is none.
// At least 1.
int usable_cores();

// The quota of the groups in `membership` (what /proc/self/cgroup says), whose tree of either
// version lies at `root`; whole cores, or 0: there is no quota. Groups above count, too.
int quota_cores(const std::string& membership, const std::string& root);

}  // namespace socialgrid
