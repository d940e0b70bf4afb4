#include "common/programs/ir/params.h"

#include "common/foundation/base/strings.h"
#include "common/programs/ir/jaxpr.h"
#include "common/programs/ir/op_def.h"

namespace megalith::ir {

struct ParamValue::Compound {
  std::string name;
  std::vector<std::string> fields;
  ParamValues values;
};

namespace {

const std::string& EmptyText() {
  static const std::string empty;
  return empty;
}

struct JaxprHolder {
  JaxprPtr jaxpr;
};
struct RuleHolder {
  std::shared_ptr<const CustomRule> rule;
};

}  // namespace

ParamValue ParamValue::Bool(bool v) {
  ParamValue p;
  p.kind_ = Kind::kBool;
  p.int_ = v;
  return p;
}

ParamValue ParamValue::Int(int64_t v, bool numpy) {
  ParamValue p;
  p.kind_ = Kind::kInt;
  p.int_ = v;
  p.numpy_ = numpy;
  return p;
}

ParamValue ParamValue::Float(double v) {
  ParamValue p;
  p.kind_ = Kind::kFloat;
  p.float_ = v;
  return p;
}

ParamValue ParamValue::Text(std::string v) {
  ParamValue p;
  p.kind_ = Kind::kText;
  p.shared_ = std::make_shared<const std::string>(std::move(v));
  return p;
}

ParamValue ParamValue::Type(DType v) {
  ParamValue p;
  p.kind_ = Kind::kDType;
  p.int_ = static_cast<int64_t>(v);
  return p;
}

ParamValue ParamValue::Tuple(ParamValues v) {
  ParamValue p;
  p.kind_ = Kind::kTuple;
  p.shared_ = std::make_shared<const Compound>(Compound{"", {}, std::move(v)});
  return p;
}

ParamValue ParamValue::List(ParamValues v) {
  ParamValue p = Tuple(std::move(v));
  p.kind_ = Kind::kList;
  return p;
}

ParamValue ParamValue::NamedTuple(std::string name, std::vector<std::string> fields,
                                  ParamValues values) {
  ParamValue p;
  p.kind_ = Kind::kNamedTuple;
  p.shared_ = std::make_shared<const Compound>(
      Compound{std::move(name), std::move(fields), std::move(values)});
  return p;
}

ParamValue ParamValue::Ints(std::span<const int64_t> v, bool numpy) {
  ParamValues values;
  values.reserve(v.size());
  for (const int64_t i : v) values.push_back(Int(i, numpy));
  return Tuple(std::move(values));
}

ParamValue ParamValue::Bools(const std::vector<bool>& v) {
  ParamValues values;
  values.reserve(v.size());
  for (const bool b : v) values.push_back(Bool(b));
  return Tuple(std::move(values));
}

ParamValue ParamValue::SubJaxpr(JaxprPtr v) {
  ParamValue p;
  p.kind_ = Kind::kJaxpr;
  p.shared_ = std::make_shared<const JaxprHolder>(JaxprHolder{std::move(v)});
  return p;
}

ParamValue ParamValue::SubJaxprs(const std::vector<JaxprPtr>& v) {
  ParamValues values;
  for (const JaxprPtr& j : v) values.push_back(SubJaxpr(j));
  return Tuple(std::move(values));
}

ParamValue ParamValue::Rule(std::shared_ptr<const CustomRule> v) {
  if (v == nullptr) return None();
  ParamValue p;
  p.kind_ = Kind::kCustomRule;
  p.shared_ = std::make_shared<const RuleHolder>(RuleHolder{std::move(v)});
  return p;
}

const std::string& ParamValue::AsText() const {
  return kind_ == Kind::kText ? *static_cast<const std::string*>(shared_.get()) : EmptyText();
}

const ParamValues& ParamValue::elements() const {
  static const ParamValues empty;
  return is_sequence() ? static_cast<const Compound*>(shared_.get())->values : empty;
}

const std::string& ParamValue::tuple_name() const {
  return is_sequence() ? static_cast<const Compound*>(shared_.get())->name : EmptyText();
}

const std::vector<std::string>& ParamValue::fields() const {
  static const std::vector<std::string> empty;
  return is_sequence() ? static_cast<const Compound*>(shared_.get())->fields : empty;
}

const ParamValue& ParamValue::Field(std::string_view name) const {
  static const ParamValue none{};
  const std::vector<std::string>& names = fields();
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return elements()[i];
  }
  return none;
}

