// Dimensions of an array: a short vector of non-negative 64-bit sizes, row-major.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace megalith::tensor {

// A small vector of int64 that keeps up to 6 values without allocating. Used for shapes and for
// lists of dimensions. Value semantics; not thread-safe for writes.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) { assign(values.begin(), values.size()); }
  explicit Dims(std::span<const int64_t> values) { assign(values.data(), values.size()); }
  Dims(size_t n, int64_t value) {
    for (size_t i = 0; i < n; ++i) push_back(value);
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // An index outside [0, size) reads as 0: rules run on types that may already be known to be
  // wrong, and the error that was recorded then must not be overtaken by a crash.
  int64_t operator[](size_t i) const { return i < size_ ? data()[i] : 0; }
  int64_t& operator[](size_t i) { return i < size_ ? data()[i] : (sink_ = 0); }
  int64_t back() const { return (*this)[size_ - 1]; }

  const int64_t* data() const { return size_ <= kInline ? inline_.data() : heap_.data(); }
  int64_t* data() { return size_ <= kInline ? inline_.data() : heap_.data(); }
  const int64_t* begin() const { return data(); }
  const int64_t* end() const { return data() + size_; }
  int64_t* begin() { return data(); }
  int64_t* end() { return data() + size_; }
  operator std::span<const int64_t>() const {
    return {data(), size_};
  }  // NOLINT: implicit by design

  void push_back(int64_t v) {
    if (size_ < kInline) {
      inline_[size_++] = v;
      return;
    }
    if (size_ == kInline) heap_.assign(inline_.begin(), inline_.end());
    heap_.push_back(v);
    ++size_;
  }
  // Requires at <= size().
  void insert(size_t at, int64_t v);
  // Requires at < size().
  void erase(size_t at);
  void clear() {
    size_ = 0;
    heap_.clear();
  }

  friend bool operator==(const Dims& a, const Dims& b) {
    if (a.size_ != b.size_) return false;
    for (size_t i = 0; i < a.size_; ++i) {
      if (a.data()[i] != b.data()[i]) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kInline = 6;
  void assign(const int64_t* p, size_t n) {
    for (size_t i = 0; i < n; ++i) push_back(p[i]);
  }
  size_t size_ = 0;
  std::array<int64_t, kInline> inline_{};
  std::vector<int64_t> heap_;
  int64_t sink_ = 0;
};

using Shape = Dims;

// Product of the sizes; nullopt if it does not fit into int64 (a zero size gives zero whatever the
// others are).
std::optional<int64_t> NumElements(const Shape& shape);

// Distance in elements between neighbours along each dimension, row-major.
Dims RowMajorStrides(const Shape& shape);

// "2,3" for [2, 3].
std::string DimsText(std::span<const int64_t> dims);
// As Python prints a tuple: "()", "(2,)", "(2, 3)".
std::string TupleText(std::span<const int64_t> dims);

}  // namespace megalith::tensor
