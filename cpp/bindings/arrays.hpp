// numpy arrays over memory that is recycled only when nobody holds it.
#pragma once

#include <pybind11/numpy.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace socialgrid::bindings {

// Zeroed memory that begins at a multiple of 64 bytes, as others (JAX) need to share it; none (a
// null pointer) where the system has none.
class AlignedBlock {
 public:
  AlignedBlock() = default;
  explicit AlignedBlock(std::size_t bytes);
  std::byte* data() const { return data_; }

 private:
  std::unique_ptr<void, decltype(&std::free)> memory_{nullptr, &std::free};
  std::byte* data_ = nullptr;
};

// A zeroed C-contiguous array on such memory.
pybind11::array aligned_array(const pybind11::dtype& dtype,
                              const std::vector<pybind11::ssize_t>& shape);

template <typename T>
pybind11::array_t<T> aligned_array(const std::vector<pybind11::ssize_t>& shape) {
  return aligned_array(pybind11::dtype::of<T>(), shape);
}

// Hands out arrays of one shape and type. An array's memory returns to the pool when the last view
// of it is gone, so that memory in a user's hands is never written again.
class ArrayPool {
 public:
  // by_rows: not all rows of its arrays (of the first axis) are written; see clear_rest().
  ArrayPool(std::string name, pybind11::dtype dtype, std::vector<pybind11::ssize_t> shape,
            bool by_rows = false);

  struct Handed {
    pybind11::object object;  // what the caller gets: an array, or the user's own object
    std::byte* data = nullptr;
    // Of a pool by rows: where whoever writes says of each row whether it is written.
    std::uint8_t* rows = nullptr;
    // What keeps a user's memory in place while it is written; empty for a pool's.
    std::vector<pybind11::object> held = {};
  };
  // A pool array with unspecified content: its last holder may have written anything.
  Handed acquire();
  // Makes the rows of a pool's array zero that are not said to be written; only the first time, so
  // that what its holder writes stays. Throws TypeError for any other array.
  static void clear_rest(const pybind11::array& array);
  // The user's own memory, checked for type, shape and layout, and held until `held` is dropped.
  Handed wrap(const pybind11::object& object) const;

  std::size_t bytes() const { return bytes_; }
  const std::string& name() const { return name_; }
  const pybind11::str& key() const { return key_; }  // the same

 private:
  struct Block {
    AlignedBlock memory;
    std::vector<std::uint8_t> rows;  // of a pool by rows: 1 where written
  };
  struct Loan;  // owned by the capsule under an array
  // What outlives the pool where arrays do. Touched under the interpreter's lock only.
  struct Shared {
    std::vector<Block> free;
  };

  std::string name_;
  pybind11::str key_;
  pybind11::dtype dtype_;
  std::vector<pybind11::ssize_t> shape_;
  std::size_t bytes_;
  std::size_t rows_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace socialgrid::bindings
