#include "common/programs/stablehlo/artifact/flat_table.h"

#include "common/foundation/base/strings.h"

namespace megalith::stablehlo::artifact {

Status FlatTable::Error(uint64_t at, std::string_view what) {
  return InvalidArgument(StrCat("export byte ", at, ": ", what));
}

Result<FlatTable> FlatTable::Root(std::string_view bytes) {
  if (bytes.size() < 4) return Error(bytes.size(), "the bytes end early");
  uint32_t at = 0;
  std::memcpy(&at, bytes.data(), 4);
  return At(bytes, at);
}

Result<FlatTable> FlatTable::At(std::string_view bytes, uint64_t at) {
  FlatTable table(bytes, at);
  if (!table.Fits(at, 4)) return Error(at, "a table outside of the bytes");
  const int64_t vtable = static_cast<int64_t>(at) - table.Load<int32_t>(at);
  if (vtable < 0 || !table.Fits(static_cast<uint64_t>(vtable), 4))
    return Error(at, "a table whose layout lies outside of the bytes");
  table.vtable_ = static_cast<uint64_t>(vtable);
  table.vtable_size_ = table.Load<uint16_t>(table.vtable_);
  table.size_ = table.Load<uint16_t>(table.vtable_ + 2);
  if (table.vtable_size_ < 4 || table.vtable_size_ % 2 != 0 ||
      !table.Fits(table.vtable_, table.vtable_size_) || !table.Fits(at, table.size_)) {
    return Error(table.vtable_, "a layout of the wrong size");
  }
  return table;
}

Result<std::optional<uint64_t>> FlatTable::Find(int slot, uint64_t size) const {
  const uint64_t entry = 4 + 2 * static_cast<uint64_t>(slot);
  if (entry + 2 > vtable_size_) return std::optional<uint64_t>();
  const uint64_t offset = Load<uint16_t>(vtable_ + entry);
  if (offset == 0) return std::optional<uint64_t>();
  if (offset < 4 || offset + size > size_)
    return Error(at_, StrCat("field ", slot, " lies outside of its table"));
  return std::optional<uint64_t>(at_ + offset);
}

Result<uint64_t> FlatTable::Follow(uint64_t at) const {
  const uint64_t target = at + Load<uint32_t>(at);
  if (target == at || !Fits(target, 4)) return Error(at, "an offset that leads out of the bytes");
  return target;
}

Result<FlatVector> FlatTable::VectorAt(uint64_t at, uint64_t width) const {
  ASSIGN_OR_RETURN(const uint64_t target, Follow(at));
  const FlatVector out{.at = target + 4, .size = Load<uint32_t>(target)};
  if (!Fits(out.at, out.size * width))
    return Error(target, StrCat("a vector of ", out.size, " entries does not fit into the bytes"));
  return out;
}

Result<FlatVector> FlatTable::Vector(int slot, uint64_t width) const {
  ASSIGN_OR_RETURN(const std::optional<uint64_t> at, Find(slot, 4));
  return at ? VectorAt(*at, width) : FlatVector();
}

Result<std::string_view> FlatTable::String(int slot) const {
  ASSIGN_OR_RETURN(const FlatVector v, Vector(slot, 1));
  return bytes_.substr(v.at, v.size);
}

Result<std::string_view> FlatTable::StringIn(const FlatVector& v, uint64_t i) const {
  ASSIGN_OR_RETURN(const FlatVector s, VectorAt(v.at + 4 * i, 1));
  return bytes_.substr(s.at, s.size);
}

Result<FlatTable> FlatTable::TableIn(const FlatVector& v, uint64_t i) const {
  ASSIGN_OR_RETURN(const uint64_t target, Follow(v.at + 4 * i));
  return At(bytes_, target);
}

}  // namespace megalith::stablehlo::artifact
