#include "common/programs/ir/print.h"

#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include "common/foundation/base/strings.h"
#include "common/programs/ir/doc.h"
#include "common/programs/ir/op_def.h"

namespace megalith::ir {
namespace {

using Doc = DocArena::Doc;

// 0 -> "a", 25 -> "z", 26 -> "ba": base 26 without leading a.
std::string NameOf(uint64_t n) {
  std::string name;
  do {
    name.insert(name.begin(), static_cast<char>('a' + n % 26));
    n /= 26;
  } while (n > 0);
  return name;
}

// Calls f(jaxpr) for every jaxpr that is a parameter or a direct member of a tuple parameter, in
// order.
template <typename F>
void ForEachSubJaxpr(const Params& params, const F& f) {
  for (const ParamValue& v : params.values()) {
    if (v.kind() == ParamValue::Kind::kJaxpr) f(v.AsJaxpr());
    for (const ParamValue& e : v.elements()) {
      if (e.kind() == ParamValue::Kind::kJaxpr) f(e.AsJaxpr());
    }
  }
}

class Printer {
 public:
  Printer(const PrintOptions& options, uint64_t max_bytes)
      : options_(options), max_bytes_(max_bytes) {}

  // Something longer than `max_bytes` if the text would be.
  std::string Run(const JaxprPtr& root) {
    const std::vector<JaxprPtr> shared = FindShared(root);
    // Every shared jaxpr is laid out before any has a name for the others to use, as JAX does.
    std::vector<Doc> parts;
    for (const JaxprPtr& j : shared) {
      const Doc body = JaxprDoc(*j);
      std::string name = FreshSharedName(j.get());
      parts.push_back(arena_.Concat(
          {arena_.Text(StrCat("let ", name, " = ")), body, arena_.View(" in"), arena_.Break(" ")}));
      shared_names_[j.get()] = std::move(name);
    }
    parts.push_back(JaxprDoc(*root));
    return arena_.Render(arena_.Concat(std::move(parts)), options_.width, max_bytes_);
  }

 private:
  using VarKey = std::pair<const Jaxpr*, VarId>;
  struct VarHash {
    size_t operator()(const VarKey& k) const {
      return std::hash<const void*>()(k.first) * 31 + k.second;
    }
  };

  // Jaxprs met at least twice, in order of the first meeting, breadth first from the root. A jaxpr
  // is expanded at its first two meetings: twice is enough to know that everything inside is shared
  // too.
  std::vector<JaxprPtr> FindShared(const JaxprPtr& root) {
    std::unordered_map<const Jaxpr*, int> seen;
    std::vector<JaxprPtr> order;
    std::deque<JaxprPtr> queue = {root};
    while (!queue.empty()) {
      const JaxprPtr jaxpr = queue.front();
      queue.pop_front();
      for (const Eqn& eqn : jaxpr->eqns()) {
        const ParamValue& name = (*eqn.params)["name"];
        ForEachSubJaxpr(*eqn.params, [&](const JaxprPtr& sub) {
          const int count = ++seen[sub.get()];
          if (count == 1) order.push_back(sub);
          if (name.kind() == ParamValue::Kind::kText)
            shared_hint_.emplace(sub.get(), name.AsText());
          if (count <= 2) queue.push_back(sub);
        });
      }
    }
    std::erase_if(order, [&](const JaxprPtr& j) { return seen[j.get()] < 2; });
    return order;
  }

  std::string FreshSharedName(const Jaxpr* jaxpr) {
    const auto hint = shared_hint_.find(jaxpr);
    std::string name = hint == shared_hint_.end() ? "jaxpr" : hint->second;
    const size_t first = name.find_first_not_of("<>");
    name = first == std::string::npos ? ""
                                      : name.substr(first, name.find_last_not_of("<>") - first + 1);
    const int count = shared_name_counts_[name]++;
    if (count > 0) {
      name += StrCat(count);
      ++shared_name_counts_[name];
    }
    used_shared_names_.insert(name);
    return name;
  }

  const std::string& VarName(const Jaxpr& jaxpr, VarId v) {
    std::string& name = names_[{jaxpr.namesake(), v}];
    if (name.empty()) {
      do {
        name = NameOf(counter_++);
      } while (used_shared_names_.count(name) > 0);
    }
    return name;
  }

  const std::vector<bool>& Unused(const Jaxpr& jaxpr) {
    auto it = unused_.find(&jaxpr);
    if (it == unused_.end()) it = unused_.emplace(&jaxpr, jaxpr.UnusedVars()).first;
    return it->second;
  }

