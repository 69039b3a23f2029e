// Memory that is not there.
#pragma once

#include <cstdint>
#include <new>
#include <string>

namespace socialgrid {

// Says how much was wanted, and for what.
class OutOfMemory : public std::bad_alloc {
 public:
  OutOfMemory(std::uint64_t bytes, const std::string& purpose);
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

// Throws OutOfMemory if the machine, or the control group of this process, has less than `bytes` in
// all. Systems promise memory that they do not have, and end the process that uses it.
void require_memory(std::uint64_t bytes, const std::string& purpose);

}  // namespace socialgrid
