#include "clients/pjrt/hlo_program.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "clients/pjrt/proto_writer.h"
#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::pjrt {
namespace {

using stablehlo::Attr;
using stablehlo::AttrKind;
using stablehlo::Func;
using stablehlo::Module;
using stablehlo::Op;
using stablehlo::Region;
using stablehlo::TensorType;
using stablehlo::ValueId;
using tensor::Dims;
using tensor::DType;

constexpr int64_t kMainId = 1;
constexpr int64_t kEntryId = 2;  // of the computation around the main one
constexpr int64_t kFirstInnerId = 3;
constexpr int64_t kMostLiteralElements = 16;
constexpr int64_t kTuple = 13, kToken = 17;

// xla.PrimitiveType.
int64_t PrimitiveType(DType dtype) {
  struct Row {
    DType dtype;
    int64_t code;
  };
  constexpr Row kRows[] = {{DType::kBool, 1},        {DType::kI8, 2},
                           {DType::kI16, 3},         {DType::kI32, 4},
                           {DType::kI64, 5},         {DType::kU8, 6},
                           {DType::kU16, 7},         {DType::kU32, 8},
                           {DType::kU64, 9},         {DType::kF16, 10},
                           {DType::kF32, 11},        {DType::kF64, 12},
                           {DType::kC64, 15},        {DType::kBF16, 16},
                           {DType::kC128, 18},       {DType::kF8E5M2, 19},
                           {DType::kF8E4M3FN, 20},   {DType::kI4, 21},
                           {DType::kU4, 22},         {DType::kF8E4M3B11FNUZ, 23},
                           {DType::kF8E5M2FNUZ, 24}, {DType::kF8E4M3FNUZ, 25},
                           {DType::kI2, 26},         {DType::kU2, 27},
                           {DType::kF8E4M3, 28},     {DType::kF8E3M4, 29},
                           {DType::kF4E2M1FN, 32},   {DType::kF8E8M0FNU, 33}};
  for (const Row& row : kRows) {
    if (row.dtype == dtype) return row.code;
  }
  return 6;  // keys and the like do not reach compilers
}

// xla.ShapeProto.
ProtoWriter ArrayShape(DType dtype, const Dims& dims, const Order& order) {
  ProtoWriter layout;
  layout.Ints(1, MinorToMajor(order, dims.size())).Int(16, 1);
  ProtoWriter shape;
  shape.Int(2, PrimitiveType(dtype)).Ints(3, dims).Message(5, layout);
  return shape.Ints(6, Dims(dims.size(), 0));
}
ProtoWriter ShapeOf(const TensorType& type) {
  return type.is_token ? ProtoWriter().Int(2, kToken) : ArrayShape(type.dtype, type.shape, {});
}
ProtoWriter ShapeOf(const HloArray& array) {
  return array.token ? ProtoWriter().Int(2, kToken)
                     : ArrayShape(array.spec.dtype, array.spec.shape, array.order);
}
ProtoWriter TupleOf(const std::vector<ProtoWriter>& shapes) {
  ProtoWriter tuple;
  tuple.Int(2, kTuple);
  for (const ProtoWriter& s : shapes) tuple.Message(4, s);
  return tuple;
}
ProtoWriter OneOrTuple(const std::vector<ProtoWriter>& shapes) {
  return shapes.size() == 1 ? shapes[0] : TupleOf(shapes);
}

// xla.HloComputationProto while it is written.
class Computation {
 public:
  Computation(std::string name, int64_t id) : name_(std::move(name)), id_(id) {}

