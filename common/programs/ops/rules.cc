#include "common/programs/ops/rules.h"

#include <set>

#include "common/foundation/base/strings.h"

namespace megalith::ops {

std::string DTypeText(DType d) { return std::string(tensor::NumpyName(d)); }

namespace {

bool AcceptsDType(uint16_t accepts, DType d) {
  switch (tensor::Info(d).cls) {
    case tensor::DTypeClass::kBool:
      return accepts & ir::kAcceptsBool;
    case tensor::DTypeClass::kSigned:
      return accepts & ir::kAcceptsSigned;
    case tensor::DTypeClass::kUnsigned:
      return accepts & ir::kAcceptsUnsigned;
    case tensor::DTypeClass::kFloat:
      return accepts & ir::kAcceptsFloat;
    case tensor::DTypeClass::kComplex:
      return accepts & ir::kAcceptsComplex;
    case tensor::DTypeClass::kKey:
      return accepts & ir::kAcceptsKey;
    case tensor::DTypeClass::kFloat0:
      return accepts & ir::kAcceptsFloat0;
    case tensor::DTypeClass::kNone:
      return false;
  }
  return false;
}

// NumPy's abstract classes, as JAX lists them.
std::string AcceptedNames(uint16_t accepts) {
  std::vector<std::string_view> names;
  if (accepts & ir::kAcceptsBool) names.push_back("bool_");
  if ((accepts & ir::kAcceptsInt) == ir::kAcceptsInt) {
    names.push_back("integer");
  } else if (accepts & ir::kAcceptsSigned) {
    names.push_back("signedinteger");
  }
  if (accepts & ir::kAcceptsFloat) names.push_back("floating");
  if (accepts & ir::kAcceptsComplex) names.push_back("complexfloating");
  return Join(names, ", ");
}

}  // namespace

bool AllWeak(std::span<const Aval> operands) {
  for (const Aval& a : operands) {
    if (!a.weak_type) return false;
  }
  return true;
}

Status CheckUnsharded(const TypeArgs& a, std::string_view param) {
  if (a.params[param].is_none()) return OkStatus();
  return NotImplementedError(StrCat(a.op.name, " with ", param, "=",
                                    Printable(a.params[param].PythonText()),
                                    ": arrays sharded over a mesh are not supported"));
}

Status CheckAccepts(const TypeArgs& a, size_t i) {
  const DType d = a.operands[i].dtype;
  if (AcceptsDType(a.op.accepts, d)) return OkStatus();
  if (tensor::IsFloat0(d)) {
    return TypeError(StrCat(
        "Called ", a.op.name,
        " with a float0 array. float0s do not support any operations by design, because they are "
        "not compatible with non-trivial vector spaces."));
  }
  const std::string names = AcceptedNames(a.op.accepts);
  if (a.operands.size() == 1) {
    return TypeError(StrCat(a.op.name, " does not accept dtype ", DTypeText(d),
                            ". Accepted dtypes are subtypes of ", names, "."));
  }
  return TypeError(StrCat(a.op.name, " does not accept dtype ", DTypeText(d), " at position ", i,
                          ". Accepted dtypes at position ", i, " are subtypes of ", names, "."));
}

Status CheckSameDTypes(std::string_view name, std::span<const Aval> operands) {
  for (const Aval& a : operands) {
    if (a.dtype == operands[0].dtype) continue;
    std::vector<std::string> names;
    for (const Aval& each : operands) names.push_back(DTypeText(each.dtype));
    return TypeError(StrCat("lax.", name, " requires arguments to have the same dtypes, got ",
                            Join(names, ", "),
                            ". (Tip: the functions of jax.numpy promote types automatically)"));
  }
  return OkStatus();
}

Result<Shape> BroadcastShapes(std::string_view name, std::span<const Aval> operands) {
  std::vector<const Shape*> shapes;
  std::set<size_t> ranks;
  for (const Aval& a : operands) {
    if (a.rank() == 0) continue;
    shapes.push_back(&a.shape);
    ranks.insert(a.rank());
  }
  if (shapes.empty()) return Shape{};
  if (ranks.size() > 1) {
    return TypeError(StrCat(name, ": arrays must have the same number of dimensions, got {",
                            Join(ranks, ", "), "}"));
  }
  Shape out = *shapes[0];
  for (size_t d = 0; d < out.size(); ++d) {
    for (const Shape* s : shapes) {
      if ((*s)[d] == out[d] || (*s)[d] == 1) continue;
      if (out[d] != 1) {
        std::vector<std::string> texts;
        for (const Shape* each : shapes) texts.push_back(tensor::TupleText(*each));
        return TypeError(
            StrCat(name, " got incompatible shapes for broadcasting: ", Join(texts, ", "), "."));
      }
      out[d] = (*s)[d];
    }
  }
  return out;
}

Types SameAsOperand(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckAccepts(a, 0));
  return std::vector<Aval>{a.operands[0]};
}

