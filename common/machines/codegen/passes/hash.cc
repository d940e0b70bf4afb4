#include "common/machines/codegen/passes/hash.h"

#include <functional>

#include "common/programs/stablehlo/records.h"

namespace megalith::codegen {

using stablehlo::Attr;
using stablehlo::AttrDict;
using stablehlo::AttrKind;

namespace {

uint64_t HashText(std::string_view text) { return std::hash<std::string_view>()(text); }

uint64_t HashInts(std::span<const int64_t> ints) {
  uint64_t h = ints.size();
  for (const int64_t v : ints) h = Mix(h, static_cast<uint64_t>(v));
  return h;
}

// Fields of records that are no numbers weigh nothing: there are few of them and they are compared.
uint64_t HashRecord(const Attr& a) {
  uint64_t h = 0;
  stablehlo::VisitRecord(a, [&](const auto& record) {
    stablehlo::VisitFields(record, [&](const char*, const auto& field) {
      using T = std::remove_cvref_t<decltype(field)>;
      if constexpr (std::is_same_v<T, tensor::Dims>) h = Mix(h, HashInts(field));
      if constexpr (std::is_same_v<T, int64_t>) h = Mix(h, static_cast<uint64_t>(field));
    });
  });
  return h;
}

}  // namespace

uint64_t HashType(const stablehlo::TensorType& type) {
  return Mix(static_cast<uint64_t>(type.dtype), HashInts(type.shape));
}

uint64_t HashDense(const stablehlo::Dense& d) {
  const std::string_view bytes = d.data.bytes();
  uint64_t h = Mix(HashType(d.type), bytes.size());
  h = Mix(h, HashText(bytes.substr(0, 128)));
  if (bytes.size() > 128) h = Mix(h, HashText(bytes.substr(bytes.size() - 128)));
  return h;
}

uint64_t HashAttr(const Attr& a) {
  uint64_t h = Mix(static_cast<uint64_t>(a.kind()), static_cast<uint64_t>(a.dtype()));
  switch (a.kind()) {
    case AttrKind::kBool:
    case AttrKind::kInt:
    case AttrKind::kEnum:
      return Mix(h, static_cast<uint64_t>(a.AsInt()));
    case AttrKind::kFloat:
      return Mix(h, std::hash<double>()(a.AsFloat()));
    case AttrKind::kString:
    case AttrKind::kSymbol:
    case AttrKind::kOpaque:
      return Mix(h, HashText(a.AsText()));
    case AttrKind::kInts:
    case AttrKind::kBools:
      return Mix(h, HashInts(a.AsInts()));
    case AttrKind::kDense:
      return Mix(h, HashDense(a.AsDense()));
    case AttrKind::kDict:
      return Mix(h, HashAttrs(a.AsDict()));
    case AttrKind::kList:
      for (const Attr& e : a.AsList()) h = Mix(h, HashAttr(e));
      return h;
    default:
      return Mix(h, HashRecord(a));
  }
}

uint64_t HashAttrs(const AttrDict& attrs) {
  uint64_t h = attrs.size();
  for (const auto& a : attrs) h = Mix(Mix(h, a.name.size()), HashAttr(a.value));
  return h;
}

bool SameAttrs(const AttrDict& a, const AttrDict& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].name != b[i].name || !(a[i].value == b[i].value)) return false;
  }
  return true;
}

}  // namespace megalith::codegen
