#include "common/programs/spmd/unroll.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/programs/spmd/assemble.h"
#include "common/programs/spmd/collectives.h"
#include "common/programs/spmd/frame.h"
#include "common/programs/spmd/partitioned.h"
#include "common/programs/spmd/writer.h"
#include "common/programs/stablehlo/op_def.h"
#include "common/programs/stablehlo/verify.h"

namespace megalith::spmd {
namespace {

using stablehlo::Attr;
using stablehlo::AttrDict;
using stablehlo::Func;
using stablehlo::Module;
using stablehlo::Op;
using stablehlo::Region;
using stablehlo::TensorType;

constexpr int kDeepestCalls = 256;

bool NamesDevice(const Op& op) {
  return op.name() == "stablehlo.partition_id" || op.name() == "stablehlo.replica_id";
}
// What `sdy.sharding_constraint` was before Shardy.
bool IsHloConstraint(const Op& op) {
  return op.name() == "stablehlo.custom_call" && op.operands.size() == 1 && op.num_results == 1 &&
         op.attr("call_target_name").AsText() == "Sharding" &&
         op.attr("mhlo.sharding").kind() == stablehlo::AttrKind::kString;
}

class Unroller {
 public:
  Unroller(const Module& module, int64_t devices) : module_(module), devices_(devices) {}

  Result<Unrolled> Run() {
    ASSIGN_OR_RETURN(meshes_, MeshesOf(module_));
    ASSIGN_OR_RETURN(const Func* const main, module_.Entry());
    whole_.device = {0};
    whole_.of_device.assign(static_cast<size_t>(devices_), 0);
    out_.name = main->name;
    out_.visibility = stablehlo::Visibility::kPublic;
    out_.results = main->results;
    out_.arg_attrs = main->arg_attrs;
    out_.result_attrs = main->result_attrs;
    Frame frame{main, &whole_, {}};
    Unrolled made;
    RETURN_IF_ERROR(ShardingsOf(main->input_types(), main->arg_attrs, &made.inputs));
    for (size_t i = 0; i < main->body.args.size(); ++i) {
      const ValueId v = main->body.args[i];
      const bool terms = made.inputs[i].Terms() > 1;
      const TensorType& type = main->type(v);
      const ValueId arg = out_.AddValue(terms ? Stacked(type, made.inputs[i].Terms()) : type);
      out_.body.args.push_back(arg);
      const ValueId whole = terms ? Unstack(arg, made.inputs[i]) : arg;
      frame.Set(v, 0, whole);
      Note(whole, made.inputs[i]);
    }
    RETURN_IF_ERROR(Ops(frame, main->body, {0}));
    Op end;
    end.def = main->body.ops.back().def;
    for (const ValueId v : main->body.ops.back().operands) end.operands.push_back(frame.Get(v, 0));
    RETURN_IF_ERROR(ShardingsOf(main->results, main->result_attrs, &made.outputs));
    // A result of which nothing is said lies like what it was made from.
    for (size_t i = 0; i < made.outputs.size(); ++i) {
      const bool said = i < main->result_attrs.size() &&
                        (stablehlo::FindAttr(main->result_attrs[i], "sdy.sharding").present() ||
                         stablehlo::FindAttr(main->result_attrs[i], "mhlo.sharding").present());
      const auto known = lies_.find(end.operands[i]);
      if (!said && known != lies_.end()) made.outputs[i] = known->second;
      made.stored.push_back(made.outputs[i]);
      if (main->results[i].is_token) continue;
      ASSIGN_OR_RETURN(ValueId stacked, StackCopies(end.operands[i], made.outputs[i],
                                                    main->results[i].shape, &made.stored[i]));
      if (made.outputs[i].Terms() > 1) {
        ASSIGN_OR_RETURN(stacked, Stack(end.operands[i], made.outputs[i]));
      }
      if (stacked == kNoValue) continue;
      end.operands[i] = stacked;
      out_.results[i] = writer_.Type(stacked);
    }
    out_.body.ops.push_back(std::move(end));
    made.inspections = std::move(inspections_);
    made.module.name = module_.name;
    RETURN_IF_ERROR(internal::StatusOf(made.module.AddFunc(std::move(out_))));
    // Groups that stand for the same instances may give other types than the program says.
    RETURN_IF_ERROR(stablehlo::Verify(made.module).Annotate("as one program of all devices"));
    return made;
  }

