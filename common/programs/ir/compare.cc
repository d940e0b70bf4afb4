#include "common/programs/ir/compare.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "common/programs/ir/op_def.h"

namespace megalith::ir {

std::string NormalizeText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  constexpr std::string_view kNumpy = "np.int64(";
  constexpr std::string_view kAddress = " at 0x";
  for (size_t i = 0; i < text.size();) {
    if (text.substr(i, kNumpy.size()) == kNumpy) {
      const size_t close = text.find(')', i);
      if (close != std::string_view::npos) {
        out += text.substr(i + kNumpy.size(), close - i - kNumpy.size());
        i = close + 1;
        continue;
      }
    }
    if (text.substr(i, kAddress.size()) == kAddress) {
      out += " at 0x0";
      i += kAddress.size();
      while (i < text.size() && std::isxdigit(static_cast<unsigned char>(text[i]))) ++i;
      continue;
    }
    out += text[i++];
  }
  return out;
}

namespace {

// Structure of a jaxpr as digests: of every live equation and of every output.
struct DagDigests {
  std::multimap<std::string, std::string> eqns;  // digest -> readable form
  std::vector<std::string> outs;
};

class DagHasher {
 public:
  DagDigests Run(const Jaxpr& jaxpr) {
    const std::vector<bool> live = LiveEqns(jaxpr);
    std::vector<std::string> vars(jaxpr.num_vars());
    for (size_t i = 0; i < jaxpr.constvars().size(); ++i) {
      vars[jaxpr.constvars()[i]] = StrCat("const", i, ":", jaxpr.aval(jaxpr.constvars()[i]).Text());
    }
    for (size_t i = 0; i < jaxpr.invars().size(); ++i) {
      vars[jaxpr.invars()[i]] = StrCat("in", i, ":", jaxpr.aval(jaxpr.invars()[i]).Text());
    }
    const auto atom = [&](Atom a) {
      return a.is_literal() ? jaxpr.literal(a).Text() : vars[a.var()];
    };
    DagDigests out;
    for (size_t i = 0; i < jaxpr.eqns().size(); ++i) {
      if (!live[i]) continue;
      const Eqn& eqn = jaxpr.eqns()[i];
      std::string text(eqn.op->name);
      std::string readable(eqn.op->name);
      for (size_t p = 0; p < eqn.op->params.size(); ++p) {
        const ParamSpec& spec = eqn.op->params[p];
        if (spec.show == ParamSpec::Show::kNever) continue;
        const std::string value = ParamText(eqn.params->values()[p]);
        StrAppend(&text, " ", spec.name, "=", value);
        if (value.size() < 60 && value != spec.fallback)
          StrAppend(&readable, " ", spec.name, "=", value);
      }
      for (const Atom a : jaxpr.operands(eqn)) {
        StrAppend(&text, "\n", atom(a));
        StrAppend(&readable, " ",
                  a.is_literal() ? jaxpr.literal(a).Text() : jaxpr.aval(a.var()).Text());
      }
      readable += " ->";
      for (uint32_t r = 0; r < eqn.num_results; ++r) {
        const std::string type = jaxpr.aval(eqn.first_result + r).Text();
        StrAppend(&text, "\n->", type);
        StrAppend(&readable, " ", type);
      }
      const std::string digest = Sha256::Of(text).Hex();
      for (uint32_t r = 0; r < eqn.num_results; ++r)
        vars[eqn.first_result + r] = StrCat(digest, "#", r);
      out.eqns.emplace(digest, std::move(readable));
    }
    for (const Atom a : jaxpr.outs()) out.outs.push_back(atom(a));
    return out;
  }