Types PredicateType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckAccepts(a, 0));
  return std::vector<Aval>{Aval{DType::kBool, a.operands[0].weak_type, a.operands[0].shape}};
}

namespace {
Result<Aval> NaryAval(const TypeArgs& a) {
  for (size_t i = 0; i < a.operands.size(); ++i) RETURN_IF_ERROR(CheckAccepts(a, i));
  RETURN_IF_ERROR(CheckSameDTypes(a.op.name, a.operands));
  ASSIGN_OR_RETURN(Shape shape, BroadcastShapes(a.op.name, a.operands));
  return Aval{a.operands[0].dtype, AllWeak(a.operands), std::move(shape)};
}
}  // namespace

Types NaryType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(Aval aval, NaryAval(a));
  return std::vector<Aval>{std::move(aval)};
}

Types ComparisonType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(Aval aval, NaryAval(a));
  aval.dtype = DType::kBool;
  return std::vector<Aval>{std::move(aval)};
}

Value Unbroadcast(Builder& b, const Aval& operand, Value ct) {
  if (operand.shape == ct.shape()) return ct;
  if (operand.shape.empty())
    return ir::ReduceSum(b, ct, ir::Range(static_cast<int64_t>(ct.rank())));
  Dims axes;
  for (size_t i = 0; i < operand.rank(); ++i) {
    if (ct.shape()[i] != operand.shape[i]) axes.push_back(static_cast<int64_t>(i));
  }
  return ir::Reshape(b, axes.empty() ? ct : ir::ReduceSum(b, ct, axes), operand.shape);
}

bool CheckKnown(Builder& b, const TransposeArgs& a, size_t i) {
  if (!a.operands[i].linear) return true;
  b.Fail(Status::WithClass(
      Code::kInvalidArgument, "AssertionError",
      StrCat("the function is not linear: it reaches operand ", i, " of ", a.op.name)));
  return false;
}

Value MaybeBroadcast(Builder& b, const Shape& shape, Value t) {
  if (t.shape() == shape) return t;
  if (t.rank() == 0) return ir::BroadcastInDim(b, t, shape, Dims{});
  // Dimensions of size 1 go away, then everything is broadcast at once.
  Dims kept;
  Shape squeezed;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (t.shape()[i] != shape[i]) continue;
    kept.push_back(static_cast<int64_t>(i));
    squeezed.push_back(shape[i]);
  }
  return ir::BroadcastInDim(b, ir::Reshape(b, t, squeezed), shape, kept);
}

Value NumpyBinary(Builder& b, std::string_view op, Value x, Value y) {
  const bool weak = x.aval().weak_type && y.aval().weak_type;
  const Value left = ir::ConvertElementType(b, x, x.dtype(), weak);
  const Value right = ir::ConvertElementType(b, y, y.dtype(), weak);
  return ir::Binary(b, op, left, right);
}

std::vector<Value> TransposeSame(Builder& b, const TransposeArgs& a) {
  return b.Emit(a.op, a.params, a.cotangents);
}

std::vector<Value> EmitJit(Builder& b, std::string_view name, std::string_view key,
                           std::span<const Value> operands, const JittedBody& body) {
  std::string full_key = StrCat("jit ", name, " ", key);
  for (const Value& v : operands)
    StrAppend(&full_key, " ", v.aval().Text(), v.aval().weak_type ? "~" : "");
  ir::JaxprPtr jaxpr;
  if (const auto* made = b.session().Find<ir::JaxprPtr>(nullptr, full_key)) {
    jaxpr = *made;
  } else {
    Builder inner(b.session());
    std::vector<Value> inputs;
    for (const Value& v : operands) inputs.push_back(inner.Input(v.aval()));
    const std::vector<Value> outs = body(inner, inputs);
    Result<ir::JaxprPtr> traced = inner.Finish(outs);
    if (!traced.ok()) {
      b.Fail(traced.status());
      return {b.Poison(operands.empty() ? Aval{DType::kF32, false, {}} : operands[0].aval())};
    }
    jaxpr = b.session().Remember(nullptr, full_key, *std::move(traced));
  }
  return b.EmitN("jit", operands,
                 {{"name", ParamValue::Text(std::string(name))},
                  {"jaxpr", ParamValue::SubJaxpr(std::move(jaxpr))}});
}

}  // namespace megalith::ops