Dims ParamValue::AsInts() const {
  Dims out;
  for (const ParamValue& v : elements()) out.push_back(v.AsInt());
  return out;
}

std::vector<bool> ParamValue::AsBools() const {
  std::vector<bool> out;
  for (const ParamValue& v : elements()) out.push_back(v.AsBool());
  return out;
}

const JaxprPtr& ParamValue::AsJaxpr() const {
  static const JaxprPtr null;
  return kind_ == Kind::kJaxpr ? static_cast<const JaxprHolder*>(shared_.get())->jaxpr : null;
}

std::vector<JaxprPtr> ParamValue::AsJaxprs() const {
  std::vector<JaxprPtr> out;
  for (const ParamValue& v : elements()) {
    if (v.kind() == Kind::kJaxpr) out.push_back(v.AsJaxpr());
  }
  return out;
}

const std::shared_ptr<const CustomRule>& ParamValue::AsRule() const {
  static const std::shared_ptr<const CustomRule> null;
  return kind_ == Kind::kCustomRule ? static_cast<const RuleHolder*>(shared_.get())->rule : null;
}

ParamValue ParamValue::Avals(std::span<const Aval> avals) {
  ParamValues values;
  for (const Aval& a : avals)
    values.push_back(Tuple({Type(a.dtype), Bool(a.weak_type), Ints(a.shape)}));
  return Tuple(std::move(values));
}

std::vector<Aval> ParamValue::AsAvals() const {
  std::vector<Aval> out;
  for (const ParamValue& v : elements()) {
    if (v.elements().size() != 3) continue;
    out.push_back(
        Aval{v.elements()[0].AsDType(), v.elements()[1].AsBool(), v.elements()[2].AsInts()});
  }
  return out;
}

bool operator==(const ParamValue& a, const ParamValue& b) {
  using Kind = ParamValue::Kind;
  if (a.kind_ != b.kind_) return false;
  switch (a.kind_) {
    case Kind::kNone:
      return true;
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kDType:
      return a.int_ == b.int_;
    case Kind::kFloat:
      return a.float_ == b.float_;
    case Kind::kText:
      return a.AsText() == b.AsText();
    case Kind::kTuple:
    case Kind::kList:
      return a.elements() == b.elements();
    case Kind::kNamedTuple:
      return a.tuple_name() == b.tuple_name() && a.fields() == b.fields() &&
             a.elements() == b.elements();
    case Kind::kJaxpr:
      return a.AsJaxpr() == b.AsJaxpr();
    case Kind::kCustomRule:
      return a.AsRule() == b.AsRule();
  }
  return false;
}

IntTuple::IntTuple(const ParamValue& v) : dims_(v.AsInts()) {
  for (const ParamValue& e : v.elements()) numpy_.push_back(e.numpy());
}

IntTuple IntTuple::Numpy(Dims dims) {
  IntTuple out(std::move(dims));
  out.numpy_.assign(out.size(), true);
  return out;
}

IntTuple IntTuple::Plus(int64_t by) const {
  IntTuple out = *this;
  for (int64_t& d : out.dims_) d += by;
  return out;
}

void IntTuple::insert(size_t at, int64_t v) {
  dims_.insert(at, v);
  numpy_.insert(numpy_.begin() + static_cast<int64_t>(at), false);
}

ParamValue IntTuple::Param() const {
  ParamValues values;
  for (size_t i = 0; i < size(); ++i) values.push_back(ParamValue::Int(dims_[i], numpy_[i]));
  return ParamValue::Tuple(std::move(values));
}