  std::string Digest(const Jaxpr& jaxpr) {
    const auto it = memo_.find(&jaxpr);
    if (it != memo_.end()) return it->second;
    const DagDigests d = Run(jaxpr);
    std::string text = StrCat(jaxpr.constvars().size(), " ", jaxpr.invars().size());
    for (const VarId v : jaxpr.invars()) StrAppend(&text, " ", jaxpr.aval(v).Text());
    for (const auto& [digest, readable] : d.eqns) StrAppend(&text, "\n", digest);
    for (const std::string& o : d.outs) StrAppend(&text, "\nout ", o);
    return memo_[&jaxpr] = Sha256::Of(text).Hex();
  }

 private:
  static std::vector<bool> LiveEqns(const Jaxpr& jaxpr) {
    std::vector<bool> needed(jaxpr.num_vars());
    std::vector<bool> live(jaxpr.eqns().size());
    for (const Atom a : jaxpr.outs()) {
      if (!a.is_literal()) needed[a.var()] = true;
    }
    for (size_t i = jaxpr.eqns().size(); i-- > 0;) {
      const Eqn& eqn = jaxpr.eqns()[i];
      for (uint32_t r = 0; r < eqn.num_results; ++r)
        live[i] = live[i] || needed[eqn.first_result + r];
      if (!live[i]) continue;
      for (const Atom a : jaxpr.operands(eqn)) {
        if (!a.is_literal()) needed[a.var()] = true;
      }
    }
    return live;
  }

  std::string ParamText(const ParamValue& v) {
    if (v.kind() == ParamValue::Kind::kJaxpr) return Digest(*v.AsJaxpr());
    if (v.is_sequence()) {
      std::string out = StrCat(v.tuple_name(), "(");
      for (const ParamValue& e : v.elements()) StrAppend(&out, ParamText(e), ",");
      return out + ")";
    }
    return NormalizeText(v.PythonText());
  }

  std::unordered_map<const Jaxpr*, std::string> memo_;
};

void AppendOnly(const DagDigests& mine, const DagDigests& other, std::string_view label,
                size_t max_lines, std::string* out) {
  size_t lines = 0;
  for (auto it = mine.eqns.begin(); it != mine.eqns.end();) {
    const auto range = mine.eqns.equal_range(it->first);
    const auto have = static_cast<size_t>(std::distance(range.first, range.second));
    const size_t theirs = other.eqns.count(it->first);
    if (have > theirs && lines++ < max_lines) StrAppend(out, label, it->second, "\n");
    it = range.second;
  }
}

}  // namespace

Sha256Digest DagDigest(const Jaxpr& jaxpr) { return Sha256::Of(DagHasher().Digest(jaxpr)); }

bool SameDag(const Jaxpr& a, const Jaxpr& b) {
  return DagHasher().Digest(a) == DagHasher().Digest(b);
}

std::string ExplainDag(const Jaxpr& a, const Jaxpr& b, size_t max_lines) {
  const DagDigests da = DagHasher().Run(a);
  const DagDigests db = DagHasher().Run(b);
  std::string out;
  AppendOnly(da, db, "- ", max_lines, &out);
  AppendOnly(db, da, "+ ", max_lines, &out);
  if (out.empty() && da.outs != db.outs) out = "the outputs differ\n";
  return out;
}

namespace {

class CanonicalWriter {
 public:
  void Closed(const ClosedJaxpr& closed) {
    Write(*closed.jaxpr);
    w_.U64(closed.consts.size());
    for (const tensor::Tensor& t : closed.consts) {
      Type(Aval{t.dtype(), false, t.shape()});
      w_.Sized(t.bytes());
    }
  }
  std::string Take() { return w_.Take(); }

