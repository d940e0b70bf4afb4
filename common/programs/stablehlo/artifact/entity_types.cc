// Types of the builtin and the vhlo dialect.
#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/codes.h"
#include "common/programs/stablehlo/artifact/entities.h"

namespace megalith::stablehlo::artifact {
namespace {

using Kind = TypeEntity::Kind;

// The only type of its own that StableHLO writes. It stands where an operation of Shardy, which is
// not part of the versioned form, takes or gives a token.
constexpr uint64_t kStablehloTokenType = 0;

constexpr std::string_view kQuantized = "quantized types are not supported";
constexpr std::string_view kDynamic =
    "dynamic dimensions are not supported: fix the symbolic dimensions";

Status Set(TypeEntity* out, Kind kind) {
  out->kind = kind;
  return OkStatus();
}
Status Refuse(Cursor& in, TypeEntity* out, std::string_view why) {
  out->kind = Kind::kOther;
  out->why = why;
  return internal::StatusOf(in.Raw(in.left()));
}
Status SetElement(TypeEntity* out, DType dtype) {
  out->kind = Kind::kElement;
  out->element = dtype;
  return OkStatus();
}

}  // namespace

Result<const TypeEntity*> Entities::Type(uint32_t index) {
  TypeSlot& slot = types_[index];
  const Entry& entry = file_.types[index];
  if (slot.state == State::kDone) return &slot.value;
  if (slot.state == State::kOpen)
    return InvalidArgument(StrCat("artifact byte ", entry.offset, ": a type holds itself"));
  RETURN_IF_ERROR(Descend(entry));
  slot.state = State::kOpen;
  ++depth_;
  const Status status = DecodeType(entry, &slot.value);
  --depth_;
  slot.state = status.ok() ? State::kDone : State::kNew;
  RETURN_IF_ERROR(status);
  return &slot.value;
}

Result<TensorType> Entities::ValueType(uint32_t index) {
  ASSIGN_OR_RETURN(const TypeEntity* type, Type(index));
  if (type->kind == Kind::kValue) return type->value;
  if (type->kind == Kind::kOther) return Unimplemented(type->why);
  return InvalidArgument(
      StrCat("artifact byte ", file_.types[index].offset, ": a value that is no tensor"));
}

Result<const TypeEntity*> Entities::ChildType(Cursor& in) {
  ASSIGN_OR_RETURN(const uint32_t index, in.Index(types_.size(), "types"));
  return Type(index);
}

Status Entities::DecodeType(const Entry& entry, TypeEntity* out) {
  Cursor in(entry.bytes, entry.offset);
  if (!entry.encoded) {
    return Unimplemented(
        StrCat("artifact byte ", entry.offset, ": types kept as assembly text are not supported"));
  }
  ASSIGN_OR_RETURN(const uint64_t code, in.Varint());
  Status status;
  if (entry.dialect == "vhlo") {
    status = DecodeVhloType(in, code, out);
  } else if (entry.dialect == "builtin") {
    status = DecodeBuiltinType(in, code, out);
  } else if (entry.dialect == "stablehlo" && code == kStablehloTokenType) {
    out->value = TensorType::Token();
    status = Set(out, Kind::kValue);
  } else {
    return Unimplemented(StrCat("artifact byte ", entry.offset, ": types of dialect ",
                                Printable(entry.dialect, 40), " are not supported"));
  }
  RETURN_IF_ERROR(status);
  return in.ExpectEnd("a type");
}

Status Entities::DecodeVhloType(Cursor& in, uint64_t code, TypeEntity* out) {
  if (const DType dtype = ElementOfVhloCode(code); dtype != DType::kInvalid)
    return SetElement(out, dtype);
  switch (code) {
    case vhlo::kComplexType:
      return DecodeComplexType(in, out);
    case vhlo::kFunctionType:
      return DecodeFunctionType(in, out);
    case vhlo::kIndexType:
      return Set(out, Kind::kIndex);
    case vhlo::kTensorType:
      return DecodeTensorType(in, out);
    case vhlo::kTokenType:
      out->value = TensorType::Token();
      return Set(out, Kind::kValue);
    case vhlo::kNoneType:
      return Set(out, Kind::kNone);
    case vhlo::kTf32Type:
      return Set(out, Kind::kTf32);
    case vhlo::kEncodedTensorType:
      return Refuse(in, out, "bounded dynamic dimensions are not supported");
    case vhlo::kUnrankedType:
      return Refuse(in, out, "tensors of unknown rank are not supported");
    case vhlo::kTupleType:
      return Refuse(in, out, "tuples are not supported");
    case vhlo::kQuantizedType:
    case vhlo::kAxisQuantizedType:
      return Refuse(in, out, kQuantized);
    case vhlo::kF6E2M3Type:
    case vhlo::kF6E3M2Type:
      return Refuse(in, out, "floats of 6 bits are not supported");
    case vhlo::kWitnessType:
      return Refuse(in, out, "witnesses of shapes are not supported");
    case vhlo::kBufferType:
    case vhlo::kFutureType:
      return Refuse(in, out, "buffers and futures are not supported");
    default:
      return Unimplemented(
          StrCat("artifact byte ", in.offset(), ": type ", code,
                 " of dialect vhlo is not known: a future version of the format?"));
  }
}

Status Entities::DecodeBuiltinType(Cursor& in, uint64_t code, TypeEntity* out) {
  if (const DType dtype = ElementOfBuiltinCode(code); dtype != DType::kInvalid)
    return SetElement(out, dtype);
  switch (code) {
    case builtin::kIntegerType: {
      ASSIGN_OR_RETURN(const uint64_t v, in.Varint());
      const DType dtype = IntegerOf(v >> 2, (v & 3) == 2);
      if (dtype == DType::kInvalid)
        return Refuse(in, out, StrCat("integers of ", v >> 2, " bits are not supported"));
      return SetElement(out, dtype);
    }
    case builtin::kIndexType:
      return Set(out, Kind::kIndex);
    case builtin::kFunctionType:
      return DecodeFunctionType(in, out);
    case builtin::kComplexType:
      return DecodeComplexType(in, out);
    case builtin::kNoneType:
      return Set(out, Kind::kNone);
    case builtin::kTensorType:
      return DecodeTensorType(in, out);
    default:
      return Refuse(in, out, StrCat("type ", code, " of dialect builtin is not supported"));
  }
}

Status Entities::DecodeComplexType(Cursor& in, TypeEntity* out) {
  ASSIGN_OR_RETURN(const TypeEntity* part, ChildType(in));
  const DType dtype =
      part->kind == Kind::kElement ? tensor::ComplexOf(part->element) : DType::kInvalid;
  if (dtype == DType::kInvalid) return in.Error("a complex type of other parts than f32 and f64");
  return SetElement(out, dtype);
}

Status Entities::DecodeTensorType(Cursor& in, TypeEntity* out) {
  ASSIGN_OR_RETURN(const Dims shape, ReadDims(in));
  ASSIGN_OR_RETURN(const TypeEntity* element, ChildType(in));
  if (shape.size() > limits_.max_rank) {
    return ResourceExhausted(StrCat("artifact byte ", in.offset(), ": a tensor of rank ",
                                    shape.size(), ", more than max_rank = ", limits_.max_rank));
  }
  if (element->kind == Kind::kOther) return Refuse(in, out, element->why);
  for (const int64_t d : shape) {
    if (d < 0) return Refuse(in, out, kDynamic);
  }
  if (element->kind == Kind::kIndex) {
    out->value = TensorType{DType::kI64, shape};
    return Set(out, Kind::kIndices);
  }
  if (element->kind != Kind::kElement) return in.Error("a tensor of elements that are no numbers");
  out->value = TensorType{element->element, shape};
  return Set(out, Kind::kValue);
}

Status Entities::DecodeFunctionType(Cursor& in, TypeEntity* out) {
  stablehlo::FuncType type;
  for (std::vector<TensorType>* side : {&type.inputs, &type.results}) {
    ASSIGN_OR_RETURN(const uint64_t n, in.Count());
    side->reserve(n);
    for (uint64_t i = 0; i < n; ++i) {
      ASSIGN_OR_RETURN(const TypeEntity* t, ChildType(in));
      if (t->kind == Kind::kOther) return Refuse(in, out, t->why);
      if (t->kind == Kind::kIndices) return Refuse(in, out, "tensors of index are not supported");
      if (t->kind != Kind::kValue) return in.Error("a function of values that are no tensors");
      side->push_back(t->value);
    }
  }
  out->function = std::make_shared<const stablehlo::FuncType>(std::move(type));
  return Set(out, Kind::kFunction);
}

}  // namespace megalith::stablehlo::artifact
