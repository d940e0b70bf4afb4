#include "common/programs/stablehlo/codec.h"

#include <cstring>
#include <unordered_map>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/records.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::stablehlo {
namespace {

void EncodeSigned(int64_t v, std::string* out) {  // zigzag
  EncodeVarint((static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63), out);
}
void EncodeText(std::string_view s, std::string* out) {
  EncodeVarint(s.size(), out);
  *out += s;
}
void EncodeInts(std::span<const int64_t> v, std::string* out) {
  EncodeVarint(v.size(), out);
  for (const int64_t x : v) EncodeSigned(x, out);
}
void EncodeDouble(double v, std::string* out) {
  char bytes[8];
  std::memcpy(bytes, &v, 8);
  out->append(bytes, 8);
}

void EncodeDense(const Dense& d, std::string* out) {
  EncodeType(d.type, out);
  *out += static_cast<char>((d.splat ? 1 : 0) | (d.is_index ? 2 : 0));
  *out += d.data.bytes();
}

class Encoder {
 public:
  std::string Run(const Module& module) {
    std::string body;
    EncodeVarint(module.funcs().size(), &body);
    for (const Func& f : module.funcs()) {
      EncodeText(f.name, &body);
      body += static_cast<char>(f.visibility);
      EncodeVarint(f.results.size(), &body);
      for (const TensorType& t : f.results) EncodeType(t, &body);
      next_ = 0;
      ids_.assign(f.types.size(), 0);
      func_ = &f;
      EncodeRegion(f.body, &body);
    }
    std::string out(kCodecMagic);
    EncodeVarint(kCodecVersion, &out);
    EncodeVarint(names_.size(), &out);
    for (const std::string_view n : names_) EncodeText(n, &out);
    return out + body;
  }

 private:
  void Define(ValueId v, std::string* out) {
    ids_[v] = next_++;
    EncodeType(func_->type(v), out);
  }

  void EncodeRegion(const Region& region, std::string* out) {
    EncodeVarint(region.args.size(), out);
    for (const ValueId v : region.args) Define(v, out);
    EncodeVarint(region.ops.size(), out);
    for (const Op& op : region.ops) {
      const auto [it, fresh] = name_index_.try_emplace(op.name(), names_.size());
      if (fresh) names_.push_back(op.name());
      EncodeVarint(it->second, out);
      EncodeVarint(op.operands.size(), out);
      for (const ValueId v : op.operands) EncodeVarint(ids_[v], out);
      EncodeDict(op.attrs, out);
      EncodeVarint(op.regions.size(), out);
      for (const Region& r : op.regions) EncodeRegion(r, out);
      EncodeVarint(op.num_results, out);
      for (uint32_t i = 0; i < op.num_results; ++i) Define(op.result(i), out);
    }
  }

  std::vector<std::string_view> names_;
  std::unordered_map<std::string_view, size_t> name_index_;
  const Func* func_ = nullptr;
  std::vector<uint64_t> ids_;  // number of each value in order of definition
  uint64_t next_ = 0;
};

class Decoder {
 public:
  Decoder(std::string_view bytes, const Limits& limits) : reader_(bytes), limits_(limits) {}

  Result<Module> Run() {
    const auto magic = reader_.Raw(kCodecMagic.size());
    if (!magic.ok() || *magic != kCodecMagic) return DataLoss("not an encoded module: wrong magic");
    ASSIGN_OR_RETURN(const uint64_t version, Varint());
    if (version != kCodecVersion) {
      return FailedPrecondition(
          StrCat("module encoding version ", version, ", this build reads ", kCodecVersion));
    }
    ASSIGN_OR_RETURN(const uint64_t names, Count());
    for (uint64_t i = 0; i < names; ++i) {
      ASSIGN_OR_RETURN(const std::string name, Text());
      const OpDef* def = FindOp(name);
      if (def == nullptr)
        return Unimplemented(StrCat("operation ", Printable(name), " is not supported"));
      ops_.push_back(def);
    }
    Module module;
    ASSIGN_OR_RETURN(const uint64_t funcs, Count());
    for (uint64_t i = 0; i < funcs; ++i) {
      Func f;
      ASSIGN_OR_RETURN(f.name, Text());
      ASSIGN_OR_RETURN(const uint8_t visibility, reader_.U8());
      if (visibility > static_cast<uint8_t>(Visibility::kNested)) return Damaged("visibility");
      f.visibility = static_cast<Visibility>(visibility);
      ASSIGN_OR_RETURN(const uint64_t results, Count());
      for (uint64_t r = 0; r < results; ++r) {
        ASSIGN_OR_RETURN(TensorType t, Type());
        f.results.push_back(std::move(t));
      }
      func_ = &f;
      RETURN_IF_ERROR(ReadRegion(&f.body, 1));
      RETURN_IF_ERROR(internal::StatusOf(module.AddFunc(std::move(f))));
    }
    if (reader_.left() != 0) return Damaged("bytes after the end");
    RETURN_IF_ERROR(Verify(module, limits_));
    return module;
  }