 private:
  void Type(const Aval& aval) {
    w_.U8(static_cast<uint8_t>(aval.dtype));
    w_.U8(aval.weak_type);
    w_.U64(aval.rank());
    for (const int64_t d : aval.shape) w_.I64(d);
  }
  void WriteAtom(const Jaxpr& jaxpr, Atom a) {
    w_.U8(a.is_literal());
    if (a.is_literal()) {
      const Literal& literal = jaxpr.literal(a);
      Type(literal.aval());
      w_.Raw(literal.bytes());
    } else {
      w_.U64(a.var());
    }
  }
  void Sub(const JaxprPtr& jaxpr) {
    // A sub-jaxpr met again is written as its number, which keeps the size linear.
    const auto [it, fresh] = seen_.emplace(jaxpr.get(), seen_.size());
    w_.U64(it->second);
    w_.U8(fresh);
    if (fresh) Write(*jaxpr);
  }
  // A rule is its place in its set and how it was derived; the set itself is written when it is
  // first met.
  void WriteRule(const CustomRule& rule) {
    if (rule.set == nullptr) return w_.U64(rule.index);
    const auto [it, fresh] = sets_.emplace(rule.set.get(), sets_.size());
    w_.U64(it->second);
    w_.U8(fresh);
    w_.U64(rule.index);
    w_.Sized(rule.derivation);
    if (!fresh) return;
    w_.U64(rule.set->size());
    for (const RuleBodies& r : *rule.set) {
      w_.U8(r.is_vjp);
      w_.Sized(r.name);
      for (const ClosedJaxpr* c : {&r.jvp, &r.fwd, &r.bwd}) {
        w_.U8(c->jaxpr != nullptr);
        if (c->jaxpr != nullptr) Closed(*c);
      }
      w_.I64(r.num_res);
      for (const bool z : r.out_zeros) w_.U8(z);
      for (const int64_t f : r.input_fwds) w_.I64(f);
      for (const bool z : r.bwd_zeros) w_.U8(z);
    }
  }
  void Value(const ParamValue& v) {
    w_.U8(static_cast<uint8_t>(v.kind()));
    switch (v.kind()) {
      case ParamValue::Kind::kJaxpr:
        Sub(v.AsJaxpr());
        break;
      case ParamValue::Kind::kCustomRule:
        WriteRule(*v.AsRule());
        break;
      case ParamValue::Kind::kTuple:
      case ParamValue::Kind::kList:
      case ParamValue::Kind::kNamedTuple:
        w_.Sized(v.tuple_name());
        w_.U64(v.elements().size());
        for (const ParamValue& e : v.elements()) Value(e);
        break;
      default:
        w_.Sized(NormalizeText(v.PythonText()));
    }
  }
  void Write(const Jaxpr& jaxpr) {
    w_.U64(jaxpr.constvars().size());
    for (const VarId v : jaxpr.constvars()) Type(jaxpr.aval(v));
    w_.U64(jaxpr.const_values().size());
    for (const tensor::Tensor& t : jaxpr.const_values()) w_.Sized(t.bytes());
    w_.U64(jaxpr.invars().size());
    for (const VarId v : jaxpr.invars()) Type(jaxpr.aval(v));
    w_.U64(jaxpr.eqns().size());
    for (const Eqn& eqn : jaxpr.eqns()) {
      w_.Sized(eqn.op->name);
      w_.U64(eqn.op->params.size());
      for (size_t i = 0; i < eqn.op->params.size(); ++i) {
        w_.Sized(eqn.op->params[i].name);
        Value(eqn.params->values()[i]);
      }
      w_.U64(eqn.num_operands);
      for (const Atom a : jaxpr.operands(eqn)) WriteAtom(jaxpr, a);
      w_.U64(eqn.num_results);
      for (uint32_t r = 0; r < eqn.num_results; ++r) Type(jaxpr.aval(eqn.first_result + r));
    }
    w_.U64(jaxpr.outs().size());
    for (const Atom a : jaxpr.outs()) WriteAtom(jaxpr, a);
  }

  ByteWriter w_;
  std::unordered_map<const Jaxpr*, uint64_t> seen_;
  std::unordered_map<const RuleSet*, uint64_t> sets_;
};

}  // namespace

std::string CanonicalBytes(const ClosedJaxpr& closed) {
  CanonicalWriter writer;
  writer.Closed(closed);
  return writer.Take();
}

}  // namespace megalith::ir
