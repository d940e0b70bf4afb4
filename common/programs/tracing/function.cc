#include "common/programs/tracing/function.h"

#include "common/foundation/base/strings.h"
#include "common/programs/tracing/trace.h"

namespace megalith::tracing {

namespace internal {
void Fail(Status status, Place where) {
  if (Trace* trace = Trace::Current()) trace->Fail(status, where);
}
}  // namespace internal

Operand::Operand(const Outputs& outputs, Place where) : array(outputs), where(where) {}

Array Outputs::Only() const {
  if (arrays_.size() == 1) return arrays_[0];
  internal::Fail(TypeError(StrCat("a function gave ", arrays_.size(),
                                  " results where another number of them is taken")),
                 where_);
  return Array();
}

Function::Function(internal::FunctionImpl impl) {
  if (impl.identity == nullptr) impl.identity = std::make_shared<char>();
  impl_ = std::make_shared<const internal::FunctionImpl>(std::move(impl));
}

Outputs Function::Call(std::span<const Array> args) const { return Outputs(impl_->call(args)); }

Function Function::Named(std::string name) const {
  internal::FunctionImpl impl = *impl_;
  impl.name = std::move(name);
  return Function(std::move(impl));
}

Arrays Function::WrongCount(size_t want, size_t got) {
  if (Trace* trace = Trace::Current()) {
    trace->Fail(TypeError(StrCat("a function of ", want, " arrays is called with ", got)));
  }
  return {};
}

Function NamedCall(std::string name, Function f) {
  internal::FunctionImpl impl;
  impl.name = name;
  impl.params = f.params();
  impl.call = [name = std::move(name), f](std::span<const Array> args) {
    Trace* trace = Trace::Current();
    const bool was_ok = trace != nullptr && trace->ok();
    Arrays out = f.Call(args);
    if (was_ok) trace->Annotate(StrCat("in ", name));
    return out;
  };
  return Function(std::move(impl));
}

Result<ir::Program> MakeJaxpr(const Function& f, const std::vector<Aval>& args,
                              const TraceOptions& options) {
  const auto trace = std::make_shared<Trace>(options);
  const Trace::Scope scope(trace.get());
  std::optional<pipeline::Callee> callee = trace->TraceFunction(f, args, Trace::Constants::kOwn);
  if (!callee) return trace->status();
  ir::Program program;
  program.closed = ir::Closed(std::move(callee->jaxpr));
  program.fun_name = std::move(callee->fun_name);
  return program;
}

}  // namespace megalith::tracing