 private:
  Status ShardingsOf(const std::vector<TensorType>& types, const std::vector<AttrDict>& attrs,
                     std::vector<Sharding>* out) const {
    for (size_t i = 0; i < types.size(); ++i) {
      const Attr sharding =
          i < attrs.size() ? stablehlo::FindAttr(attrs[i], "sdy.sharding") : Attr();
      Sharding s;
      const Attr hlo = i < attrs.size() ? stablehlo::FindAttr(attrs[i], "mhlo.sharding") : Attr();
      if (sharding.kind() == stablehlo::AttrKind::kOpaque) {
        ASSIGN_OR_RETURN(s, ParseSharding(sharding.AsText(), meshes_, types[i].rank()));
      } else if (hlo.kind() == stablehlo::AttrKind::kString) {
        ASSIGN_OR_RETURN(s, ParseHloSharding(hlo.AsText(), types[i].rank(), devices_));
      }
      if (types[i].is_token) s.unreduced.clear();
      RETURN_IF_ERROR(CheckTerms(s));
      out->push_back(std::move(s));
    }
    return OkStatus();
  }
  Status CheckTerms(const Sharding& s) const {
    if (s.Terms() <= devices_) return OkStatus();
    return InvalidArgument(
        StrCat("a sum of ", s.Terms(), " terms in a program for ", devices_, " devices"));
  }

  // --- where whole arrays lie: what is said of them, carried through operations ---

  void Note(ValueId v, const Sharding& sharding) {
    if (sharding.IsReplicated() || writer_.Type(v).is_token) return;
    const bool divides = PartOf(sharding, writer_.Type(v).shape, 0).ok();
    if (!divides) return;
    Sharding& known = lies_[v] = sharding;
    known.unreduced.clear();  // said anew where it is wanted
  }
  void NoteResults(const Op& op) {
    for (uint32_t r = 0; r < op.num_results; ++r) NoteResult(op, op.result(r));
  }
  void NoteResult(const Op& op, ValueId result) {
    for (const ValueId v : op.operands) {
      const auto known = lies_.find(v);
      if (known == lies_.end()) continue;
      const Shape &from = writer_.Type(v).shape, &to = writer_.Type(result).shape;
      if (const auto moved = AfterMoving(op, from, to, known->second)) return Note(result, *moved);
      if (!op.def->has(stablehlo::kElementwise) || from != to) continue;
      const Sharding sharding = known->second;
      lies_.insert_or_assign(result, sharding);
      return;
    }
  }
  Status Inspect(const Frame& frame, const Op& op) {
    const ValueId v = frame.Get(op.operands[0], 0);
    Inspection made;
    ASSIGN_OR_RETURN(made.id, InspectionId(op));
    made.rank = writer_.Type(v).rank();
    made.manual = frame.instances->manual;
    const auto known = lies_.find(v);
    if (known != lies_.end()) made.sharding = known->second;
    inspections_.push_back(std::move(made));
    return OkStatus();
  }

  // --- sums of which devices have terms ---

  static TensorType Stacked(TensorType type, int64_t terms) {
    type.shape.insert(0, terms);
    return type;
  }
  // The sum of these, which are remembered as its terms.
  ValueId Sum(std::vector<ValueId> terms, const Sharding& sharding) {
    ValueId sum = terms[0];
    for (size_t t = 1; t < terms.size(); ++t) {
      const TensorType type = writer_.Type(sum);
      sum = writer_.Add("stablehlo.add", {sum, terms[t]}, {}, {type}).result();
    }
    terms_.insert_or_assign(sum, Terms{sharding, std::move(terms)});
    return sum;
  }
  ValueId Unstack(ValueId stacked, const Sharding& sharding) {
    TensorType type = writer_.Type(stacked);
    type.shape.erase(0);
    std::vector<ValueId> terms;
    for (int64_t t = 0; t < sharding.Terms(); ++t) {
      terms.push_back(writer_.Reshape(writer_.Chunk(stacked, 0, sharding.Terms(), t), type));
    }
    return Sum(std::move(terms), sharding);
  }
  Result<ValueId> Stack(ValueId v, const Sharding& sharding) {
    ASSIGN_OR_RETURN(std::vector<ValueId> terms, TermsOf(v, sharding));
    for (ValueId& term : terms) term = writer_.Reshape(term, Stacked(writer_.Type(term), 1));
    return writer_.Concat(terms, 0);
  }