  int64_t Add(std::string_view opcode, const ProtoWriter& shape, std::span<const int64_t> operands,
              const ProtoWriter& extra = {}) {
    // Hosts keep tables by the lower half of an id.
    const int64_t number = ++count_, id = id_ << 32 | number;
    const std::string name =
        id_ == kMainId ? StrCat(opcode, ".", number) : StrCat(opcode, ".", id_, ".", number);
    ProtoWriter op;
    op.Bytes(1, name).Bytes(2, opcode).Message(3, shape).Raw(extra.bytes());
    instructions_.Message(2, op.Int(35, id).Ints(36, operands));
    return id;
  }
  int64_t AddParameter(const ProtoWriter& shape) {
    const auto number = static_cast<int64_t>(parameters_.size());
    parameters_.push_back(shape);
    return Add("parameter", shape, {}, ProtoWriter().Int(9, number));
  }
  int64_t AddTupleElement(const ProtoWriter& shape, int64_t tuple, size_t i) {
    return Add("get-tuple-element", shape, {&tuple, 1},
               ProtoWriter().Int(13, static_cast<int64_t>(i)));
  }
  // Returns one value, or a tuple of another number.
  void Return(std::span<const int64_t> values, std::vector<ProtoWriter> shapes) {
    root_ = values.size() == 1 ? values[0] : Add("tuple", TupleOf(shapes), values);
    result_ = OneOrTuple(shapes);
  }

  // xla.ProgramShapeProto.
  ProtoWriter ProgramShape() const {
    ProtoWriter shape;
    for (const ProtoWriter& p : parameters_) shape.Message(1, p);
    shape.Message(2, result_);
    for (size_t i = 0; i < parameters_.size(); ++i) shape.Bytes(3, StrCat("p", i));
    return shape;
  }
  ProtoWriter Finish() const {
    ProtoWriter all;
    all.Bytes(1, name_).Raw(instructions_.bytes()).Message(4, ProgramShape());
    return all.Int(5, id_).Int(6, root_);
  }
  const std::string& name() const { return name_; }
  const std::vector<ProtoWriter>& parameters() const { return parameters_; }

 private:
  const std::string name_;
  const int64_t id_;
  int64_t count_ = 0;
  ProtoWriter instructions_, result_;
  std::vector<ProtoWriter> parameters_;
  int64_t root_ = 0;
};

// The HLO name of an operation that needs nothing but operands, or empty.
std::string_view PlainOpcode(std::string_view name) {
  struct Row {
    std::string_view name, opcode;
  };
  constexpr Row kSpelled[] = {{"round_nearest_afz", "round-nearest-afz"},
                              {"round_nearest_even", "round-nearest-even"},
                              {"shift_left", "shift-left"},
                              {"shift_right_logical", "shift-right-logical"},
                              {"shift_right_arithmetic", "shift-right-arithmetic"},
                              {"exponential_minus_one", "exponential-minus-one"},
                              {"log_plus_one", "log-plus-one"},
                              {"is_finite", "is-finite"},
                              {"count_leading_zeros", "count-leading-zeros"},
                              {"bitcast_convert", "bitcast-convert"},
                              {"optimization_barrier", ""}};
  constexpr std::string_view kSame[] = {
      "add",         "subtract", "multiply", "divide", "remainder", "power", "maximum", "minimum",
      "atan2",       "and",      "or",       "xor",    "complex",   "not",   "negate",  "abs",
      "exponential", "log",      "sqrt",     "rsqrt",  "cbrt",      "tanh",  "tan",     "sine",
      "cosine",      "logistic", "sign",     "floor",  "ceil",      "real",  "imag",    "popcnt",
      "convert",     "select",   "clamp",    "reshape"};
  if (!name.starts_with("stablehlo.")) return {};
  name.remove_prefix(std::string_view("stablehlo.").size());
  for (const Row& row : kSpelled) {
    if (row.name == name) return row.opcode;
  }
  const auto* const same = std::ranges::find(kSame, name);
  return same == std::end(kSame) ? std::string_view() : *same;
}

// Writes the computations of one module.
class Emitter {
 public:
  explicit Emitter(const Module& module) : module_(module) {}

  std::string Run() {
    const Result<const Func*> entry = module_.Entry();
    if (!entry.ok() || module_.CountOps() > kMostHloOps) return {};
    EmitRegion((*entry)->body, **entry, "main", kMainId);
    return out_.bytes();
  }