 private:
  Status Damaged(std::string_view what) const {
    return DataLoss(StrCat("encoded module is damaged at offset ", reader_.offset(), ": ", what));
  }

  Result<uint64_t> Varint() {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      ASSIGN_OR_RETURN(const uint8_t b, reader_.U8());
      v |= static_cast<uint64_t>(b & 0x7F) << shift;
      if ((b & 0x80) == 0) {
        if (shift == 63 && b > 1) break;
        return v;
      }
    }
    return Damaged("number too long");
  }
  Result<int64_t> Signed() {
    ASSIGN_OR_RETURN(const uint64_t v, Varint());
    return static_cast<int64_t>((v >> 1) ^ (~(v & 1) + 1));
  }
  // A count of things that take at least one byte each.
  Result<uint64_t> Count() {
    ASSIGN_OR_RETURN(const uint64_t n, Varint());
    if (n > reader_.left()) return Damaged("count larger than the rest of the bytes");
    return n;
  }
  Result<std::string> Text() {
    ASSIGN_OR_RETURN(const uint64_t n, Count());
    ASSIGN_OR_RETURN(const std::string_view raw, reader_.Raw(n));
    return std::string(raw);
  }
  Result<std::vector<int64_t>> Ints() {
    ASSIGN_OR_RETURN(const uint64_t n, Count());
    std::vector<int64_t> v;
    for (uint64_t i = 0; i < n; ++i) {
      ASSIGN_OR_RETURN(const int64_t x, Signed());
      v.push_back(x);
    }
    return v;
  }
  Result<Dims> ReadDims() {
    ASSIGN_OR_RETURN(const std::vector<int64_t> v, Ints());
    return Dims(v);
  }
  Result<double> Double() {
    ASSIGN_OR_RETURN(const std::string_view raw, reader_.Raw(8));
    double v = 0;
    std::memcpy(&v, raw.data(), 8);
    return v;
  }
  Result<DType> ReadDType() {
    ASSIGN_OR_RETURN(const uint8_t d, reader_.U8());
    if (d >= tensor::kNumDTypes) return Damaged("element type");
    return static_cast<DType>(d);
  }
  Result<TensorType> Type() {
    ASSIGN_OR_RETURN(const uint8_t kind, reader_.U8());
    if (kind == 0) return TensorType::Token();
    if (kind != 1) return Damaged("kind of type");
    TensorType t;
    ASSIGN_OR_RETURN(t.dtype, ReadDType());
    ASSIGN_OR_RETURN(const uint64_t rank, Count());
    if (rank > limits_.max_rank)
      return ResourceExhausted(StrCat("rank exceeds max_rank = ", limits_.max_rank));
    for (uint64_t i = 0; i < rank; ++i) {
      ASSIGN_OR_RETURN(const int64_t d, Signed());
      if (d < 0) return Damaged("negative dimension");
      t.shape.push_back(d);
    }
    if (tensor::MlirName(t.dtype).empty()) return Damaged("element type");
    const int64_t n = ElementCount(t);
    if (n < 0 || n > limits_.max_elements) {
      return ResourceExhausted(
          StrCat("a value of type ", t.Text(), " exceeds max_elements = ", limits_.max_elements));
    }
    return t;
  }

  Status DefineValue(std::vector<ValueId>* out) {
    ASSIGN_OR_RETURN(TensorType t, Type());
    if (func_->types.size() >= limits_.max_values) {
      return ResourceExhausted(StrCat("more than max_values = ", limits_.max_values, " values"));
    }
    out->push_back(func_->AddValue(std::move(t)));
    return OkStatus();
  }