  // By position along the axes of the sharding. Of a value that is not known to be a sum, the first
  // term is all.
  Result<std::vector<ValueId>> TermsOf(ValueId v, const Sharding& sharding) {
    const auto known = terms_.find(v);
    if (known != terms_.end() && SameTerms(known->second.sharding, sharding)) {
      return known->second.values;
    }
    RETURN_IF_ERROR(CheckTerms(sharding));
    const TensorType type = writer_.Type(v);
    ASSIGN_OR_RETURN(const ValueId zero, writer_.Zeros(type));
    std::vector<ValueId> terms(static_cast<size_t>(sharding.Terms()), zero);
    terms[0] = v;
    return terms;
  }
  bool SameTerms(const Sharding& a, const Sharding& b) const {
    if (a.Terms() != b.Terms()) return false;
    for (int64_t d = 0; d < devices_; ++d) {
      if (a.TermOf(d) != b.TermOf(d)) return false;
    }
    return true;
  }

  // A product that is wanted as a sum: every device multiplies its part of the summed dimension.
  void SplitProduct(ValueId v, const Sharding& sharding) {
    const auto it = std::ranges::find_if(
        writer_.ops(), [&](const Op& op) { return op.num_results == 1 && op.result() == v; });
    if (it == writer_.ops().end() || it->name() != "stablehlo.dot_general") return;
    const Op dot = *it;
    const stablehlo::DotDims& dims = dot.attr("dot_dimension_numbers").AsDot();
    const int64_t n = sharding.Terms();
    if (dims.lhs_contract.empty() || n > devices_) return;
    const auto left = static_cast<size_t>(dims.lhs_contract[0]);
    const auto right = static_cast<size_t>(dims.rhs_contract[0]);
    if (writer_.Type(dot.operands[0]).shape[left] % n != 0) return;
    std::vector<ValueId> terms;
    for (int64_t t = 0; t < n; ++t) {
      const ValueId a = writer_.Chunk(dot.operands[0], left, n, t);
      const ValueId b = writer_.Chunk(dot.operands[1], right, n, t);
      const TensorType type = writer_.Type(v);
      terms.push_back(writer_.Add(dot.name(), {a, b}, dot.attrs, {type}).result());
    }
    terms_.insert_or_assign(v, Terms{sharding, std::move(terms)});
  }

  // --- regions and operations ---

  // All operations but the terminator, for the instances in `set`.
  Status Ops(Frame& frame, const Region& region, const Set& set) {
    for (size_t i = 0; i + 1 < region.ops.size(); ++i) {
      if (++written_ > kMostOps) {
        return ResourceExhausted(StrCat("the program has more than ", kMostOps, " operations on ",
                                        devices_, " devices"));
      }
      const Op& op = region.ops[i];
      const Status s = One(frame, op, set);
      if (!s.ok()) return s.Annotate(StrCat("op ", i, " (", op.name(), ")"));
    }
    return OkStatus();
  }

