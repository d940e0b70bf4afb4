#include "common/programs/tracing/transforms.h"

#include "common/foundation/base/strings.h"
#include "common/programs/tracing/trace.h"

namespace megalith::tracing {
namespace {

using pipeline::Transform;

// Positions of parameters as positions of arrays.
std::vector<int64_t> FlatArgnums(const Function& f, const std::vector<int64_t>& argnums) {
  if (!f.params()) return argnums;
  const std::vector<size_t>& leaves = *f.params();
  const auto n = static_cast<int64_t>(leaves.size());
  std::vector<int64_t> out;
  for (const int64_t a : argnums) {
    if (a >= n || a < -n) return argnums;  // an error that the transform words
    const auto at = static_cast<size_t>(a < 0 ? a + n : a);
    int64_t first = 0;
    for (size_t i = 0; i < at; ++i) first += static_cast<int64_t>(leaves[i]);
    for (size_t i = 0; i < leaves[at]; ++i) out.push_back(first + static_cast<int64_t>(i));
  }
  return out;
}

// One axis per parameter as one per array.
pipeline::Axes FlatAxes(const Function& f, const pipeline::Axes& axes) {
  if (!f.params() || f.params()->size() != axes.size()) return axes;
  pipeline::Axes out;
  for (size_t i = 0; i < axes.size(); ++i) out.insert(out.end(), (*f.params())[i], axes[i]);
  return out;
}

// Emits the transformed function for `args` into the running trace.
Result<Values> Apply(Trace& trace, const Transform& t, const Function& f, const Values& args) {
  const pipeline::TransformDef* def = pipeline::FindTransform(t.name);
  CHECK(def != nullptr);
  Avals avals;
  for (const Value& v : args) avals.push_back(v.aval());
  ASSIGN_OR_RETURN(const Avals inner, def->inner(t, avals));
  std::optional<pipeline::Callee> callee;
  if (t.name == "jit") {
    callee = trace.TraceOnce(f, inner);
  } else {
    const bool constants_outside = t.name == "checkpoint";
    callee = trace.TraceFunction(
        f, inner, constants_outside ? Trace::Constants::kOutside : Trace::Constants::kOwn);
  }
  if (!callee) return trace.status();
  return def->apply(trace.builder(), t, *callee, args);
}

Function Transformed(Transform t, const Function& f, std::optional<std::vector<size_t>> params,
                     Place where) {
  internal::FunctionImpl impl;
  const bool keeps_name = pipeline::FindTransform(t.name)->keeps_name;
  impl.name = keeps_name ? f.name() : "<lambda>";
  impl.params = std::move(params);
  impl.call = [t = std::move(t), f, where](std::span<const Array> args) {
    return Operations(where, [&](Trace& trace, Builder& b) {
      const Values values = trace.UseAll(args);
      if (!trace.ok()) return Values();
      const Result<Values> outs = Apply(trace, t, f, values);
      if (outs.ok()) return *outs;
      // A sticky error of the builder is the cause of whatever the transform reports.
      if (b.ok()) b.Fail(outs.status());
      return Values();
    });
  };
  return Function(std::move(impl));
}

// A transform whose result has the function's own parameters.
Function SameParams(std::string name, const Function& f, Place where) {
  Transform t;
  t.name = std::move(name);
  return Transformed(std::move(t), f, f.params(), where);
}

Function Differentiating(std::string name, const Function& f, GradOptions options, Place where) {
  Transform t;
  t.name = std::move(name);
  t.argnums_is_list = options.argnums.size() != 1;
  t.argnums = FlatArgnums(f, options.argnums);
  t.has_aux = options.has_aux;
  return Transformed(std::move(t), f, f.params(), where);
}

// Parameters twice: primals and tangents.
std::optional<std::vector<size_t>> Doubled(const std::optional<std::vector<size_t>>& params) {
  if (!params) return params;
  std::vector<size_t> out = *params;
  out.insert(out.end(), params->begin(), params->end());
  return out;
}

}  // namespace

Function Jit(Function f, Place where) { return SameParams("jit", f, where); }
Function Grad(Function f, GradOptions options, Place where) {
  return Differentiating("grad", f, std::move(options), where);
}
Function ValueAndGrad(Function f, GradOptions options, Place where) {
  return Differentiating("value_and_grad", f, std::move(options), where);
}
Function Jacfwd(Function f, GradOptions options, Place where) {
  return Differentiating("jacfwd", f, std::move(options), where);
}
Function Jacrev(Function f, GradOptions options, Place where) {
  return Differentiating("jacrev", f, std::move(options), where);
}
Function Hessian(Function f, GradOptions options, Place where) {
  return Differentiating("hessian", f, std::move(options), where);
}

Function Vmap(Function f, VmapOptions options, Place where) {
  Transform t;
  t.name = "vmap";
  t.in_axes_is_list = options.in_axes.size() != 1;
  t.in_axes = t.in_axes_is_list ? FlatAxes(f, options.in_axes) : options.in_axes;
  t.out_axes_is_list = options.out_axes.size() != 1;
  t.out_axes = std::move(options.out_axes);
  t.axis_name = std::move(options.axis_name);
  t.axis_size = options.axis_size;
  return Transformed(std::move(t), f, f.params(), where);
}

Function Jvp(Function f, Place where) {
  Transform t;
  t.name = "jvp";
  return Transformed(std::move(t), f, Doubled(f.params()), where);
}

Function Linearize(Function f, Place where) {
  Transform t;
  t.name = "linearize";
  return Transformed(std::move(t), f, Doubled(f.params()), where);
}

Function Vjp(Function f, std::optional<int64_t> num_primals, Place where) {
  Transform t;
  t.name = "vjp";
  int64_t own = 0;
  if (f.params()) {
    for (const size_t leaves : *f.params()) own += static_cast<int64_t>(leaves);
  }
  t.num_primals = num_primals.value_or(own);
  return Transformed(std::move(t), f, std::nullopt, where);
}

Function Checkpoint(Function f, CheckpointOptions options, Place where) {
  Transform t;
  t.name = "checkpoint";
  t.policy = std::move(options.policy);
  t.prevent_cse = options.prevent_cse;
  return Transformed(std::move(t), f, f.params(), where);
}

}  // namespace megalith::tracing