  Status ReadRegion(Region* region, uint32_t depth) {
    if (depth > limits_.max_nesting) {
      return ResourceExhausted(
          StrCat("nesting is deeper than max_nesting = ", limits_.max_nesting));
    }
    ASSIGN_OR_RETURN(const uint64_t args, Count());
    for (uint64_t i = 0; i < args; ++i) RETURN_IF_ERROR(DefineValue(&region->args));
    ASSIGN_OR_RETURN(const uint64_t ops, Count());
    for (uint64_t i = 0; i < ops; ++i) {
      if (++num_ops_ > limits_.max_ops) {
        return ResourceExhausted(StrCat("more than max_ops = ", limits_.max_ops, " operations"));
      }
      Op op;
      ASSIGN_OR_RETURN(const uint64_t name, Varint());
      if (name >= ops_.size()) return Damaged("operation name");
      op.def = ops_[name];
      ASSIGN_OR_RETURN(const uint64_t operands, Count());
      for (uint64_t k = 0; k < operands; ++k) {
        ASSIGN_OR_RETURN(const uint64_t v, Varint());
        if (v >= func_->types.size()) return Damaged("operand");
        op.operands.push_back(static_cast<ValueId>(v));
      }
      ASSIGN_OR_RETURN(op.attrs, Dict(depth));
      ASSIGN_OR_RETURN(const uint64_t regions, Count());
      for (uint64_t k = 0; k < regions; ++k) {
        op.regions.emplace_back();
        RETURN_IF_ERROR(ReadRegion(&op.regions.back(), depth + 1));
      }
      ASSIGN_OR_RETURN(const uint64_t results, Count());
      op.first_result = static_cast<ValueId>(func_->types.size());
      op.num_results = static_cast<uint32_t>(results);
      std::vector<ValueId> ids;
      for (uint64_t k = 0; k < results; ++k) RETURN_IF_ERROR(DefineValue(&ids));
      region->ops.push_back(std::move(op));
    }
    return OkStatus();
  }

  Result<AttrDict> Dict(uint32_t depth) {
    AttrDict dict;
    ASSIGN_OR_RETURN(const uint64_t n, Count());
    for (uint64_t i = 0; i < n; ++i) {
      ASSIGN_OR_RETURN(const std::string name, Text());
      ASSIGN_OR_RETURN(Attr value, ReadAttr(depth + 1));
      SetAttr(&dict, name, std::move(value));
    }
    return dict;
  }

  Result<Attr> ReadDense();
  Result<Attr> ReadRecord(AttrKind kind);
  Result<Attr> ReadScalar(AttrKind kind);
  Status ReadField(Dims* v) {
    ASSIGN_OR_RETURN(*v, ReadDims());
    return OkStatus();
  }
  Status ReadField(int64_t* v) {
    ASSIGN_OR_RETURN(*v, Signed());
    return OkStatus();
  }
  Status ReadField(bool* v) {
    ASSIGN_OR_RETURN(const uint8_t b, reader_.U8());
    *v = b != 0;
    return OkStatus();
  }
  Status ReadField(double* v) {
    ASSIGN_OR_RETURN(*v, Double());
    return OkStatus();
  }
  Status ReadField(PrecisionType* v);
  Status ReadField(AccuracyMode* v);
  Result<Attr> ReadAttr(uint32_t depth);

  ByteReader reader_;
  const Limits& limits_;
  std::vector<const OpDef*> ops_;
  Func* func_ = nullptr;
  uint64_t num_ops_ = 0;
};

Result<Attr> Decoder::ReadDense() {
  Dense d;
  ASSIGN_OR_RETURN(d.type, Type());
  if (d.type.is_token) return Damaged("constant of token type");
  ASSIGN_OR_RETURN(const uint8_t flags, reader_.U8());
  if (flags > 3) return Damaged("constant flags");
  d.splat = (flags & 1) != 0;
  d.is_index = (flags & 2) != 0;
  const Shape shape = d.splat ? Shape{} : d.type.shape;
  const int64_t bytes = ByteCount({d.type.dtype, shape});
  if (bytes < 0) return Damaged("constant size");
  ASSIGN_OR_RETURN(const std::string_view raw, reader_.Raw(static_cast<uint64_t>(bytes)));
  auto data = Tensor::FromBytes(d.type.dtype, shape, raw);
  if (!data.ok()) return Damaged(data.status().message());
  d.data = *std::move(data);
  if (tensor::IsInteger(d.type.dtype) && tensor::BitWidth(d.type.dtype) < 8) {
    for (int64_t i = 0; i < d.data.size(); ++i)
      d.data.SetInt(i, d.data.IntAt(i));  // the unused bits
  }
  return Attr::OfDense(std::move(d));
}

