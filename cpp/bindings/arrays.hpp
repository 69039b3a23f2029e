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

  struct Handed {
    pybind11::object object;  // what the caller gets: an array, or the user's own object
    std::byte* data = nullptr;
    // What keeps a user's memory in place while it is written; empty for a pool's.
    std::vector<pybind11::object> held = {};
  };
  // A pool array with unspecified content: its last holder may have written anything.
  Handed acquire();
  // The user's own memory, checked for type, shape and layout, and held until `held` is dropped.
  Handed wrap(const pybind11::object& object) const;

  std::size_t bytes() const { return bytes_; }
  const std::string& name() const { return name_; }

 private:
  struct Loan;  // owned by the capsule under an array
  using Block = std::unique_ptr<std::byte, decltype(&std::free)>;
  struct Shared {
    std::mutex mutex;
    std::vector<Block> free;
  };

  std::string name_;
  pybind11::dtype dtype_;
  std::vector<pybind11::ssize_t> shape_;
  std::size_t bytes_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace socialgrid::bindings
