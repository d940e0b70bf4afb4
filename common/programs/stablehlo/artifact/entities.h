// Attributes and types of an artifact, decoded on demand and remembered.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/artifact/container.h"
#include "common/programs/stablehlo/attr.h"

namespace megalith::stablehlo::artifact {

using stablehlo::Attr;
using stablehlo::AttrDict;
using stablehlo::AttrKind;
using stablehlo::Dims;
using stablehlo::DType;
using stablehlo::TensorType;

// A type of the builtin or the vhlo dialect.
struct TypeEntity {
  enum class Kind : uint8_t { kElement, kIndex, kValue, kIndices, kFunction, kNone, kTf32, kOther };
  Kind kind = Kind::kOther;
  DType element = DType::kInvalid;  // kElement
  TensorType value;                 // kValue: a tensor or a token; kIndices: of index, as i64
  std::shared_ptr<const stablehlo::FuncType> function;  // kFunction
  std::string why;  // kOther, and a function of such: why no value has this type
};

// Stand for vhlo types where StableHLO has an absent attribute, or one of a kind of its own.
inline constexpr std::string_view kNoneMark = "none";
inline constexpr std::string_view kTf32Mark = "tf32";

// One per read; not thread-safe. What it gives is bounded by the size of the file: see Charge.
class Entities {
 public:
  // `file` must outlive it.
  Entities(const Container& file, const stablehlo::Limits& limits, uint64_t file_bytes);

  // The type; kinds this library cannot represent are kOther. Errors: kInvalidArgument (damaged),
  // kUnimplemented (a code not in the tables: a future version).
  Result<const TypeEntity*> Type(uint32_t index);
  // The type of a value. Errors: also kUnimplemented, saying why it is not supported.
  Result<TensorType> ValueType(uint32_t index);

  // The attribute in the terms of our own: enumerations, numbers, strings, dictionaries, lists and
  // constants are what they are in StableHLO text. Others of builtin are absent, and those of sdy
  // their text.
  Result<Attr> Attribute(uint32_t index);
  // One that must be of `kind`.
  Result<Attr> Attribute(uint32_t index, AttrKind kind, std::string_view what);

  // How many devices the mesh has that this attribute of sdy is.
  Result<uint64_t> MeshDevices(uint32_t index);

  // "model.py:12:3", or "" if the location says nothing. Never fails.
  std::string LocationText(uint32_t index);

  // Takes `bytes` from what may be copied out of shared parts of the file. Without it a file could
  // name one long string a million times. Errors: kResourceExhausted.
  Status Charge(uint64_t bytes);

 private:
  enum class State : uint8_t { kNew, kOpen, kDone };
  struct Slot {
    State state = State::kNew;
    uint64_t weight = 1;   // bytes when it is written out in full
    uint64_t devices = 1;  // of a mesh, or along an axis of one
    Attr value;
  };
  struct TypeSlot {
    State state = State::kNew;
    TypeEntity value;
  };

  Result<const Slot*> Resolve(uint32_t index);
  Status Decode(const Entry& entry, Slot* out);
  Status DecodeBuiltin(Cursor& in, uint64_t code, Slot* out);
  Status DecodeVhlo(Cursor& in, uint64_t code, Slot* out);
  Status DecodeSdy(Cursor& in, uint64_t code, Slot* out);
  Status DecodeShardingRule(Cursor& in, Slot* out);
  Result<Attr> Child(Cursor& in, Slot* parent);
  Status DecodeList(Cursor& in, Slot* out);
  Status DecodeDictionary(Cursor& in, Slot* out);
  Status DecodeNumber(Cursor& in, bool is_float, Slot* out);
  Status DecodeConstant(Cursor& in, Slot* out);
  Status DecodeTypeAttr(Cursor& in, Slot* out);
  Status DecodeString(Cursor& in, Slot* out);
  // "prefix<child, child, ...>suffix" of the next list.
  Result<std::string> JoinedTexts(Cursor& in, Slot* parent);

  Status DecodeType(const Entry& entry, TypeEntity* out);
  Status DecodeBuiltinType(Cursor& in, uint64_t code, TypeEntity* out);
  Status DecodeVhloType(Cursor& in, uint64_t code, TypeEntity* out);
  Status DecodeTensorType(Cursor& in, TypeEntity* out);
  Status DecodeFunctionType(Cursor& in, TypeEntity* out);
  Status DecodeComplexType(Cursor& in, TypeEntity* out);
  Result<const TypeEntity*> ChildType(Cursor& in);

  // A step down into an attribute or type of another; an error if there are too many.
  Status Descend(const Entry& entry);

  const Container& file_;
  const stablehlo::Limits& limits_;
  std::vector<Slot> attributes_;
  std::vector<TypeSlot> types_;
  uint32_t depth_ = 0;
  uint64_t budget_;
};

// A list of signed numbers.
Result<Dims> ReadDims(Cursor& in);
// An integer of `width` bits.
Result<int64_t> ReadInteger(Cursor& in, int width);
// A double by its bits.
Result<double> ReadDouble(Cursor& in);

}  // namespace megalith::stablehlo::artifact
