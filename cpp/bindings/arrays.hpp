// numpy arrays over memory that is recycled only when nobody holds it.
#pragma once

#include <pybind11/numpy.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace socialgrid::bindings {

// Hands out arrays of one shape and type. An array's memory returns to the pool when the last view
// of it is gone, so that memory in a user's hands is never written again.
class ArrayPool {
 public:
  ArrayPool(std::string name, pybind11::dtype dtype, std::vector<pybind11::ssize_t> shape);

  struct Loan;  // owned by the capsule under an array
  struct Handed {
    pybind11::object object;  // what the caller gets: an array, or the user's own object
    std::byte* data = nullptr;
    Loan* loan = nullptr;  // set when the memory is a pool's
  };
  // A pool array with unspecified content.
  Handed acquire();
  // A pool array that is zero, and of which the caller will write only rows noted by mark_dirty.
  Handed acquire_zeroed();
  // The user's own memory, checked for type, shape, contiguity and writability.
  Handed wrap(const pybind11::object& object) const;

  // Notes that a row is no longer zero; does nothing for a user's own memory.
  static void mark_dirty(const Handed& handed, std::size_t row);

  std::size_t bytes() const { return bytes_; }
  const std::string& name() const { return name_; }

 private:
  struct Block {
    explicit Block(std::size_t bytes);
    std::unique_ptr<std::byte, decltype(&std::free)> data;
    std::vector<std::size_t> dirty;  // rows to clear before the block is zero again
  };
  struct Shared {
    std::mutex mutex;
    std::vector<std::unique_ptr<Block>> free;
  };
  Handed lend(bool zeroed);

  std::string name_;
  pybind11::dtype dtype_;
  std::vector<pybind11::ssize_t> shape_;
  std::size_t bytes_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace socialgrid::bindings
