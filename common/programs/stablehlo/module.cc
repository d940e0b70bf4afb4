#include "common/programs/stablehlo/module.h"

#include <utility>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {

Attr Op::attr_or_default(std::string_view attr_name, const Func& func) const {
  const Attr& given = attr(attr_name);
  if (given.present()) return given;
  const AttrSpec* spec = def->FindAttr(attr_name);
  if (spec == nullptr || spec->fallback == nullptr) return Attr();
  return spec->fallback(*this, func);
}

std::vector<TensorType> Func::input_types() const {
  std::vector<TensorType> out;
  out.reserve(body.args.size());
  for (const ValueId v : body.args) out.push_back(types[v]);
  return out;
}

Result<Func*> Module::AddFunc(Func func) {
  const auto [it, fresh] = index_.try_emplace(func.name, funcs_.size());
  if (!fresh) return InvalidArgument(StrCat("function @", func.name, " is defined twice"));
  funcs_.push_back(std::move(func));
  return &funcs_.back();
}

const Func* Module::Find(std::string_view func_name) const {
  const auto it = index_.find(std::string(func_name));
  return it == index_.end() ? nullptr : &funcs_[it->second];
}

Result<const Func*> Module::Entry() const {
  if (const Func* main = Find("main")) return main;
  const Func* entry = nullptr;
  for (const Func& f : funcs_) {
    if (f.visibility == Visibility::kPrivate) continue;
    if (entry != nullptr) {
      return InvalidArgument(
          StrCat("no @main, and both @", entry->name, " and @", f.name, " are public"));
    }
    entry = &f;
  }
  if (entry == nullptr) return InvalidArgument("the module has no public function");
  return entry;
}

size_t Module::CountOps() const {
  size_t n = 0;
  for (const Func& f : funcs_) ForEachOp(f.body, [&](const Op&) { ++n; });
  return n;
}

}  // namespace megalith::stablehlo
