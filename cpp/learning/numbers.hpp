// Memory as the kernels like it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace socialgrid::learning {

// Numbers that begin a line of the cache: vectors of the kernels lie in one line each.
class Numbers {
 public:
  // All are zero.
  explicit Numbers(std::int64_t count = 0) { resize(count); }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;
  Numbers(Numbers&&) = default;
  Numbers& operator=(Numbers&&) = default;

  // Of whatever was there: for those who write before they read. Zeros of memory that is larger
  // than the cache cost as much as a pass over it.
  static Numbers unset(std::int64_t count) {
    Numbers found{Room{}};
    found.make_room(count);
    return found;
  }

  // All are zero afterwards.
  void resize(std::int64_t count) {
    make_room(count);
    std::fill_n(data_, count, 0.0f);
  }

  float* data() { return data_; }
  const float* data() const { return data_; }

 private:
  struct Room {};
  explicit Numbers(Room) {}

  void make_room(std::int64_t count) {
    memory_.reset(new float[static_cast<std::size_t>(count + kLine)]);
    data_ = memory_.get();
    while (reinterpret_cast<std::uintptr_t>(data_) % (sizeof(float) * kLine) != 0) ++data_;
  }

  static constexpr std::int64_t kLine = 16;
  std::unique_ptr<float[]> memory_;
  float* data_ = nullptr;
};

}  // namespace socialgrid::learning
