#include "bindings/arrays.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#include "core/memory.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

constexpr const char* kCapsuleName = "socialgrid.array_pool";
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kKeptFree = 4;  // blocks kept for reuse; more are given back to the system

std::string shape_text(const py::ssize_t* dims, std::size_t count) {
  std::string text = "(";
  for (std::size_t i = 0; i < count; ++i) {
    text += std::to_string(dims[i]) + (i + 1 < count ? ", " : "");
  }
  return text + (count == 1 ? ",)" : ")");
}

// Names of what tensors are asked in every step. The interpreter finds a method quickly only by a
// name that it has interned.
struct TensorNames {
  static PyObject* intern(const char* name) { return PyUnicode_InternFromString(name); }
  PyObject* torch = intern("torch");
  PyObject* tensor = intern("Tensor");
  PyObject* requires_grad = intern("requires_grad");
  PyObject* detach = intern("detach");
  PyObject* numpy = intern("numpy");
  PyObject* storage_offset = intern("storage_offset");
  PyObject* numel = intern("numel");
  PyObject* itemsize = intern("itemsize");
  PyObject* untyped_storage = intern("untyped_storage");
  PyObject* nbytes = intern("nbytes");
  PyObject* data_ptr = intern("data_ptr");
};

const TensorNames& names() {
  static const TensorNames kept;
  return kept;
}

py::object checked(PyObject* result) {
  if (result == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

py::object attribute(const py::object& object, PyObject* name) {
  return checked(PyObject_GetAttr(object.ptr(), name));
}

py::object call(const py::object& object, PyObject* name) {
  return checked(PyObject_CallMethodNoArgs(object.ptr(), name));
}

bool is_tensor(const py::object& object) {
  const auto torch = py::reinterpret_steal<py::object>(PyImport_GetModule(names().torch));
  if (!torch) {
    PyErr_Clear();
    return false;
  }
  const py::object tensor = attribute(torch, names().tensor);
  return py::type::handle_of(object).is(tensor) || py::isinstance(object, tensor);
}

// An array over the very memory of `object`: what is written to it is seen there. Anything that
// numpy could only copy is refused, for what is written to a copy is lost.
py::array array_in_place(const py::object& object, const std::string& where) {
  if (py::isinstance<py::array>(object)) return py::reinterpret_borrow<py::array>(object);
  if (is_tensor(object)) {
    try {
      if (attribute(object, names().requires_grad).cast<bool>()) {
        throw py::value_error(where + "must not require a gradient; give its detach()");
      }
      // A tensor of our own, so that the user's may be given other memory meanwhile.
      const py::object array = call(call(object, names().detach), names().numpy);
      // A tensor that could not be resized may say that it was.
      const auto begin = call(object, names().storage_offset).cast<std::size_t>();
      const auto items = begin + call(object, names().numel).cast<std::size_t>();
      if (items * attribute(object, names().itemsize).cast<std::size_t>() >
          call(call(object, names().untyped_storage), names().nbytes).cast<std::size_t>()) {
        throw py::value_error(where + "is a tensor that is larger than its memory");
      }
      const auto address = call(object, names().data_ptr).cast<std::uintptr_t>();
      if (py::isinstance<py::array>(array)) {
        auto found = py::reinterpret_borrow<py::array>(array);
        if (found.size() == 0 || reinterpret_cast<std::uintptr_t>(found.data()) == address) {
          return found;
        }
      }
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_Exception)) throw;
      throw py::type_error(where + "must be a tensor on the CPU whose memory numpy can share: " +
                           py::str(error.value()).cast<std::string>());
    }
  } else if (PyObject_CheckBuffer(object.ptr()) != 0) {
    // Holds the buffer's export, so that its owner cannot resize it.
    return py::module_::import("numpy").attr("asarray")(py::memoryview(object)).cast<py::array>();
  }
  throw py::type_error(where +
                       "must be a numpy array, a CPU tensor or a buffer, in which results "
                       "can be written in place; " +
                       py::str(py::type::of(object).attr("__name__")).cast<std::string>() +
                       " is none");
}

// Keeps the memory of `array` where it is: numpy refuses to resize an array to which there is a
// weak reference, also without its check of references; a buffer cannot be released, closed or
// resized while it is lent; a tensor may be given other memory, but a tensor of ours keeps this.
std::vector<py::object> hold(const py::array& array, bool of_our_tensor, const std::string& where) {
  std::vector<py::object> held = {array};
  py::object owner = array;
  while (owner && py::isinstance<py::array>(owner)) {
    held.push_back(py::weakref(owner));
    owner = py::reinterpret_borrow<py::array>(owner).base();
  }
  if (!owner || of_our_tensor) return held;
  if (is_tensor(owner)) {
    held.push_back(call(owner, names().detach));
  } else if (PyObject_CheckBuffer(owner.ptr()) != 0) {
    const auto lent = py::reinterpret_steal<py::object>(PyMemoryView_FromObject(owner.ptr()));
    if (!lent) {
      PyErr_Clear();
      throw py::value_error(where + "lies in a buffer that has been released");
    }
    held.push_back(lent);
  }
  return held;
}

}  // namespace

