#include "common/programs/tracing/trace.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/registry.h"

namespace megalith::tracing {
namespace {

thread_local Trace* current_trace = nullptr;

std::string PlaceText(const Place& where) {
  std::string_view file = where.file_name();
  const size_t slash = file.rfind('/');
  if (slash != std::string_view::npos) file = file.substr(slash + 1);
  return StrCat(file, ":", where.line());
}

}  // namespace

Trace::Trace(const TraceOptions& options)
    : session_(ops::AllOps(), options.limits, options.cancel) {
  session_.set_x64(options.x64);
}

Trace* Trace::Current() { return current_trace; }

Trace::Scope::Scope(Trace* trace) : outer_(current_trace) { current_trace = trace; }
Trace::Scope::~Scope() { current_trace = outer_; }

void Trace::Fail(const Status& status, std::optional<Place> where) {
  if (!status_.ok() || status.ok()) return;
  status_ = where ? status.Annotate(PlaceText(*where)) : status;
}

void Trace::Annotate(std::string_view context) {
  if (!status_.ok()) status_ = status_.Annotate(context);
}

bool Trace::CheckBuilder(std::optional<Place> where) {
  if (ok() && !builder().ok()) Fail(builder().status(), where);
  return ok();
}

bool Trace::IsActive(uint64_t frame) const {
  return std::any_of(frames_.begin(), frames_.end(), [&](const auto& f) { return f->id == frame; });
}

Value Trace::Use(const Array& a, std::optional<Place> where) {
  if (a.number_) return session_.Lit(LiteralOf(*a.number_, DType::kInvalid, false, x64()));
  if (!a.value_) {
    Fail(InvalidArgument("an Array without a value is used: it was not initialised, or made "
                         "outside of MakeJaxpr"),
         where);
  } else if (a.trace_.get() != this || !IsActive(a.frame_)) {
    Fail(Status::WithClass(
             Code::kInvalidArgument, "UnexpectedTracerError",
             StrCat("Encountered an unexpected tracer. A function that was traced had a side "
                    "effect, allowing for a "
                    "reference to an intermediate value with type ",
                    a.value_.aval().Text(), " to escape the scope of the transformation")),
         where);
  } else {
    return a.value_;
  }
  return builder().Poison(Aval{DType::kF32, false, {}});
}

Values Trace::UseAll(std::span<const Array> arrays) {
  Values out;
  for (const Array& a : arrays) out.push_back(Use(a));
  return out;
}

Array Trace::Wrap(const Value& v) {
  Array out;
  if (!ok()) return out;
  out.value_ = v;
  out.trace_ = shared_from_this();
  // A value of an outer frame (an operation that gave back its operand) lives as long as that
  // frame.
  out.frame_ = frames_.back()->id;
  for (const auto& frame : frames_) {
    if (v.owner() == &frame->builder) out.frame_ = frame->id;
  }
  return out;
}

Arrays Trace::WrapAll(std::span<const Value> values) {
  Arrays out;
  for (const Value& v : values) out.push_back(Wrap(v));
  return out;
}

Value Trace::Const(const tensor::Tensor& value) {
  size_t at = frames_.size() - 1;
  while (at > 0 && frames_[at]->constants == Constants::kOutside) --at;
  return frames_[at]->builder.Const(value);
}

std::optional<pipeline::Callee> Trace::TraceFunction(const Function& f, const Avals& inputs,
                                                     Constants constants) {
  if (!ok()) return std::nullopt;
  if (frames_.size() >= static_cast<size_t>(session_.limits().max_depth)) {
    Fail(ResourceExhausted(StrCat("functions are nested deeper than ", session_.limits().max_depth,
                                  " levels (limit max_depth)")));
    return std::nullopt;
  }
  frames_.push_back(std::make_unique<Frame>(session_, next_frame_++, constants));
  Values args;
  for (const Aval& aval : inputs) args.push_back(builder().Input(aval));
  const Outputs outs = f.Call(WrapAll(args));
  const Values values = ok() ? UseAll(outs.arrays()) : Values();
  pipeline::Callee callee;
  callee.fun_name = f.name();
  if (CheckBuilder()) {
    Result<ir::JaxprPtr> jaxpr = builder().Finish(values, &callee.captured);
    if (jaxpr.ok()) {
      callee.jaxpr = *std::move(jaxpr);
    } else {
      Fail(jaxpr.status());
    }
  }
  frames_.pop_back();
  if (!ok()) return std::nullopt;
  return callee;
}

struct Trace::Known {
  pipeline::Callee callee;
  std::vector<uint64_t> frames;  // of the captured values
};

std::optional<pipeline::Callee> Trace::TraceOnce(const Function& f, const Avals& inputs) {
  std::string key = StrCat("traced ", f.name());
  for (const Aval& a : inputs) StrAppend(&key, " ", a.Text(), a.weak_type ? "~" : "");
  if (const Known* known = session_.FindFor<Known>(f.identity().get(), key)) {
    if (std::all_of(known->frames.begin(), known->frames.end(),
                    [&](uint64_t id) { return IsActive(id); })) {
      return known->callee;
    }
  }
  std::optional<pipeline::Callee> callee = TraceFunction(f, inputs, Constants::kOwn);
  if (!callee) return callee;
  Known known{*callee, {}};
  for (const Value& v : callee->captured) {
    for (const auto& frame : frames_) {
      if (v.owner() == &frame->builder) known.frames.push_back(frame->id);
    }
  }
  session_.RememberFor(f.identity(), key, std::move(known));
  return callee;
}

ir::Literal LiteralOf(const Number& n, DType dtype, bool weak, bool x64) {
  if (dtype == DType::kInvalid) {
    const Aval own = NumberAval(n, x64);
    return LiteralOf(n, own.dtype, own.weak_type, x64);
  }
  if (tensor::IsComplex(dtype)) return ir::Literal::Complex(dtype, n.value, weak);
  if (tensor::IsFloat(dtype)) return ir::Literal::Float(dtype, n.value.real(), weak);
  const bool whole = n.kind == Number::Kind::kBool || n.kind == Number::Kind::kInt;
  if (tensor::IsBool(dtype)) return ir::Literal::Int(dtype, n.value != 0.0 ? 1 : 0, weak);
  return ir::Literal::Int(dtype, whole ? n.integer : static_cast<int64_t>(n.value.real()), weak);
}

Aval NumberAval(const Number& n, bool x64) {
  switch (n.kind) {
    case Number::Kind::kBool:
      return {DType::kBool, false, {}};
    case Number::Kind::kInt:
      return {x64 ? DType::kI64 : DType::kI32, true, {}};
    case Number::Kind::kFloat:
      return {x64 ? DType::kF64 : DType::kF32, true, {}};
    case Number::Kind::kComplex:
      return {x64 ? DType::kC128 : DType::kC64, true, {}};
  }
  return {};
}

Aval Array::aval() const {
  if (number_) return NumberAval(*number_, Trace::Current() != nullptr && Trace::Current()->x64());
  return value_ ? value_.aval() : Aval();
}

int64_t Array::dim(int64_t axis) const {
  const Shape s = shape();
  const auto n = static_cast<int64_t>(s.size());
  if (axis < 0) axis += n;
  return axis < 0 || axis >= n ? 0 : s[static_cast<size_t>(axis)];
}

Array Constant(const tensor::Tensor& value, Place where) {
  return Operation(where, [&](Trace& t, Builder&) { return t.Const(value); });
}

}  // namespace megalith::tracing