std::string ParamValue::PythonText(bool inside_tuple) const {
  switch (kind_) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return int_ ? "True" : "False";
    case Kind::kInt:
      return numpy_ ? StrCat("np.int64(", int_, ")") : StrCat(int_);
    case Kind::kFloat:
      return PythonFloat(float_);
    case Kind::kText:
      return AsText();
    case Kind::kDType:
      return std::string(tensor::NumpyName(AsDType()));
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kNamedTuple: {
      std::string out = kind_ == Kind::kList ? "[" : StrCat(tuple_name(), "(");
      for (size_t i = 0; i < elements().size(); ++i) {
        if (i > 0) out += ", ";
        if (kind_ == Kind::kNamedTuple) StrAppend(&out, fields()[i], "=");
        out += elements()[i].PythonText(true);
      }
      if (kind_ == Kind::kTuple && elements().size() == 1) out += ",";
      out += kind_ == Kind::kList ? "]" : ")";
      return out;
    }
    case Kind::kJaxpr:
    case Kind::kCustomRule:
      return inside_tuple ? "<jaxpr>" : "";
  }
  return "";
}

namespace {

ParamValue FallbackOf(const ParamSpec& spec) {
  const std::string_view f = spec.fallback;
  if (f.empty() || f == "None") return ParamValue::None();
  if (f == "True" || f == "False") return ParamValue::Bool(f == "True");
  if (f == "()") return ParamValue::Tuple({});
  if (const auto i = ParseInt(f)) return ParamValue::Int(*i);
  return ParamValue::Text(std::string(f));
}

bool Fits(const ParamSpec& spec, const ParamValue& v) {
  using Type = ParamSpec::Type;
  using Kind = ParamValue::Kind;
  if (v.is_none())
    return spec.nullable || spec.fallback == "None" || spec.type == Type::kAny ||
           spec.type == Type::kRule;
  const auto all = [&v](Kind kind) {
    for (const ParamValue& e : v.elements()) {
      if (e.kind() != kind) return false;
    }
    return true;
  };
  switch (spec.type) {
    case Type::kAny:
      return true;
    case Type::kBool:
      return v.kind() == Kind::kBool;
    case Type::kInt:
      return v.kind() == Kind::kInt;
    case Type::kFloat:
      return v.kind() == Kind::kFloat || v.kind() == Kind::kInt;
    case Type::kText:
      return v.kind() == Kind::kText;
    case Type::kDType:
      return v.kind() == Kind::kDType;
    case Type::kInts:
      return v.kind() == Kind::kTuple && all(Kind::kInt);
    case Type::kTuple:
      return v.is_sequence();
    case Type::kJaxpr:
      return v.kind() == Kind::kJaxpr;
    case Type::kJaxprs:
      return v.kind() == Kind::kTuple && all(Kind::kJaxpr);
    case Type::kRule:
      return v.kind() == Kind::kCustomRule;
  }
  return false;
}

constexpr std::string_view kTypeNames[] = {
    "any value",           "a bool",  "an integer", "a number",          "a name", "a dtype",
    "a tuple of integers", "a tuple", "a jaxpr",    "a tuple of jaxprs", "a rule"};

}  // namespace

Params::Params(const OpDef& op) : op_(&op) {
  values_.reserve(op.params.size());
  for (const ParamSpec& spec : op.params) values_.push_back(FallbackOf(spec));
}

const ParamValue& Params::operator[](std::string_view name) const {
  static const ParamValue none{};
  if (op_ == nullptr) return none;
  for (size_t i = 0; i < values_.size(); ++i) {
    if (op_->params[i].name == name) return values_[i];
  }
  return none;
}

Params& Params::Set(std::string_view name, ParamValue value) {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (op_->params[i].name == name) {
      values_[i] = std::move(value);
      return *this;
    }
  }
  CHECK(false && "parameter not in the specification");
  return *this;
}

Status Params::Validate() const {
  for (size_t i = 0; i < values_.size(); ++i) {
    const ParamSpec& spec = op_->params[i];
    if (Fits(spec, values_[i])) continue;
    if (values_[i].is_none()) {
      return InvalidArgument(StrCat(op_->name, " needs the parameter '", spec.name, "'"));
    }
    return InvalidArgument(StrCat("parameter '", spec.name, "' of ", op_->name, " must be ",
                                  kTypeNames[static_cast<size_t>(spec.type)], ", got ",
                                  Printable(values_[i].PythonText())));
  }
  return OkStatus();
}

}  // namespace megalith::ir
