#include "arrays.hpp"

#include <cstring>
#include <new>
#include <utility>

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

constexpr const char* kCapsuleName = "socialgrid.array_pool";
constexpr std::size_t kKeptFree = 4;  // blocks kept for reuse; more are given back to the system

std::string shape_text(const py::ssize_t* dims, std::size_t count) {
  std::string text = "(";
  for (std::size_t i = 0; i < count; ++i) {
    text += std::to_string(dims[i]) + (i + 1 < count ? ", " : "");
  }
  return text + (count == 1 ? ",)" : ")");
}

}  // namespace

ArrayPool::Block::Block(std::size_t bytes)
    : data(static_cast<std::byte*>(std::calloc(bytes, 1)), &std::free) {
  if (data == nullptr) throw std::bad_alloc();
}

struct ArrayPool::Loan {
  std::unique_ptr<Block> block;
  std::shared_ptr<Shared> home;

  static void give_back(void* pointer) {
    const std::unique_ptr<Loan> loan(static_cast<Loan*>(pointer));
    const std::lock_guard lock(loan->home->mutex);
    if (loan->home->free.size() < kKeptFree) loan->home->free.push_back(std::move(loan->block));
  }
};

ArrayPool::ArrayPool(std::string name, py::dtype dtype, std::vector<py::ssize_t> shape)
    : name_(std::move(name)),
      dtype_(std::move(dtype)),
      shape_(std::move(shape)),
      bytes_(static_cast<std::size_t>(dtype_.itemsize())),
      shared_(std::make_shared<Shared>()) {
  for (const py::ssize_t extent : shape_) bytes_ *= static_cast<std::size_t>(extent);
}

ArrayPool::Handed ArrayPool::acquire() { return lend(false); }
ArrayPool::Handed ArrayPool::acquire_zeroed() { return lend(true); }

ArrayPool::Handed ArrayPool::lend(bool zeroed) {
  auto loan = std::make_unique<Loan>();
  loan->home = shared_;
  {
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->free.empty()) {
      loan->block = std::move(shared_->free.back());
      shared_->free.pop_back();
    }
  }
  if (loan->block == nullptr) loan->block = std::make_unique<Block>(bytes_);
  Block& block = *loan->block;
  if (zeroed) {
    const std::size_t row_bytes = bytes_ / static_cast<std::size_t>(shape_[0]);
    for (const std::size_t row : block.dirty) {
      std::memset(block.data.get() + row * row_bytes, 0, row_bytes);
    }
    block.dirty.clear();
  }
  std::byte* data = block.data.get();
  const py::capsule owner(loan.get(), kCapsuleName, &Loan::give_back);
  Loan* lent = loan.release();
  return {py::array(dtype_, shape_, data, owner), data, lent};
}

void ArrayPool::mark_dirty(const Handed& handed, std::size_t row) {
  if (handed.loan != nullptr) handed.loan->block->dirty.push_back(row);
}

ArrayPool::Handed ArrayPool::wrap(const py::object& object) const {
  const std::string where = "out[\"" + name_ + "\"] ";
  // asarray shares the memory of numpy arrays and of torch tensors on the CPU.
  const bool is_array = py::isinstance<py::array>(object);
  if (!is_array && !py::hasattr(object, "__array__")) {
    throw py::type_error(where + "must be a numpy array or a CPU tensor, not " +
                         py::str(py::type::of(object).attr("__name__")).cast<std::string>());
  }
  const auto array = is_array
                         ? py::reinterpret_borrow<py::array>(object)
                         : py::module_::import("numpy").attr("asarray")(object).cast<py::array>();
  if (!array.dtype().equal(dtype_)) {
    throw py::type_error(where + "must have dtype " + py::str(dtype_).cast<std::string>() +
                         ", not " + py::str(array.dtype()).cast<std::string>());
  }
  const auto dims = static_cast<std::size_t>(array.ndim());
  if (dims != shape_.size() || !std::equal(shape_.begin(), shape_.end(), array.shape())) {
    throw py::value_error(where + "must have shape " + shape_text(shape_.data(), shape_.size()) +
                          ", not " + shape_text(array.shape(), dims));
  }
  if ((array.flags() & py::array::c_style) == 0) {
    throw py::value_error(where + "must be C-contiguous");
  }
  if (!array.writeable()) throw py::value_error(where + "must be writable");
  Loan* loan = nullptr;
  if (PyCapsule_IsValid(array.base().ptr(), kCapsuleName) != 0) {
    loan = py::reinterpret_borrow<py::capsule>(array.base()).get_pointer<Loan>();
  }
  return {object, static_cast<std::byte*>(const_cast<void*>(array.data())), loan};
}

}  // namespace socialgrid::bindings
