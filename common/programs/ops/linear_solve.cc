// custom_linear_solve: the solution of A x = b by a given solver, differentiated implicitly.
#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ir/check.h"
#include "common/programs/ir/compare.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

using ir::JaxprPtr;

constexpr size_t kParts = 4;
enum Part : size_t { kMatvec = 0, kVecmat = 1, kSolve = 2, kTransposeSolve = 3 };
constexpr std::string_view kPartNames[kParts] = {"matvec", "vecmat", "solve", "transpose_solve"};

// The parameters taken apart. Operands are the constants of the four programs, in order, then b.
struct LinearSolve {
  size_t lengths[kParts] = {};
  JaxprPtr jaxprs[kParts];  // vecmat and transpose_solve may be null
  size_t num_consts = 0;

  size_t first_const(size_t part) const {
    size_t at = 0;
    for (size_t p = 0; p < part; ++p) at += lengths[p];
    return at;
  }
};

Result<LinearSolve> ParseSolve(const Params& params, size_t num_operands) {
  LinearSolve out;
  for (size_t p = 0; p < kParts; ++p) {
    const ParamValue& length = params["const_lengths"].Field(kPartNames[p]);
    const ParamValue& jaxpr = params["jaxprs"].Field(kPartNames[p]);
    const bool optional = p == kVecmat || p == kTransposeSolve;
    if (length.kind() != ParamValue::Kind::kInt || length.AsInt() < 0 ||
        length.AsInt() > static_cast<int64_t>(num_operands)) {
      return TypeError(
          StrCat("custom_linear_solve has no valid number of constants of ", kPartNames[p]));
    }
    if (jaxpr.kind() != ParamValue::Kind::kJaxpr && !(optional && jaxpr.is_none())) {
      return TypeError(StrCat("custom_linear_solve has no program ", kPartNames[p]));
    }
    out.lengths[p] = static_cast<size_t>(length.AsInt());
    out.jaxprs[p] = jaxpr.AsJaxpr();
    out.num_consts += out.lengths[p];
  }
  if (out.num_consts > num_operands) {
    return TypeError(StrCat("custom_linear_solve has ", num_operands,
                            " operands but its programs take ", out.num_consts, " constants"));
  }
  return out;
}

LinearSolve SolveOf(const Params& params, size_t num_operands) {
  return *ParseSolve(params, num_operands);
}

ParamValue PartsParam(ir::ParamValues values) {
  std::vector<std::string> names(std::begin(kPartNames), std::end(kPartNames));
  return ParamValue::NamedTuple("_LinearSolveTuple", std::move(names), std::move(values));
}

Params WithParts(const OpDef& op, const LinearSolve& s) {
  ir::ParamValues lengths;
  ir::ParamValues jaxprs;
  for (size_t p = 0; p < kParts; ++p) {
    lengths.push_back(ParamValue::Int(static_cast<int64_t>(s.lengths[p])));
    jaxprs.push_back(s.jaxprs[p] == nullptr ? ParamValue::None()
                                            : ParamValue::SubJaxpr(s.jaxprs[p]));
  }
  Params out(op);
  out.Set("const_lengths", PartsParam(std::move(lengths)));
  out.Set("jaxprs", PartsParam(std::move(jaxprs)));
  return out;
}

template <typename T>
std::vector<T> Sub(std::span<const T> values, size_t first, size_t count) {
  return {values.begin() + static_cast<int64_t>(first),
          values.begin() + static_cast<int64_t>(first + count)};
}