  // The name of an equation's result: `_` if nobody reads it.
  std::string ResultName(const Jaxpr& jaxpr, VarId v) {
    return Unused(jaxpr)[v] ? "_" : VarName(jaxpr, v);
  }

  std::string AtomText(const Jaxpr& jaxpr, Atom a) {
    return a.is_literal() ? jaxpr.literal(a).Text() : VarName(jaxpr, a.var());
  }

  Doc List(const std::vector<std::string>& items, std::string_view separator) {
    std::vector<Doc> parts;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) {
        if (!separator.empty()) parts.push_back(arena_.View(separator));
        parts.push_back(arena_.Group(arena_.Break(" ")));
      }
      parts.push_back(arena_.Text(items[i]));
    }
    return arena_.Nest(2, arena_.Group(arena_.Concat(std::move(parts))));
  }

  std::string Binder(const std::string& name, const Aval& aval) {
    return options_.print_shapes ? StrCat(name, ":", aval.Text()) : name;
  }

  Doc Binders(const Jaxpr& jaxpr, std::span<const VarId> vars) {
    std::vector<std::string> items;
    for (const VarId v : vars) items.push_back(Binder(VarName(jaxpr, v), jaxpr.aval(v)));
    return List(items, "");
  }

  // The callee of a plain call takes over the names its caller gives to operands and results.
  void InheritNames(const Jaxpr& caller, const Eqn& eqn) {
    const JaxprPtr& callee = eqn.params->Sub("jaxpr");
    if (callee == nullptr || shared_names_.count(callee.get()) > 0) return;
    const std::span<const Atom> operands = caller.operands(eqn);
    if (operands.size() == callee->invars().size()) {
      std::set<VarId> used;
      for (size_t i = 0; i < operands.size(); ++i) {
        const VarKey key{callee->namesake(), callee->invars()[i]};
        if (operands[i].is_literal() || used.count(operands[i].var()) > 0 || names_.count(key) > 0)
          continue;
        used.insert(operands[i].var());
        names_[key] = VarName(caller, operands[i].var());
      }
    }
    if (eqn.num_results != callee->outs().size()) return;
    for (uint32_t i = 0; i < eqn.num_results; ++i) {
      const Atom out = callee->outs()[i];
      if (out.is_literal() || names_.count({callee->namesake(), out.var()}) > 0) continue;
      names_[{callee->namesake(), out.var()}] = ResultName(caller, eqn.first_result + i);
    }
  }

  Doc ParamDoc(const ParamSpec& spec, const ParamValue& value) {
    const Doc key = arena_.Text(StrCat(spec.name, "="));
    if (value.kind() == ParamValue::Kind::kJaxpr)
      return arena_.Concat({key, SubDoc(value.AsJaxpr())});
    if (value.kind() == ParamValue::Kind::kTuple) {
      bool all_jaxprs = true;  // also for the empty tuple: it takes the same path in JAX
      for (const ParamValue& e : value.elements())
        all_jaxprs &= e.kind() == ParamValue::Kind::kJaxpr;
      if (all_jaxprs) {
        std::vector<Doc> inner = {arena_.View("("), arena_.Break("")};
        for (size_t i = 0; i < value.elements().size(); ++i) {
          if (i > 0) inner.push_back(arena_.Break(" "));
          inner.push_back(SubDoc(value.elements()[i].AsJaxpr()));
        }
        return arena_.Concat(
            {key, arena_.Group(arena_.Concat({arena_.Nest(2, arena_.Concat(std::move(inner))),
                                              arena_.Break(""), arena_.View(")")}))});
      }
    }
    return arena_.Concat({key, arena_.Text(RawText(value))});
  }

  // What the limit leaves beside all that was laid out and `pending` bytes.
  uint64_t Left(uint64_t pending) const {
    const uint64_t used = arena_.text_bytes() + pending;
    return used < max_bytes_ ? max_bytes_ - used : 0;
  }

  // A raw value; jaxprs inside named tuples are texts of their own.
  std::string RawText(const ParamValue& value) {
    if (value.kind() != ParamValue::Kind::kNamedTuple) return value.PythonText();
    std::string out = StrCat(value.tuple_name(), "(");
    for (size_t i = 0; i < value.elements().size(); ++i) {
      if (i > 0) out += ", ";
      StrAppend(&out, value.fields()[i], "=");
      const ParamValue& e = value.elements()[i];
      out += e.kind() == ParamValue::Kind::kJaxpr
                 ? Printer(options_, Left(out.size())).Run(e.AsJaxpr())
                 : e.PythonText(true);
    }
    return out + ")";
  }