  Status One(Frame& frame, const Op& op, const Set& set) {
    if (op.def->has(stablehlo::kCallsFunction) && op.regions.empty()) return Call(frame, op, set);
    if (op.name() == "sdy.manual_computation") return Manual(frame, op, set);
    if (op.name() == "sdy.sharding_constraint") {
      for (const size_t k : set) frame.Set(op.result(), k, frame.Get(op.operands[0], k));
      // Inside of manual computations it names free axes: those of the whole array that a result
      // is, if it is not put together from parts.
      const ValueId v = frame.Get(op.operands[0], set[0]);
      ASSIGN_OR_RETURN(const Sharding sharding, ParseSharding(op.attr("sharding").AsText(), meshes_,
                                                              writer_.Type(v).rank()));
      // The same array may lie elsewhere before: only what follows is known.
      Note(v, sharding);
      if (frame.instances->manual) return OkStatus();
      if (sharding.Terms() > 1 && !terms_.contains(v)) SplitProduct(v, sharding);
      return OkStatus();
    }
    if (IsHloConstraint(op)) {
      for (const size_t k : set) frame.Set(op.result(), k, frame.Get(op.operands[0], k));
      if (frame.instances->manual) return OkStatus();
      const ValueId v = frame.Get(op.operands[0], 0);
      ASSIGN_OR_RETURN(const Sharding sharding, ParseHloSharding(op.attr("mhlo.sharding").AsText(),
                                                                 writer_.Type(v).rank(), devices_));
      Note(v, sharding);
      return OkStatus();
    }
    if (IsInspection(op)) return Inspect(frame, op);
    if (!frame.instances->manual && TakesParts(op)) return CallPerDevice(frame, op);
    if (NamesDevice(op)) return DeviceId(frame, op, set);
    if (frame.instances->manual && IsCollective(op))
      return WriteCollective(frame, op, set, devices_, &writer_);
    if (set.size() > 1 && !op.regions.empty() && HoldsCollective(op)) return Joint(frame, op, set);
    if (set.size() > 1 && IsShared(frame, op, set)) {
      RETURN_IF_ERROR(Clone(frame, op, set[0]));
      for (uint32_t r = 0; r < op.num_results; ++r) {
        for (const size_t k : set) frame.Set(op.result(r), k, frame.Get(op.result(r), set[0]));
      }
      return OkStatus();
    }
    for (const size_t k : set) RETURN_IF_ERROR(Clone(frame, op, k));
    return OkStatus();
  }

  Status CallPerDevice(Frame& frame, const Op& op) {
    std::vector<ValueId> operands, results;
    std::vector<TensorType> types;
    for (const ValueId v : op.operands) operands.push_back(frame.Get(v, 0));
    for (uint32_t r = 0; r < op.num_results; ++r) types.push_back(frame.func->type(op.result(r)));
    const auto lies = [&](ValueId v) {
      const auto known = lies_.find(v);
      return known == lies_.end() ? nullptr : &known->second;
    };
    RETURN_IF_ERROR(WriteCallPerDevice(op, operands, types, lies, devices_, &writer_, &results));
    for (uint32_t r = 0; r < op.num_results; ++r) frame.Set(op.result(r), 0, results[r]);
    return OkStatus();
  }

  // True if every instance computes the same.
  static bool IsShared(const Frame& frame, const Op& op, const Set& set) {
    if (!op.def->has(stablehlo::kPure) || op.def->has(stablehlo::kIndeterminate) ||
        !op.regions.empty()) {
      return false;
    }
    return std::ranges::all_of(op.operands, [&](ValueId v) {
      return std::ranges::all_of(set,
                                 [&](size_t k) { return frame.Get(v, k) == frame.Get(v, set[0]); });
    });
  }

  bool HoldsCollective(const Region& region) {
    return std::ranges::any_of(region.ops, [&](const Op& op) { return HoldsCollective(op); });
  }
  bool HoldsCollective(const Op& op) {
    if (IsCollective(op)) return true;
    if (op.def->has(stablehlo::kCallsFunction)) {
      const Func* callee = CalleeOf(op);
      if (callee == nullptr) return false;
      const auto [it, first] = holds_.try_emplace(callee, false);
      if (first) {
        const bool holds = HoldsCollective(callee->body);
        holds_[callee] = holds;
        return holds;
      }
      return it->second;
    }
    return std::ranges::any_of(op.regions, [&](const Region& r) { return HoldsCollective(r); });
  }

  const Func* CalleeOf(const Op& op) const {
    for (const stablehlo::NamedAttr& a : op.attrs) {
      if (a.value.kind() != stablehlo::AttrKind::kSymbol) continue;
      if (const Func* f = module_.Find(a.value.AsText())) return f;
    }
    return nullptr;
  }

  Status Call(Frame& frame, const Op& op, const Set& set) {
    const Func* callee = CalleeOf(op);
    if (callee == nullptr) return InvalidArgument("calls a function that the module does not have");
    if (++calls_ > kDeepestCalls) return ResourceExhausted("calls are nested too deeply");
    Frame inner{callee, frame.instances, {}};
    for (size_t i = 0; i < callee->body.args.size(); ++i) {
      for (const size_t k : set) inner.Set(callee->body.args[i], k, frame.Get(op.operands[i], k));
    }
    RETURN_IF_ERROR(Ops(inner, callee->body, set).Annotate(StrCat("@", callee->name)));
    const Op& end = callee->body.ops.back();
    for (uint32_t r = 0; r < op.num_results; ++r) {
      for (const size_t k : set) frame.Set(op.result(r), k, inner.Get(end.operands[r], k));
    }
    --calls_;
    return OkStatus();
  }

