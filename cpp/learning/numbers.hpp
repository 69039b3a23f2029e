// Memory as the kernels like it.
#pragma once

#include <cstdint>
#include <vector>

namespace socialgrid::learning {

// Zeroed numbers that begin a line of the cache: vectors of the kernels lie in one line each.
class Numbers {
 public:
  explicit Numbers(std::int64_t count = 0) { resize(count); }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;
  Numbers(Numbers&&) = default;
  Numbers& operator=(Numbers&&) = default;

  // All are zero afterwards.
  void resize(std::int64_t count) {
    memory_.assign(static_cast<std::size_t>(count + kLine), 0.0f);
    data_ = memory_.data();
    while (reinterpret_cast<std::uintptr_t>(data_) % (sizeof(float) * kLine) != 0) ++data_;
  }

  float* data() { return data_; }
  const float* data() const { return data_; }

 private:
  static constexpr std::int64_t kLine = 16;
  std::vector<float> memory_;
  float* data_ = nullptr;
};

}  // namespace socialgrid::learning
