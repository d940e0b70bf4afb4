// The StableHLO program in memory: modules, functions, operations, regions.
//
// A function owns one dense table of value types; operations name values by index into it, and
// nested regions capture values of the enclosing ones by the same index, as in MLIR. Every region
// has one block. Plain data: build it with FuncBuilder (builder.h) or ParseModule (parser.h), check
// it with Verify (verify.h), then treat it as immutable; an immutable Module may be read from any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/attr.h"
#include "common/programs/stablehlo/types.h"

namespace megalith::stablehlo {

struct OpDef;  // op_def.h
struct Op;

// One block: its arguments and its operations; the last operation is the terminator.
struct Region {
  std::vector<ValueId> args;
  std::vector<Op> ops;
};

// One operation. Results are consecutive values.
struct Op {
  const OpDef* def = nullptr;
  std::vector<ValueId> operands;
  ValueId first_result = kNoValue;
  uint32_t num_results = 0;
  uint32_t line = 0;  // of the text it was parsed from; 0 if it was built
  AttrDict attrs;     // those the op defines and discardable ones, sorted by name
  std::vector<Region> regions;

  // "stablehlo.add".
  std::string_view name() const;
  ValueId result(uint32_t i = 0) const { return first_result + i; }
  const Attr& attr(std::string_view attr_name) const { return FindAttr(attrs, attr_name); }
  // The attribute, or its default from the op's row in terms of the operand types of `func` (absent
  // if it has none).
  Attr attr_or_default(std::string_view attr_name, const struct Func& func) const;
};

enum class Visibility : uint8_t { kUnspecified, kPublic, kPrivate, kNested };

struct Func {
  std::string name;
  Visibility visibility = Visibility::kUnspecified;
  std::vector<TensorType> types;  // of every value, by ValueId
  Region body;                    // args are the parameters
  std::vector<TensorType> results;
  std::vector<AttrDict> arg_attrs;     // empty, or one per parameter
  std::vector<AttrDict> result_attrs;  // empty, or one per result
  AttrDict attrs;                      // discardable attributes of the function
  uint32_t line = 0;

  const TensorType& type(ValueId v) const { return types[v]; }
  ValueId AddValue(TensorType type) {
    types.push_back(std::move(type));
    return static_cast<ValueId>(types.size() - 1);
  }
  std::vector<TensorType> input_types() const;
};

class Module {
 public:
  // Without '@'; empty for an anonymous module.
  std::string name;
  AttrDict attrs;
  // Top-level declarations of other dialects that mean nothing on one device (`sdy.mesh @m =
  // <...>`), kept as text.
  std::vector<std::string> declarations;

  // kInvalidArgument if a function of that name exists. The returned pointer is valid until the
  // next call.
  Result<Func*> AddFunc(Func func);
  const std::vector<Func>& funcs() const { return funcs_; }
  std::vector<Func>& mutable_funcs() { return funcs_; }
  // nullptr if there is none.
  const Func* Find(std::string_view func_name) const;
  // The function called from outside: @main, or the only public one. kInvalidArgument if that is
  // not unique.
  Result<const Func*> Entry() const;
  // Number of operations in all functions, nested ones included.
  size_t CountOps() const;

 private:
  std::vector<Func> funcs_;
  std::unordered_map<std::string, size_t> index_;
};

// Calls `visit` for every operation of `region` and the regions below it, outer before inner, in
// program order. Recursion depth is the nesting depth, which the parser and the verifier bound.
template <typename Visit>
void ForEachOp(const Region& region, const Visit& visit) {
  for (const Op& op : region.ops) {
    visit(op);
    for (const Region& inner : op.regions) ForEachOp(inner, visit);
  }
}

}  // namespace megalith::stablehlo