  // A copy for one instance, nested regions included.
  Status Clone(Frame& frame, const Op& op, size_t k) {
    Op copy;
    copy.def = op.def;
    copy.attrs = op.attrs;
    copy.line = op.line;
    for (const ValueId v : op.operands) copy.operands.push_back(frame.Get(v, k));
    for (const Region& region : op.regions) {
      ASSIGN_OR_RETURN(Region made, CloneRegion(frame, region, {k}, false));
      copy.regions.push_back(std::move(made));
    }
    std::vector<TensorType> types;
    for (uint32_t r = 0; r < op.num_results; ++r) types.push_back(frame.func->type(op.result(r)));
    writer_.SetResults(&copy, types);
    for (uint32_t r = 0; r < op.num_results; ++r) frame.Set(op.result(r), k, copy.result(r));
    if (!frame.instances->manual) NoteResults(copy);
    writer_.ops().push_back(std::move(copy));
    return OkStatus();
  }

  // A region whose arguments and results are those of all instances, argument by argument; the
  // results of the first one alone if `one_result`.
  Result<Region> CloneRegion(Frame& frame, const Region& region, const Set& set, bool one_result) {
    Region made;
    for (const ValueId v : region.args) {
      for (const size_t k : set) {
        const ValueId arg = out_.AddValue(frame.func->type(v));
        made.args.push_back(arg);
        frame.Set(v, k, arg);
      }
    }
    std::vector<Op>* const outer = writer_.Enter(&made.ops);
    const Status s = Ops(frame, region, set);
    writer_.Enter(outer);
    RETURN_IF_ERROR(s);
    const Op& end = region.ops.back();
    Op copy;
    copy.def = end.def;
    copy.attrs = end.attrs;
    for (const ValueId v : end.operands) {
      for (const size_t k : set) {
        copy.operands.push_back(frame.Get(v, k));
        if (one_result) break;
      }
    }
    made.ops.push_back(std::move(copy));
    return made;
  }

  // A loop or a branch that holds collectives: all instances go through it together. What it
  // decides on must be equal on all devices, as it must be for devices that wait for each other.
  Status Joint(Frame& frame, const Op& op, const Set& set) {
    const bool loop = op.name() == "stablehlo.while";
    if (!loop && op.name() != "stablehlo.case" && op.name() != "stablehlo.if") {
      return Unimplemented("collectives inside of this operation");
    }
    Op copy;
    copy.def = op.def;
    copy.attrs = op.attrs;
    if (loop) {
      for (const ValueId v : op.operands) {
        for (const size_t k : set) copy.operands.push_back(frame.Get(v, k));
      }
    } else {
      copy.operands.push_back(frame.Get(op.operands[0], set[0]));
    }
    for (size_t r = 0; r < op.regions.size(); ++r) {
      ASSIGN_OR_RETURN(Region made, CloneRegion(frame, op.regions[r], set, loop && r == 0));
      copy.regions.push_back(std::move(made));
    }
    std::vector<TensorType> types;
    for (uint32_t r = 0; r < op.num_results; ++r) {
      types.insert(types.end(), set.size(), frame.func->type(op.result(r)));
    }
    writer_.SetResults(&copy, types);
    for (uint32_t r = 0; r < op.num_results; ++r) {
      for (size_t i = 0; i < set.size(); ++i) {
        frame.Set(op.result(r), set[i], copy.result(static_cast<uint32_t>(r * set.size() + i)));
      }
    }
    writer_.ops().push_back(std::move(copy));
    return OkStatus();
  }

  Status DeviceId(Frame& frame, const Op& op, const Set& set) {
    const bool partition = op.name() == "stablehlo.partition_id";
    for (const size_t k : set) {
      const int64_t id = partition ? frame.instances->device[k] : 0;
      const ValueId v = writer_.Splat(TensorType::Scalar(stablehlo::DType::kU32),
                                      tensor::Tensor::Scalar(stablehlo::DType::kU32, id));
      frame.Set(op.result(), k, v);
    }
    return OkStatus();
  }

  // --- manual computations ---