 private:
  struct Scope {
    const Func* func;
    Computation* computation;
    std::unordered_map<ValueId, int64_t> ids;
  };

  // A computation of what a region does; values from outside of it become further parameters. Says
  // whether there are such.
  bool EmitRegion(const Region& region, const Func& func, std::string name, int64_t id) {
    Computation computation(std::move(name), id);
    Scope scope{&func, &computation, {}};
    for (const ValueId v : region.args) {
      scope.ids[v] = computation.AddParameter(ShapeOf(func.type(v)));
    }
    for (const Op& op : region.ops) {
      if (!op.def->has(stablehlo::kTerminator)) {
        EmitOp(op, &scope);
        continue;
      }
      std::vector<ProtoWriter> shapes;
      for (const ValueId v : op.operands) shapes.push_back(ShapeOf(func.type(v)));
      computation.Return(Ids(op.operands, &scope), std::move(shapes));
      break;
    }
    out_.Message(3, computation.Finish());
    return computation.parameters().size() > region.args.size();
  }

  // Of a region of an operation.
  int64_t EmitInner(const Region& region, const Func& func, bool* captures) {
    const int64_t id = next_computation_++;
    *captures = EmitRegion(region, func, StrCat("region.", id), id) || *captures;
    return id;
  }

  static std::vector<int64_t> Ids(std::span<const ValueId> values, Scope* scope) {
    std::vector<int64_t> ids;
    for (const ValueId v : values) {
      auto [it, first] = scope->ids.try_emplace(v, 0);
      if (first) it->second = scope->computation->AddParameter(ShapeOf(scope->func->type(v)));
      ids.push_back(it->second);
    }
    return ids;
  }

  void EmitOp(const Op& op, Scope* scope) {
    std::vector<ProtoWriter> shapes;
    for (uint32_t r = 0; r < op.num_results; ++r) {
      shapes.push_back(ShapeOf(scope->func->type(op.result(r))));
    }
    std::vector<int64_t> operands = Ids(op.operands, scope);
    ProtoWriter extra;
    std::string_view opcode = PlainOpcode(op.name());
    if (opcode.empty()) opcode = WithDimensions(op, &operands, scope, &extra);
    if (opcode.empty()) opcode = Calling(op, scope, &extra);
    const int64_t id = scope->computation->Add(opcode, OneOrTuple(shapes), operands, extra);
    if (op.num_results == 1) scope->ids[op.result()] = id;
    for (uint32_t r = 0; op.num_results > 1 && r < op.num_results; ++r) {
      scope->ids[op.result(r)] = scope->computation->AddTupleElement(shapes[r], id, r);
    }
  }

  // Operations whose attributes are lists of numbers; empty for others.
  static std::string_view WithDimensions(const Op& op, std::vector<int64_t>* operands, Scope* scope,
                                         ProtoWriter* extra) {
    const std::string_view name = op.name();
    if (name == "stablehlo.broadcast_in_dim") {
      Broadcast(op, operands, scope, extra);
      return "broadcast";
    }
    if (name == "stablehlo.transpose") {
      extra->Ints(14, op.attr("permutation").AsInts());
      return "transpose";
    }
    if (name == "stablehlo.reverse") {
      extra->Ints(14, op.attr("dimensions").AsInts());
      return "reverse";
    }
    if (name == "stablehlo.concatenate" || name == "stablehlo.iota") {
      const int64_t d = op.attr(name == "stablehlo.iota" ? "iota_dimension" : "dimension").AsInt();
      extra->Ints(14, {&d, 1});
      return name == "stablehlo.iota" ? "iota" : "concatenate";
    }
    if (name == "stablehlo.slice") {
      const auto start = op.attr("start_indices").AsInts();
      const auto limit = op.attr("limit_indices").AsInts();
      const auto strides = op.attr("strides").AsInts();
      for (size_t d = 0; d < start.size(); ++d) {
        extra->Message(17, ProtoWriter().Int(1, start[d]).Int(2, limit[d]).Int(3, strides[d]));
      }
      return "slice";
    }
    if (name == "stablehlo.dot_general") {
      const stablehlo::DotDims& d = op.attr("dot_dimension_numbers").AsDot();
      ProtoWriter dims;
      dims.Ints(1, d.lhs_contract).Ints(2, d.rhs_contract).Ints(3, d.lhs_batch);
      extra->Message(30, dims.Ints(4, d.rhs_batch));
      return "dot";
    }
    if (name == "stablehlo.compare") return Compare(op, extra);
    return name == "stablehlo.constant" ? Constant(op.attr("value").AsDense(), extra) : "";
  }

