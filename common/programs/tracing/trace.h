// The running trace. Internal to the front end.
//
// A traced C++ function is ordinary code, so what it calls must find the program it adds to: the
// running trace is the one thread-local variable of the libraries. MakeJaxpr sets it for the time
// of its call and puts back what was there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/programs/ir/builder.h"
#include "common/programs/ir/emit.h"
#include "common/programs/pipeline/transforms.h"
#include "common/programs/tracing/array.h"
#include "common/programs/tracing/function.h"

namespace megalith::tracing {

using ir::Builder;
using ir::ParamValue;
using ir::Value;
using Avals = std::vector<Aval>;
using Values = std::vector<Value>;

// One call of MakeJaxpr: the session, a frame for every function that is being traced, innermost
// last, and the first error. Not thread-safe. Arrays keep it alive, which is what makes a leaked
// array harmless.
class Trace : public std::enable_shared_from_this<Trace> {
 public:
  // Where array constants of a frame belong.
  enum class Constants : uint8_t {
    kOwn,      // here: jit and whole programs keep theirs
    kOutside,  // in the frame outside, which passes them in: loops, branches, rules
  };

  explicit Trace(const TraceOptions& options);

  // nullptr outside of MakeJaxpr.
  static Trace* Current();
  // Makes a trace current for a scope.
  class Scope {
   public:
    explicit Scope(Trace* trace);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Trace* const outer_;
  };

  ir::Session& session() { return session_; }
  Builder& builder() { return frames_.back()->builder; }
  bool x64() const { return session_.x64(); }
  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }
  // Records the first error, with its place; later ones are its consequences.
  void Fail(const Status& status, std::optional<Place> where = {});
  // Takes over an error of the innermost builder.
  bool CheckBuilder(std::optional<Place> where = {});

  // The value of an array in the innermost frame; a number becomes a literal of its weak type.
  // Fails for arrays without value and for those of a function that has ended.
  Value Use(const Array& a, std::optional<Place> where = {});
  Values UseAll(std::span<const Array> arrays);
  Array Wrap(const Value& v);
  Arrays WrapAll(std::span<const Value> values);
  // A constant, in the frame where it belongs.
  Value Const(const tensor::Tensor& value);

  // Traces `f` in a frame of its own. What it uses of frames outside is captured. nullopt after an
  // error. `f` gets arrays of the given types.
  std::optional<pipeline::Callee> TraceFunction(const Function& f, const Avals& inputs,
                                                Constants constants);
  // The same once per function, types and live captured values.
  std::optional<pipeline::Callee> TraceOnce(const Function& f, const Avals& inputs);

  // Derivative rules of the functions called so far; places stay valid, references do not.
  ir::RuleSet& rules() { return *rules_; }
  std::shared_ptr<const ir::RuleSet> shared_rules() const { return rules_; }

  // Adds `context` to an error recorded while a scope was active.
  void Annotate(std::string_view context);

 private:
  struct Frame {
    Frame(ir::Session& session, uint64_t id, Constants constants)
        : builder(session), id(id), constants(constants) {}
    Builder builder;
    const uint64_t id;
    const Constants constants;
  };
  struct Known;
  bool IsActive(uint64_t frame) const;

  ir::Session session_;
  std::vector<std::unique_ptr<Frame>> frames_;
  uint64_t next_frame_ = 1;
  std::shared_ptr<ir::RuleSet> rules_ = std::make_shared<ir::RuleSet>();
  Status status_;
};

// The literal of a number in a dtype; the number's own if `dtype` is kInvalid.
ir::Literal LiteralOf(const Number& n, DType dtype, bool weak, bool x64);
// The type a number has as an array.
Aval NumberAval(const Number& n, bool x64);

// Runs `body` (Trace&, Builder&) -> Value as one operation at a place of the user's source.
template <typename Body>
Array Operation(const Place& where, Body body) {
  Trace* trace = Trace::Current();
  if (trace == nullptr || !trace->ok()) return Array();
  const Value v = body(*trace, trace->builder());
  if (!trace->CheckBuilder(where)) return Array();
  return trace->Wrap(v);
}
// The same for operations of several results.
template <typename Body>
Arrays Operations(const Place& where, Body body) {
  Trace* trace = Trace::Current();
  if (trace == nullptr || !trace->ok()) return {};
  const Values v = body(*trace, trace->builder());
  if (!trace->CheckBuilder(where)) return {};
  return trace->WrapAll(v);
}

}  // namespace megalith::tracing