  // Inside of another one, more axes of the mesh tell instances apart.
  Status Manual(Frame& frame, const Op& op, const Set& set) {
    if (set.size() != frame.instances->size()) {
      return Unimplemented("a manual computation that not all devices reach together");
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> names,
                     ParseManualAxes(op.attr("manual_axes").AsText()));
    std::vector<size_t> in_ranks, out_ranks;
    for (const ValueId v : op.operands) in_ranks.push_back(frame.func->type(v).rank());
    for (uint32_t r = 0; r < op.num_results; ++r) {
      out_ranks.push_back(frame.func->type(op.result(r)).rank());
    }
    ASSIGN_OR_RETURN(const std::vector<Sharding> in,
                     ParseShardings(op.attr("in_shardings").AsText(), meshes_, in_ranks));
    ASSIGN_OR_RETURN(const std::vector<Sharding> out,
                     ParseShardings(op.attr("out_shardings").AsText(), meshes_, out_ranks));
    // Without arguments and results nothing is seen of it.
    if (in.empty() && out.empty()) return OkStatus();
    ASSIGN_OR_RETURN(const Mesh mesh, MeshOf(in, out, devices_));
    std::vector<bool> manual;
    for (const Mesh::Axis& a : mesh.axes) {
      manual.push_back(std::ranges::find(names, a.name) != names.end());
    }
    std::vector<bool> apart = manual;
    if (frame.instances->manual) {
      if (frame.instances->axes.size() != apart.size()) {
        return Unimplemented("a manual computation inside of one on another mesh");
      }
      for (size_t a = 0; a < apart.size(); ++a) {
        apart[a] = apart[a] || frame.instances->axes[a];
      }
    }
    const Instances instances = InstancesOf(mesh, apart, devices_);
    std::vector<size_t> outer;  // by instance
    for (const int64_t d : instances.device) {
      outer.push_back(frame.instances->of_device[static_cast<size_t>(d)]);
    }
    Frame inner{frame.func, &instances, {}};
    for (const auto& [v, all] : frame.values) {
      for (size_t k = 0; k < instances.size(); ++k) inner.Set(v, k, all[outer[k]]);
    }
    const Region& body = op.regions[0];
    for (size_t i = 0; i < op.operands.size(); ++i) {
      const Sharding sharding = in[i].Only(manual);
      const TensorType& local = frame.func->type(body.args[i]);
      for (size_t k = 0; k < instances.size(); ++k) {
        ValueId whole = frame.Get(op.operands[i], outer[k]);
        if (sharding.Terms() > 1) {
          ASSIGN_OR_RETURN(const std::vector<ValueId> terms, TermsOf(whole, sharding));
          whole = terms[static_cast<size_t>(sharding.TermOf(instances.device[k]))];
        }
        ASSIGN_OR_RETURN(const ValueId part, TakePart(whole, sharding, local, instances.device[k]));
        inner.Set(body.args[i], k, part);
      }
    }
    Set all(instances.size());
    std::iota(all.begin(), all.end(), size_t{0});
    RETURN_IF_ERROR(Ops(inner, body, all));
    const Op& end = body.ops.back();
    for (uint32_t r = 0; r < op.num_results; ++r) {
      for (const size_t o : set) {
        Set members;
        for (size_t k = 0; k < outer.size(); ++k) {
          if (outer[k] == o) members.push_back(k);
        }
        ASSIGN_OR_RETURN(const ValueId whole,
                         AssembleTerms(inner, end.operands[r], out[r].Only(manual), members));
        if (!(writer_.Type(whole) == frame.func->type(op.result(r)))) {
          return InvalidArgument(StrCat("result ", r, " is assembled to ",
                                        writer_.Type(whole).Text(), ", wanted ",
                                        frame.func->type(op.result(r)).Text()));
        }
        frame.Set(op.result(r), o, whole);
        if (frame.instances->manual) continue;
        Note(whole, out[r]);
        NoteCopies(whole, GivenBy(inner, end.operands[r]), out[r].Only(manual), mesh, manual);
      }
    }
    return OkStatus();
  }

