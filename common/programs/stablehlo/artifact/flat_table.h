// Tables of a FlatBuffer, read in place, every access bounds-checked.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "common/foundation/base/status.h"

namespace megalith::stablehlo::artifact {

class FlatTable;

// A vector of a table: `size` entries from byte `at` on.
struct FlatVector {
  uint64_t at = 0;
  uint64_t size = 0;
};

// One table. Fields are named by their slot, the number in the order of the schema; an absent field
// has its default. Borrows the bytes. Errors: kInvalidArgument, naming the offset.
class FlatTable {
 public:
  static Result<FlatTable> Root(std::string_view bytes);

  template <typename T>
  Result<T> Number(int slot, T fallback) const {
    ASSIGN_OR_RETURN(const std::optional<uint64_t> at, Find(slot, sizeof(T)));
    return at ? Load<T>(*at) : fallback;
  }
  Result<std::string_view> String(int slot) const;  // "" if absent; also for vectors of bytes
  // Entries of `width` bytes each; empty if absent.
  Result<FlatVector> Vector(int slot, uint64_t width) const;

  // Entry i of a vector, which must have one.
  template <typename T>
  T NumberIn(const FlatVector& v, uint64_t i) const {
    return Load<T>(v.at + i * sizeof(T));
  }
  Result<std::string_view> StringIn(const FlatVector& v, uint64_t i) const;
  Result<FlatTable> TableIn(const FlatVector& v, uint64_t i) const;

 private:
  FlatTable(std::string_view bytes, uint64_t at) : bytes_(bytes), at_(at) {}
  static Result<FlatTable> At(std::string_view bytes, uint64_t at);
  static Status Error(uint64_t at, std::string_view what);

  template <typename T>
  T Load(uint64_t at) const {
    T v;
    std::memcpy(&v, bytes_.data() + at, sizeof(T));
    return v;
  }
  bool Fits(uint64_t at, uint64_t size) const {
    return at <= bytes_.size() && size <= bytes_.size() - at;
  }
  // Where the field lies, if it is there; `size` bytes of it are in bounds.
  Result<std::optional<uint64_t>> Find(int slot, uint64_t size) const;
  // What the offset at `at` points to.
  Result<uint64_t> Follow(uint64_t at) const;
  Result<FlatVector> VectorAt(uint64_t at, uint64_t width) const;

  std::string_view bytes_;
  uint64_t at_ = 0;
  uint64_t vtable_ = 0;
  uint64_t vtable_size_ = 0;
  uint64_t size_ = 0;
};

}  // namespace megalith::stablehlo::artifact