template <typename T>
std::vector<T> Joined(std::vector<T> a, const std::vector<T>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// ---- types ----

Types SolveType(const TypeArgs& a) {
  ASSIGN_OR_RETURN(const LinearSolve s, ParseSolve(a.params, a.operands.size()));
  const std::vector<Aval> b = Sub(a.operands, s.num_consts, a.operands.size() - s.num_consts);
  if (b.empty()) return TypeError("custom_linear_solve needs a right-hand side");
  std::vector<Aval> out = b;
  for (size_t p = 0; p < kParts; ++p) {
    const JaxprPtr& jaxpr = s.jaxprs[p];
    if (jaxpr == nullptr) continue;
    const std::vector<Aval> want = Joined(Sub(a.operands, s.first_const(p), s.lengths[p]), b);
    bool good = jaxpr->constvars().empty() && jaxpr->invars().size() == want.size() &&
                jaxpr->outs().size() >= b.size() &&
                (p == kSolve || p == kTransposeSolve || jaxpr->outs().size() == b.size());
    for (size_t i = 0; good && i < want.size(); ++i)
      good = jaxpr->aval(jaxpr->invars()[i]).SameType(want[i]);
    for (size_t i = 0; good && i < b.size(); ++i)
      good = jaxpr->aval(jaxpr->outs()[i]).SameType(b[i]);
    if (!good) {
      return TypeError(StrCat(kPartNames[p],
                              "() of custom_linear_solve must take its constants and b, and give "
                              "arrays of the types of b"));
    }
    // What a solver gives beyond the solution is passed on as it is.
    for (size_t i = b.size(); p == kSolve && i < jaxpr->outs().size(); ++i) {
      out.push_back(jaxpr->aval(jaxpr->outs()[i]));
    }
  }
  return out;
}

Result<Params> RetypeSolve(ir::TypeChecker& checker, const TypeArgs& a) {
  ASSIGN_OR_RETURN(LinearSolve s, ParseSolve(a.params, a.operands.size()));
  const std::vector<Aval> b = Sub(a.operands, s.num_consts, a.operands.size() - s.num_consts);
  for (size_t p = 0; p < kParts; ++p) {
    if (s.jaxprs[p] == nullptr) continue;
    const std::vector<Aval> inputs = Joined(Sub(a.operands, s.first_const(p), s.lengths[p]), b);
    ASSIGN_OR_RETURN(s.jaxprs[p], checker.Check(s.jaxprs[p], inputs));
  }
  // Of a symmetric matrix JAX has one program for both products, which shows in text as a shared
  // one.
  if (s.jaxprs[kVecmat] != nullptr && ir::SameDag(*s.jaxprs[kMatvec], *s.jaxprs[kVecmat])) {
    s.jaxprs[kVecmat] = s.jaxprs[kMatvec];
  }
  return WithParts(a.op, s);
}

// ---- derivatives ----

// A x' = b' - A' x.
JvpResult JvpSolve(Builder& b, const JvpArgs& a) {
  const LinearSolve s = SolveOf(a.params, a.primals.size());
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  if (!b.ok()) return out;
  const size_t n = a.primals.size() - s.num_consts;
  const std::vector<Value> x = Sub(std::span<const Value>(out.primals), 0, n);
  std::vector<Value> rhs = Sub(a.tangents, s.num_consts, n);
  const std::vector<Value> matrix_dot = Sub(a.tangents, 0, s.lengths[kMatvec]);
  bool matrix_changes = false;
  for (const Value& t : matrix_dot) matrix_changes = matrix_changes || bool(t);
  if (matrix_changes) {
    const std::vector<Value> primals = Joined(Sub(a.primals, 0, s.lengths[kMatvec]), x);
    const std::vector<Value> tangents = Joined(matrix_dot, std::vector<Value>(n));
    const JvpResult product = autodiff::EvalJvp(b, *s.jaxprs[kMatvec], {}, primals, tangents);
    if (!b.ok()) return out;
    std::vector<Value> negated;
    for (size_t i = 0; i < n; ++i) {
      const Value t = ir::InstantiateZeros(b, product.tangents[i], product.primals[i].aval());
      negated.push_back(ir::Neg(b, t));
    }
    for (size_t i = 0; i < n; ++i) rhs[i] = ir::AddTangents(b, rhs[i], negated[i]);
  }
  std::vector<Value> operands = Sub(a.primals, 0, s.num_consts);
  for (size_t i = 0; i < n; ++i) operands.push_back(ir::InstantiateZeros(b, rhs[i], x[i].aval()));
  out.tangents = b.Emit(a.op, a.params, operands);
  // Diagnostics of the solver have no derivative.
  for (size_t i = n; i < out.tangents.size(); ++i) out.tangents[i] = Value();
  return out;
}

// Solving with the transposed matrix: the four programs change places in pairs.
std::vector<Value> TransposeSolve(Builder& b, const TransposeArgs& a) {
  const LinearSolve s = SolveOf(a.params, a.operands.size());
  const size_t n = a.operands.size() - s.num_consts;
  if (s.jaxprs[kTransposeSolve] == nullptr || s.jaxprs[kVecmat] == nullptr) {
    b.Fail(
        TypeError("transpose_solve required for backwards mode automatic differentiation of "
                  "custom_linear_solve"));
    return {};
  }
  bool only_rhs = true;
  for (size_t i = 0; i < a.operands.size(); ++i)
    only_rhs = only_rhs && a.operands[i].linear == (i >= s.num_consts);
  for (size_t i = n; i < a.cotangents.size(); ++i) only_rhs = only_rhs && !a.cotangents[i];
  if (!only_rhs) {
    b.Fail(NotImplementedError("custom_linear_solve is transposed in its right-hand side only"));
    return {};
  }
  std::vector<Value> cts;
  for (size_t i = 0; i < n; ++i)
    cts.push_back(ir::InstantiateZeros(b, a.cotangents[i], a.results[i]));
  LinearSolve t;
  std::vector<Value> operands;
  for (size_t p = 0; p < kParts; ++p) {
    const size_t from = p ^ 1;  // matvec with vecmat, solve with transpose_solve
    t.lengths[p] = s.lengths[from];
    t.jaxprs[p] = s.jaxprs[from];
    for (size_t i = 0; i < s.lengths[from]; ++i)
      operands.push_back(a.operands[s.first_const(from) + i].value);
  }
  operands.insert(operands.end(), cts.begin(), cts.end());
  const std::vector<Value> solved = b.Emit(a.op, WithParts(a.op, t), operands);
  if (!b.ok()) return {};
  std::vector<Value> out(s.num_consts);
  out.insert(out.end(), solved.begin(), solved.begin() + static_cast<int64_t>(n));
  return out;
}

// ---- batching ----

using Bits = std::vector<bool>;

// Maps one program; `forced` outputs are batched even if nothing makes them so. Gives which outputs
// are.
Result<JaxprPtr> Mapped(ir::Session& session, const JaxprPtr& jaxpr, const ir::AxisData& axis,
                        const Bits& inputs, const Bits& forced, Bits* outputs) {
  std::vector<int> dims;
  for (const bool batched : inputs) dims.push_back(batched ? 0 : kUnmapped);
  std::vector<batching::OutDim> dests;
  for (size_t i = 0; i < jaxpr->outs().size(); ++i) {
    const bool force = i < forced.size() && forced[i];
    dests.push_back(
        {force ? batching::OutDim::Kind::kAt : batching::OutDim::Kind::kZeroIfMapped, 0});
  }
  ASSIGN_OR_RETURN(const batching::BatchedJaxpr mapped,
                   batching::BatchJaxprTo(session, jaxpr, dims, axis, dests));
  outputs->clear();
  for (const int d : mapped.out_dims) outputs->push_back(d != kUnmapped);
  return mapped.jaxpr;
}

Bits Or(const Bits& a, const Bits& b) {
  Bits out = a;
  for (size_t i = 0; i < out.size() && i < b.size(); ++i) out[i] = out[i] || b[i];
  return out;
}

// Which parts of b and x are batched must agree between the four programs; found by a fixed point.
struct BatchedSolve {
  LinearSolve solve;
  Bits b;
  Bits solve_x;  // outputs of the mapped solve
};
Result<BatchedSolve> MapSolve(ir::Session& session, const LinearSolve& s, const ir::AxisData& axis,
                              const Bits& operands) {
  const auto consts = [&](size_t p) {
    return Bits(operands.begin() + static_cast<int64_t>(s.first_const(p)),
                operands.begin() + static_cast<int64_t>(s.first_const(p) + s.lengths[p]));
  };
  const Bits original_b(operands.begin() + static_cast<int64_t>(s.num_consts), operands.end());
  const size_t n = original_b.size();
  const size_t num_x = s.jaxprs[kSolve]->outs().size();
  BatchedSolve out{s, original_b, {}};
  Bits x(num_x, false);
  for (size_t round = 0; round < 1 + n + num_x; ++round) {
    ASSIGN_OR_RETURN(
        out.solve.jaxprs[kSolve],
        Mapped(session, s.jaxprs[kSolve], axis, Joined(consts(kSolve), out.b), x, &out.solve_x));
    Bits next_x = out.solve_x;
    if (s.jaxprs[kVecmat] != nullptr) {
      Bits vecmat_x;
      ASSIGN_OR_RETURN(out.solve.jaxprs[kVecmat],
                       Mapped(session, s.jaxprs[kVecmat], axis, Joined(consts(kVecmat), out.b),
                              out.b, &vecmat_x));
      vecmat_x.resize(num_x, true);  // diagnostics are batched
      next_x = Or(vecmat_x, out.solve_x);
    }
    const Bits x_only(next_x.begin(), next_x.begin() + static_cast<int64_t>(n));
    Bits matvec_b;
    ASSIGN_OR_RETURN(out.solve.jaxprs[kMatvec],
                     Mapped(session, s.jaxprs[kMatvec], axis, Joined(consts(kMatvec), x_only),
                            out.b, &matvec_b));
    Bits next_b = Or(matvec_b, original_b);
    if (s.jaxprs[kTransposeSolve] != nullptr) {
      Bits transposed_b;
      ASSIGN_OR_RETURN(out.solve.jaxprs[kTransposeSolve],
                       Mapped(session, s.jaxprs[kTransposeSolve], axis,
                              Joined(consts(kTransposeSolve), x_only), next_x, &transposed_b));
      next_b = Or(next_b, transposed_b);
    }
    if (next_x == x && next_b == out.b) return out;
    x = next_x;
    out.b = next_b;
  }
  return Internal("which parts of a linear solve are batched did not settle");
}

BatchResult BatchSolve(Builder& b, const BatchArgs& a) {
  const LinearSolve s = SolveOf(a.params, a.values.size());
  Bits operands;
  for (const int d : a.dims) operands.push_back(d != kUnmapped);
  const Result<BatchedSolve> mapped = MapSolve(b.session(), s, a.axis, operands);
  if (!mapped.ok()) {
    b.Fail(mapped.status());
    return {};
  }
  std::vector<Value> values;
  for (size_t i = 0; i < a.values.size(); ++i) {
    const bool wanted = i < s.num_consts ? operands[i] : mapped->b[i - s.num_consts];
    values.push_back(wanted ? ir::BatchAtFront(b, a.values[i], a.dims[i], a.axis.size)
                            : a.values[i]);
  }
  BatchResult out{b.Emit(a.op, WithParts(a.op, mapped->solve), values), {}};
  for (const bool batched : mapped->solve_x) out.dims.push_back(batched ? 0 : kUnmapped);
  return out;
}

// ---- lowering ----

// The solver does all; what it was derived from is only for derivatives.
Status LowerSolve(LowerContext& c) {
  const LinearSolve s = SolveOf(c.params(), c.num_operands());
  const std::span<const ValueId> all = c.ins();
  const std::vector<ValueId> inputs = Joined(Sub(all, s.first_const(kSolve), s.lengths[kSolve]),
                                             Sub(all, s.num_consts, all.size() - s.num_consts));
  c.Out(c.Inline(s.jaxprs[kSolve], inputs));
  return OkStatus();
}

// ---- record ----

using Type = ParamSpec::Type;

constexpr ParamSpec kSolveParams[] = {{"const_lengths", Type::kTuple}, {"jaxprs", Type::kTuple}};

// A diagonal matrix.
constexpr Sample kSolveSamples[] = {
    {"{ lambda ; a:f32[3] b:f32[3]. let c:f32[3] = OP[const_lengths=_LinearSolveTuple(matvec=1, "
     "vecmat=1, solve=1, "
     "transpose_solve=1) jaxprs=_LinearSolveTuple(matvec={ lambda ; d:f32[3] e:f32[3]. let "
     "f:f32[3] = mul d e in (f,) "
     "}, vecmat={ lambda ; g:f32[3] h:f32[3]. let i:f32[3] = mul h g in (i,) }, solve={ lambda ; "
     "j:f32[3] k:f32[3]. "
     "let l:f32[3] = div k j in (l,) }, transpose_solve={ lambda ; m:f32[3] n:f32[3]. let o:f32[3] "
     "= div n m in (o,) "
     "})] a a a a b in (c,) }",
     ir::Domain::kNonZero},
};

constexpr OpDef kOps[] = {
    {.name = "custom_linear_solve",
     .results = -1,
     .params = kSolveParams,
     .tier = 2,
     .type_rule = SolveType,
     .retype = RetypeSolve,
     .jvp = ir::JvpFull(JvpSolve),
     .transpose = TransposeSolve,
     .batch = ir::BatchFull(BatchSolve),
     .lower = LowerSolve,
     .spec = "primitives.md#custom_linear_solve",
     .samples = kSolveSamples},
};

}  // namespace

std::span<const OpDef> LinearSolveOps() { return kOps; }

}  // namespace megalith::ops