Status Decoder::ReadField(PrecisionType* v) {
  ASSIGN_OR_RETURN(v->dtype, ReadDType());
  return ReadField(&v->tf32);
}

Status Decoder::ReadField(AccuracyMode* v) {
  ASSIGN_OR_RETURN(const uint8_t mode, reader_.U8());
  if (mode > static_cast<uint8_t>(AccuracyMode::kTolerance)) return Damaged("accuracy mode");
  *v = static_cast<AccuracyMode>(mode);
  return OkStatus();
}

Result<Attr> Decoder::ReadRecord(AttrKind kind) {
  Result<Attr> out = Attr();
  MakeRecord(kind, [&](auto record) {
    Status s;
    VisitFields(record, [&](std::string_view, auto& field) {
      if (s.ok()) s = ReadField(&field);
    });
    out = s.ok() ? Result<Attr>(Attr::Of(std::move(record))) : Result<Attr>(s);
  });
  return out;
}

// Numbers, enumerations and text.
Result<Attr> Decoder::ReadScalar(AttrKind kind) {
  switch (kind) {
    case AttrKind::kUnit:
      return Attr::Unit();
    case AttrKind::kBool: {
      ASSIGN_OR_RETURN(const uint8_t v, reader_.U8());
      return Attr::Bool(v != 0);
    }
    case AttrKind::kInt: {
      ASSIGN_OR_RETURN(const DType dtype, ReadDType());
      ASSIGN_OR_RETURN(const int64_t v, Signed());
      return Attr::Int(v, dtype);
    }
    case AttrKind::kFloat: {
      ASSIGN_OR_RETURN(const DType dtype, ReadDType());
      if (!tensor::IsFloat(dtype)) return Damaged("type of a float");
      ASSIGN_OR_RETURN(const double v, Double());
      return Attr::Float(v, dtype);
    }
    case AttrKind::kEnum: {
      ASSIGN_OR_RETURN(const uint8_t id, reader_.U8());
      ASSIGN_OR_RETURN(const uint8_t value, reader_.U8());
      if (id > static_cast<uint8_t>(EnumId::kAccuracyMode)) return Damaged("enumeration");
      const Attr a = Attr::Enum(static_cast<EnumId>(id), value);
      if (a.EnumName() == "?") return Damaged("enumeration value");
      return a;
    }
    default: {
      ASSIGN_OR_RETURN(const std::string s, Text());
      if (kind == AttrKind::kString) return Attr::String(s);
      return kind == AttrKind::kSymbol ? Attr::Symbol(s) : Attr::Opaque(s);
    }
  }
}

Result<Attr> Decoder::ReadAttr(uint32_t depth) {
  if (depth > limits_.max_nesting) {
    return ResourceExhausted(StrCat("nesting is deeper than max_nesting = ", limits_.max_nesting));
  }
  ASSIGN_OR_RETURN(const uint8_t raw_kind, reader_.U8());
  if (raw_kind == 0 || raw_kind > static_cast<uint8_t>(AttrKind::kOpaque))
    return Damaged("kind of attribute");
  const auto kind = static_cast<AttrKind>(raw_kind);
  switch (kind) {
    case AttrKind::kType: {
      ASSIGN_OR_RETURN(const uint8_t scalar, reader_.U8());
      ASSIGN_OR_RETURN(const TensorType t, Type());
      return scalar != 0 ? Attr::ScalarType(t.dtype) : Attr::Type(t);
    }
    case AttrKind::kFuncType: {
      FuncType f;
      for (auto* list : {&f.inputs, &f.results}) {
        ASSIGN_OR_RETURN(const uint64_t n, Count());
        for (uint64_t i = 0; i < n; ++i) {
          ASSIGN_OR_RETURN(TensorType t, Type());
          list->push_back(std::move(t));
        }
      }
      return Attr::Function(std::move(f));
    }
    case AttrKind::kInts: {
      ASSIGN_OR_RETURN(const std::vector<int64_t> v, Ints());
      return Attr::Ints(v);
    }
    case AttrKind::kBools: {
      ASSIGN_OR_RETURN(const std::vector<int64_t> v, Ints());
      const std::unique_ptr<bool[]> flags(new bool[v.size()]);
      for (size_t i = 0; i < v.size(); ++i) flags[i] = v[i] != 0;
      return Attr::Bools(std::span<const bool>(flags.get(), v.size()));
    }
    case AttrKind::kDense:
      return ReadDense();
    case AttrKind::kDict: {
      ASSIGN_OR_RETURN(AttrDict dict, Dict(depth));
      return Attr::Dict(std::move(dict));
    }
    case AttrKind::kList: {
      std::vector<Attr> list;
      ASSIGN_OR_RETURN(const uint64_t n, Count());
      for (uint64_t i = 0; i < n; ++i) {
        ASSIGN_OR_RETURN(Attr a, ReadAttr(depth + 1));
        list.push_back(std::move(a));
      }
      return Attr::List(std::move(list));
    }
    default:
      return RecordName(kind).empty() ? ReadScalar(kind) : ReadRecord(kind);
  }
}

