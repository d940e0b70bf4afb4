// One description of a record's fields for writing and reading it.
//
//   template <typename A> void Visit(A& a, PlanBuffer& b) { a(b.kind, b.index, b.offset, b.bytes);
//   }
//
// Writer turns records into bytes, Reader bytes into records. Numbers are eight bytes little-endian
// (one byte for bool and one-byte enumerations), strings and lists are preceded by their length.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/status.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/shape.h"

namespace megalith::runtime {

class Writer {
 public:
  template <typename... Ts>
  void operator()(Ts&... fields) {
    (One(fields), ...);
  }
  ByteWriter& bytes() { return out_; }
  std::string Take() { return out_.Take(); }

 private:
  template <typename T>
  void One(T& v) {
    if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool>) {
      out_.U8(static_cast<uint8_t>(v));
    } else if constexpr (std::is_floating_point_v<T>) {
      const double d = v;
      uint64_t bits = 0;
      std::memcpy(&bits, &d, sizeof bits);
      out_.U64(bits);
    } else if constexpr (std::is_integral_v<T>) {
      out_.U64(static_cast<uint64_t>(v));
    } else {
      Visit(*this, v);
    }
  }
  void One(std::string& s) { out_.Sized(s); }
  void One(tensor::Dims& dims) {
    out_.U64(dims.size());
    for (const int64_t d : dims) out_.I64(d);
  }
  template <typename T>
  void One(std::vector<T>& list) {
    out_.U64(list.size());
    for (T& v : list) One(v);
  }

  ByteWriter out_;
};

// The first error is kept; what is read after it is zero.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : in_(bytes) {}

  template <typename... Ts>
  void operator()(Ts&... fields) {
    (One(fields), ...);
  }
  ByteReader& bytes() { return in_; }
  void Fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  // kDataLoss if something could not be read or bytes are left.
  Status Finish() {
    if (status_.ok() && in_.left() != 0) {
      return DataLoss(StrCat(in_.left(), " bytes too many at offset ", in_.offset()));
    }
    return status_;
  }
  const Status& status() const { return status_; }

 private:
  static constexpr uint64_t kMaxList = 1u << 24;

  template <typename T>
  T Value(Result<T> r) {
    if (status_.ok() && r.ok()) return *r;
    if (status_.ok()) status_ = r.status();
    return T();
  }
  template <typename T>
  void One(T& v) {
    if constexpr (std::is_enum_v<T>) {
      v = static_cast<T>(Value(in_.U8()));
    } else if constexpr (std::is_same_v<T, bool>) {
      const uint8_t b = Value(in_.U8());
      if (b > 1) Fail(DataLoss(StrCat("a boolean is ", int{b}, " at offset ", in_.offset())));
      v = b == 1;
    } else if constexpr (std::is_floating_point_v<T>) {
      const uint64_t bits = Value(in_.U64());
      double d = 0;
      std::memcpy(&d, &bits, sizeof d);
      v = d;
    } else if constexpr (std::is_integral_v<T>) {
      const uint64_t u = Value(in_.U64());
      v = static_cast<T>(u);
      if (static_cast<uint64_t>(v) != u) {
        Fail(DataLoss(StrCat("a number is out of range at offset ", in_.offset())));
      }
    } else {
      Visit(*this, v);
    }
  }
  void One(std::string& s) { s = std::string(Value(in_.Sized())); }
  void One(tensor::Dims& dims) {
    for (uint64_t n = Count(); n > 0 && status_.ok(); --n) {
      dims.push_back(static_cast<int64_t>(Value(in_.U64())));
    }
  }
  template <typename T>
  void One(std::vector<T>& list) {
    for (uint64_t n = Count(); n > 0 && status_.ok(); --n) {
      list.emplace_back();
      One(list.back());
    }
  }
  // Every element takes a byte at least, so a length beyond what is left is damage.
  uint64_t Count() {
    const uint64_t n = Value(in_.U64());
    if (status_.ok() && (n > kMaxList || n > in_.left())) {
      Fail(DataLoss(StrCat("a list of ", n, " does not fit at offset ", in_.offset())));
    }
    return status_.ok() ? n : 0;
  }

  ByteReader in_;
  Status status_;
};

}  // namespace megalith::runtime