AlignedBlock::AlignedBlock(std::size_t bytes) {
  // Not aligned_alloc: what calloc gives costs nothing until it is touched.
  std::size_t room = bytes + kAlignment;
  memory_.reset(std::calloc(room, 1));
  void* begin = memory_.get();
  if (begin == nullptr) return;
  data_ = static_cast<std::byte*>(std::align(kAlignment, bytes, begin, room));
}

py::array aligned_array(const py::dtype& dtype, const std::vector<py::ssize_t>& shape) {
  auto bytes = static_cast<std::size_t>(dtype.itemsize());
  for (const py::ssize_t extent : shape) bytes *= static_cast<std::size_t>(extent);
  auto block = std::make_unique<AlignedBlock>(bytes);
  std::byte* data = block->data();
  if (data == nullptr) throw std::bad_alloc();
  const py::capsule owner(block.get(),
                          [](void* pointer) { delete static_cast<AlignedBlock*>(pointer); });
  static_cast<void>(block.release());
  return {dtype, shape, data, owner};
}

struct ArrayPool::Loan {
  Block block;
  std::shared_ptr<Shared> home;

  static void give_back(void* pointer) {
    const std::unique_ptr<Loan> loan(static_cast<Loan*>(pointer));
    if (loan->home->free.size() < kKeptFree) loan->home->free.push_back(std::move(loan->block));
  }
};

ArrayPool::ArrayPool(std::string name, py::dtype dtype, std::vector<py::ssize_t> shape,
                     bool by_rows)
    : name_(std::move(name)),
      key_(py::reinterpret_steal<py::str>(PyUnicode_InternFromString(name_.c_str()))),
      dtype_(std::move(dtype)),
      shape_(std::move(shape)),
      bytes_(static_cast<std::size_t>(dtype_.itemsize())),
      rows_(by_rows ? static_cast<std::size_t>(shape_[0]) : 0),
      shared_(std::make_shared<Shared>()) {
  for (const py::ssize_t extent : shape_) bytes_ *= static_cast<std::size_t>(extent);
  shared_->free.reserve(kKeptFree);  // giving back must not fail
}

ArrayPool::Handed ArrayPool::acquire() {
  auto loan = std::make_unique<Loan>(Loan{{}, shared_});
  if (!shared_->free.empty()) {
    loan->block = std::move(shared_->free.back());
    shared_->free.pop_back();
  }
  Block& block = loan->block;
  if (block.memory.data() == nullptr) {
    const std::string purpose = "an array of " + name_;
    require_memory(bytes_, purpose);
    block.memory = AlignedBlock(bytes_);
    if (block.memory.data() == nullptr) throw OutOfMemory(bytes_, purpose);
  }
  block.rows.assign(rows_, 1);
  std::byte* data = block.memory.data();
  std::uint8_t* rows = rows_ > 0 ? block.rows.data() : nullptr;
  const py::capsule owner(loan.get(), kCapsuleName, &Loan::give_back);
  static_cast<void>(loan.release());
  return {py::array(dtype_, shape_, data, owner), data, rows};
}

void ArrayPool::clear_rest(const py::array& array) {
  const py::object owner = array.base();
  if (!owner || PyCapsule_IsValid(owner.ptr(), kCapsuleName) == 0) {
    throw py::type_error("only an array that a step has handed out can be cleared");
  }
  Block& block = static_cast<Loan*>(PyCapsule_GetPointer(owner.ptr(), kCapsuleName))->block;
  if (block.rows.empty()) return;
  const std::size_t bytes = static_cast<std::size_t>(array.nbytes()) / block.rows.size();
  for (std::size_t row = 0; row < block.rows.size(); ++row) {
    if (block.rows[row] != 0) continue;
    std::memset(block.memory.data() + row * bytes, 0, bytes);
    block.rows[row] = 1;
  }
}

ArrayPool::Handed ArrayPool::wrap(const py::object& object) const {
  const std::string where = "out[\"" + name_ + "\"] ";
  const py::array array = array_in_place(object, where);
  if (!array.dtype().equal(dtype_)) {
    // As a handle: to pybind11 3.0, str of a dtype is ambiguous.
    const auto name = [](const py::handle& dtype) { return std::string(py::str(dtype)); };
    throw py::type_error(where + "must have dtype " + name(dtype_) + ", not " +
                         name(array.dtype()));
  }
  const auto dims = static_cast<std::size_t>(array.ndim());
  if (dims != shape_.size() || !std::equal(shape_.begin(), shape_.end(), array.shape())) {
    throw py::value_error(where + "must have shape " + shape_text(shape_.data(), shape_.size()) +
                          ", not " + shape_text(array.shape(), dims));
  }
  if ((array.flags() & py::array::c_style) == 0) {
    throw py::value_error(where + "must be C-contiguous");
  }
  if ((array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) {
    throw py::value_error(where + "must be aligned: begin at a multiple of its item's size");
  }
  if (!array.writeable()) throw py::value_error(where + "must be writable");
  return {object, static_cast<std::byte*>(const_cast<void*>(array.data())), nullptr,
          hold(array, is_tensor(object), where)};
}

}  // namespace socialgrid::bindings