  // Of a value that stands for different copies none are kept.
  void NoteCopies(ValueId whole, Given given, const Sharding& out, const Mesh& mesh,
                  const std::vector<bool>& manual) {
    if (out.Terms() > 1 || writer_.Type(whole).is_token) return;
    const auto [it, first] = given_.try_emplace(whole, given);
    if (!first && !(it->second == given)) {
      copies_.erase(whole);
      return;
    }
    std::optional<Copies> copies = CopiesOf(std::move(given), out, mesh, manual);
    if (copies && copies->sharding.Terms() <= devices_) copies_[whole] = *std::move(copies);
  }

  // The versions of a result that devices have of their own, one behind the other; `stored` says
  // which device has which. kNoValue if it is the same on all, or lies otherwise than said.
  Result<ValueId> StackCopies(ValueId v, const Sharding& said, const Shape& shape,
                              Sharding* stored) {
    const auto it = copies_.find(v);
    if (it == copies_.end() || said.Terms() > 1) return kNoValue;
    const Copies& copies = it->second;
    for (int64_t d = 0; d < devices_; ++d) {
      ASSIGN_OR_RETURN(const Part wanted, PartOf(said, shape, d));
      ASSIGN_OR_RETURN(const Part given, PartOf(copies.sharding, shape, d));
      if (wanted.start != given.start || wanted.shape != given.shape) return kNoValue;
    }
    std::vector<ValueId> versions;
    for (int64_t t = 0; t < copies.sharding.Terms(); ++t) {
      Set mine;
      for (size_t k = 0; k < copies.given.devices.size(); ++k) {
        if (copies.sharding.TermOf(copies.given.devices[k]) == t) mine.push_back(k);
      }
      if (mine.empty()) return kNoValue;
      ASSIGN_OR_RETURN(const ValueId version,
                       Assemble(copies.given, copies.sharding, mine, &writer_));
      versions.push_back(writer_.Reshape(version, Stacked(writer_.Type(version), 1)));
    }
    *stored = copies.sharding;
    return writer_.Concat(versions, 0);
  }

  Result<ValueId> TakePart(ValueId whole, const Sharding& sharding, const TensorType& local,
                           int64_t device) {
    if (writer_.Type(whole).is_token) return whole;
    ASSIGN_OR_RETURN(const Part part, PartOf(sharding, writer_.Type(whole).shape, device));
    if (part.shape != local.shape || writer_.Type(whole).dtype != local.dtype) {
      return InvalidArgument(
          StrCat("a part of ", writer_.Type(whole).Text(), " is no ", local.Text()));
    }
    return writer_.Slice(whole, part.start, part.shape);
  }

  Result<ValueId> AssembleTerms(const Frame& inner, ValueId v, const Sharding& sharding,
                                const Set& members) {
    const Given given = GivenBy(inner, v);
    if (sharding.Terms() == 1) return Assemble(given, sharding, members, &writer_);
    std::vector<ValueId> terms;
    for (int64_t t = 0; t < sharding.Terms(); ++t) {
      Set mine;
      for (const size_t k : members) {
        if (sharding.TermOf(inner.instances->device[k]) == t) mine.push_back(k);
      }
      if (mine.empty()) return InvalidArgument("a term of a result is on no device");
      ASSIGN_OR_RETURN(const ValueId term, Assemble(given, sharding, mine, &writer_));
      if (writer_.Type(term).is_token) return term;
      terms.push_back(term);
    }
    return Sum(std::move(terms), sharding);
  }

  const Module& module_;
  const int64_t devices_;
  std::vector<Mesh> meshes_;
  Instances whole_;
  Func out_;
  FuncWriter writer_{&out_};
  std::unordered_map<const Func*, bool> holds_;
  std::unordered_map<ValueId, Sharding> lies_;  // of values that are written
  std::vector<Inspection> inspections_;
  struct Terms {
    Sharding sharding;
    std::vector<ValueId> values;
  };
  std::unordered_map<ValueId, Terms> terms_;    // of values that are written and are sums
  std::unordered_map<ValueId, Given> given_;    // of results of manual computations
  std::unordered_map<ValueId, Copies> copies_;  // of those, what is not the same everywhere
  size_t written_ = 0;
  int calls_ = 0;
};

}  // namespace

Result<Unrolled> Unroll(const Module& module, int64_t devices) {
  if (devices < 1) return InvalidArgument(StrCat("a program for ", devices, " devices"));
  return Unroller(module, devices).Run();
}

}  // namespace megalith::spmd