  Doc SubDoc(const JaxprPtr& jaxpr) {
    const auto it = shared_names_.find(jaxpr.get());
    return it != shared_names_.end() ? arena_.Text(it->second) : JaxprDoc(*jaxpr);
  }

  Doc EqnDoc(const Jaxpr& jaxpr, const Eqn& eqn) {
    if (eqn.op->inherits_names) InheritNames(jaxpr, eqn);
    std::vector<Doc> parts;
    if (eqn.num_results > 0) {
      std::vector<std::string> results;
      for (uint32_t i = 0; i < eqn.num_results; ++i) {
        const VarId v = eqn.first_result + i;
        results.push_back(Binder(ResultName(jaxpr, v), jaxpr.aval(v)));
      }
      parts.push_back(List(results, ""));
      parts.push_back(arena_.View(" = "));
    }
    parts.push_back(arena_.View(eqn.op->name));
    std::vector<Doc> inner;
    for (size_t i = 0; i < eqn.op->params.size(); ++i) {
      const ParamSpec& spec = eqn.op->params[i];
      const ParamValue& value = eqn.params->values()[i];
      if (spec.show == ParamSpec::Show::kNever) continue;
      if (spec.show == ParamSpec::Show::kUnlessDefault && value.PythonText() == spec.fallback)
        continue;
      inner.push_back(arena_.Break(inner.empty() ? "" : " "));
      inner.push_back(ParamDoc(spec, value));
    }
    if (!inner.empty()) {
      inner.insert(inner.begin(), arena_.View("["));
      parts.push_back(arena_.Group(arena_.Concat(
          {arena_.Nest(2, arena_.Concat(std::move(inner))), arena_.Break(""), arena_.View("]")})));
    }
    parts.push_back(arena_.View(" "));
    std::vector<std::string> operands;
    for (const Atom a : jaxpr.operands(eqn)) operands.push_back(AtomText(jaxpr, a));
    parts.push_back(List(operands, ""));
    return arena_.Concat(std::move(parts));
  }

  Doc JaxprDoc(const Jaxpr& jaxpr) {
    const Doc consts = Binders(jaxpr, jaxpr.constvars());
    const Doc ins = Binders(jaxpr, jaxpr.invars());
    std::vector<Doc> eqns = {arena_.Break(" ")};
    for (size_t i = 0; i < jaxpr.eqns().size() && arena_.text_bytes() <= max_bytes_; ++i) {
      if (i > 0) eqns.push_back(arena_.Break("; "));
      eqns.push_back(EqnDoc(jaxpr, jaxpr.eqns()[i]));
    }
    std::vector<std::string> outs;
    for (const Atom a : jaxpr.outs()) outs.push_back(AtomText(jaxpr, a));
    const Doc tail = arena_.Concat(
        {arena_.View("in ("), List(outs, ","), arena_.View(outs.size() == 1 ? ",)" : ")")});
    return arena_.Group(arena_.Concat(
        {arena_.Nest(
             2, arena_.Concat({arena_.View("{ lambda "), consts, arena_.View("; "), ins,
                               arena_.View(". let"), arena_.Nest(2, arena_.Concat(std::move(eqns))),
                               arena_.Break(" "), tail})),
         arena_.View(" }")}));
  }

  const PrintOptions& options_;
  const uint64_t max_bytes_;
  DocArena arena_;
  uint64_t counter_ = 0;
  std::unordered_map<VarKey, std::string, VarHash> names_;
  std::unordered_map<const Jaxpr*, std::vector<bool>> unused_;
  std::unordered_map<const Jaxpr*, std::string> shared_names_;
  std::unordered_map<const Jaxpr*, std::string> shared_hint_;
  std::map<std::string, int> shared_name_counts_;
  std::set<std::string> used_shared_names_;
};

}  // namespace

std::string Print(const JaxprPtr& jaxpr, const PrintOptions& options) {
  return Printer(options, UINT64_MAX).Run(jaxpr);
}

Result<std::string> PrintWithin(uint64_t max_bytes, const JaxprPtr& jaxpr,
                                const PrintOptions& options) {
  std::string text = Printer(options, max_bytes).Run(jaxpr);
  if (text.size() > max_bytes) {
    return ResourceExhausted(StrCat("the text of the program has more than ", max_bytes, " bytes"));
  }
  return text;
}

}  // namespace megalith::ir