void EncodeField(const Dims& v, std::string* out) { EncodeInts(v, out); }
void EncodeField(int64_t v, std::string* out) { EncodeSigned(v, out); }
void EncodeField(bool v, std::string* out) { *out += static_cast<char>(v ? 1 : 0); }
void EncodeField(double v, std::string* out) { EncodeDouble(v, out); }
void EncodeField(AccuracyMode v, std::string* out) { *out += static_cast<char>(v); }
void EncodeField(PrecisionType v, std::string* out) {
  *out += static_cast<char>(v.dtype);
  *out += static_cast<char>(v.tf32 ? 1 : 0);
}

}  // namespace

void EncodeVarint(uint64_t v, std::string* out) {
  for (; v >= 0x80; v >>= 7) *out += static_cast<char>((v & 0x7F) | 0x80);
  *out += static_cast<char>(v);
}

void EncodeDict(const AttrDict& dict, std::string* out) {
  EncodeVarint(dict.size(), out);
  for (const NamedAttr& a : dict) {
    EncodeText(a.name, out);
    EncodeAttr(a.value, out);
  }
}

void EncodeType(const TensorType& type, std::string* out) {
  *out += static_cast<char>(type.is_token ? 0 : 1);
  if (type.is_token) return;
  *out += static_cast<char>(type.dtype);
  EncodeInts(type.shape, out);
}

void EncodeAttr(const Attr& attr, std::string* out) {
  *out += static_cast<char>(attr.kind());
  switch (attr.kind()) {
    case AttrKind::kNone:
    case AttrKind::kUnit:
      return;
    case AttrKind::kBool:
      *out += static_cast<char>(attr.AsBool() ? 1 : 0);
      return;
    case AttrKind::kInt:
      *out += static_cast<char>(attr.dtype());
      return EncodeSigned(attr.AsInt(), out);
    case AttrKind::kFloat:
      *out += static_cast<char>(attr.dtype());
      return EncodeDouble(attr.AsFloat(), out);
    case AttrKind::kString:
    case AttrKind::kSymbol:
    case AttrKind::kOpaque:
      return EncodeText(attr.AsText(), out);
    case AttrKind::kType:
      *out += static_cast<char>(attr.is_scalar_type() ? 1 : 0);
      return EncodeType(attr.AsType(), out);
    case AttrKind::kFuncType:
      for (const auto* list : {&attr.AsFuncType().inputs, &attr.AsFuncType().results}) {
        EncodeVarint(list->size(), out);
        for (const TensorType& t : *list) EncodeType(t, out);
      }
      return;
    case AttrKind::kInts:
    case AttrKind::kBools:
      return EncodeInts(attr.AsInts(), out);
    case AttrKind::kDense:
      return EncodeDense(attr.AsDense(), out);
    case AttrKind::kEnum:
      *out += static_cast<char>(attr.enum_id());
      *out += static_cast<char>(attr.AsEnum());
      return;
    case AttrKind::kDict:
      return EncodeDict(attr.AsDict(), out);
    case AttrKind::kList:
      EncodeVarint(attr.AsList().size(), out);
      for (const Attr& a : attr.AsList()) EncodeAttr(a, out);
      return;
    default:
      VisitRecord(attr, [&](const auto& record) {
        VisitFields(record, [&](std::string_view, const auto& field) { EncodeField(field, out); });
      });
  }
}

std::string EncodeModule(const Module& module) { return Encoder().Run(module); }

Result<Module> DecodeModule(std::string_view bytes, const Limits& limits) {
  return Decoder(bytes, limits).Run();
}

}  // namespace megalith::stablehlo