  // HLO's does not stretch dimensions of size 1: they are dropped before.
  static void Broadcast(const Op& op, std::vector<int64_t>* operands, Scope* scope,
                        ProtoWriter* extra) {
    const TensorType& from = scope->func->type(op.operands[0]);
    const TensorType& to = scope->func->type(op.result());
    const auto dims = op.attr("broadcast_dimensions").AsInts();
    Dims kept, sizes;
    for (size_t d = 0; d < dims.size(); ++d) {
      if (from.shape[d] != to.shape[static_cast<size_t>(dims[d])]) continue;
      kept.push_back(dims[d]);
      sizes.push_back(from.shape[d]);
    }
    if (sizes.size() < dims.size()) {
      (*operands)[0] =
          scope->computation->Add("reshape", ArrayShape(from.dtype, sizes, {}), *operands);
    }
    extra->Ints(14, kept);
  }

  static std::string_view Compare(const Op& op, ProtoWriter* extra) {
    std::string direction(op.attr("comparison_direction").EnumName());
    extra->Bytes(63, direction);
    const Attr& type = op.attr("compare_type");
    if (type.kind() == AttrKind::kEnum) extra->Bytes(72, type.EnumName());
    return "compare";
  }

  // Empty if it has too many elements, or of types that print as well without.
  static std::string_view Constant(const stablehlo::Dense& dense, ProtoWriter* extra) {
    const int64_t n = stablehlo::ElementCount(dense.type);
    const bool one = n == 1 || (!dense.splat && n <= kMostLiteralElements);
    struct Row {
      DType dtype;
      uint32_t field;
    };
    constexpr Row kFixed[] = {
        {DType::kF32, 8}, {DType::kF64, 9}, {DType::kF16, 11}, {DType::kBF16, 13}};
    constexpr Row kVarying[] = {
        {DType::kBool, 2}, {DType::kI32, 4}, {DType::kI64, 5}, {DType::kU32, 6}, {DType::kU64, 7}};
    if (!one) return {};
    ProtoWriter literal;
    literal.Message(1, ShapeOf(dense.type));
    for (const Row& row : kFixed) {
      if (row.dtype != dense.type.dtype) continue;
      const auto bytes = dense.data.bytes();
      literal.Bytes(row.field, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      extra->Message(8, literal);
      return "constant";
    }
    for (const Row& row : kVarying) {
      if (row.dtype != dense.type.dtype) continue;
      std::vector<int64_t> values;
      for (int64_t i = 0; i < n; ++i) values.push_back(dense.data.IntAt(dense.splat ? 0 : i));
      literal.Ints(row.field, values);
      extra->Message(8, literal);
      return "constant";
    }
    return {};
  }

  // Calls, reductions, and whatever has no form of its own.
  std::string_view Calling(const Op& op, Scope* scope, ProtoWriter* extra) {
    if (op.def->has(stablehlo::kCallsFunction) && op.regions.empty()) {
      for (const stablehlo::NamedAttr& a : op.attrs) {
        const Func* const callee =
            a.value.kind() == AttrKind::kSymbol ? module_.Find(a.value.AsText()) : nullptr;
        if (callee == nullptr) continue;
        const int64_t id = IdOf(*callee);
        extra->Ints(38, {&id, 1});
        return "call";
      }
    }
    bool captures = false;
    std::vector<int64_t> called;
    for (const Region& r : op.regions) called.push_back(EmitInner(r, *scope->func, &captures));
    extra->Ints(38, called);
    if (op.name() == "stablehlo.reduce" && !captures) {
      extra->Ints(14, op.attr("dimensions").AsInts());
      return "reduce";
    }
    const bool foreign = op.name() == "stablehlo.custom_call";
    extra->Bytes(28, foreign ? op.attr("call_target_name").AsText() : std::string(op.name()));
    const Attr& config = op.attr("backend_config");
    if (foreign && config.kind() == AttrKind::kString) extra->Bytes(43, config.AsText());
    return "custom-call";
  }

  int64_t IdOf(const Func& callee) {
    const auto known = functions_.find(&callee);
    if (known != functions_.end()) return known->second;
    const int64_t id = next_computation_++;
    functions_[&callee] = id;
    EmitRegion(callee.body, callee, StrCat(callee.name, ".", id), id);
    return id;
  }

  const Module& module_;
  ProtoWriter out_;
  int64_t next_computation_ = kFirstInnerId;
  std::unordered_map<const Func*, int64_t> functions_;
};

bool IsStoredAsSeen(const HloArray& a) {
  return a.token || (a.order.empty() && a.spec == a.stored);
}

ProtoWriter StoredShape(const HloArray& a) {
  return a.token ? ShapeOf(a) : ArrayShape(a.stored.dtype, a.stored.shape, {});
}

// The stored array of an argument, or the result from the stored array. In HLO another order of the
// same bytes is a bitcast.
int64_t Convert(const HloArray& a, const ProtoWriter& to, std::string_view name, int64_t from,
                Computation* entry) {
  if (IsStoredAsSeen(a)) return from;
  if (Stored(a.spec.shape, a.order) == a.stored.shape) return entry->Add("bitcast", to, {&from, 1});
  return entry->Add("custom-call", to, {&from, 1}, ProtoWriter().Bytes(28, name));
}

}  // namespace

std::string HloComputations(const Module& module) { return Emitter(module).Run(); }

std::string EncodeHloProgram(const HloProgram& program) {
  // Around the computations, which take arrays as they are stored.
  Computation entry("entry", kEntryId);
  std::vector<int64_t> stored, results;
  std::vector<ProtoWriter> stored_shapes, result_shapes;
  for (const HloArray& a : program.inputs) {
    const int64_t p = entry.AddParameter(ShapeOf(a));
    stored.push_back(Convert(a, StoredShape(a), "megalith.gather", p, &entry));
  }
  for (const HloArray& a : program.outputs) {
    stored_shapes.push_back(StoredShape(a));
    result_shapes.push_back(ShapeOf(a));
  }
  const bool known = !program.computations.empty();
  ProtoWriter called;
  if (known) {
    called.Ints(38, {&kMainId, 1});
  } else {
    called.Bytes(28, "megalith.program");
  }
  const int64_t call =
      entry.Add(known ? "call" : "custom-call", OneOrTuple(stored_shapes), stored, called);
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    const bool tuple = program.outputs.size() != 1;
    const int64_t r = tuple ? entry.AddTupleElement(stored_shapes[i], call, i) : call;
    results.push_back(Convert(program.outputs[i], result_shapes[i], "megalith.part", r, &entry));
  }
  entry.Return(results, std::move(result_shapes));
  const bool around = !known || !std::ranges::all_of(program.inputs, IsStoredAsSeen) ||
                      !std::ranges::all_of(program.outputs, IsStoredAsSeen);
  const ProtoWriter shape = entry.ProgramShape();
  ProtoWriter module;
  module.Bytes(1, program.name).Bytes(2, around ? "entry" : "main").Raw(program.computations);
  if (around) module.Message(3, entry.Finish());
  module.Message(4, shape).Int(5, 1).Int(6, around ? kEntryId : kMainId).Raw(program.shardings);
  ProtoWriter config;
  config.Message(1, shape).Int(4, 1).Int(5, program.num_partitions);
  return ProtoWriter().Message(1, module).Message(2, config).bytes();
}

}  // namespace megalith::pjrt
