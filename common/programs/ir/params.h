// Parameters of equations: what stands between the brackets of `slice[limit_indices=(4,)
// start_indices=(1,) ...]`.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/ir/aval.h"

namespace megalith::ir {

class Jaxpr;
struct CustomRule;
struct OpDef;
class ParamValue;
using JaxprPtr = std::shared_ptr<const Jaxpr>;
using ParamValues = std::vector<ParamValue>;

// One value, of the kinds Python values have in JAX's parameters. Immutable and cheap to copy:
// compound values are shared.
class ParamValue {
 public:
  enum class Kind : uint8_t {
    kNone,
    kBool,
    kInt,  // with a flag for NumPy integers, which print as np.int64(1)
    kFloat,
    kText,  // whatever Python's str gives: names, enumerators, functions
    kDType,
    kTuple,       // (a, b)
    kList,        // [a, b]
    kNamedTuple,  // Name(field=a, ...)
    kJaxpr,
    kCustomRule,  // the rule bodies of custom_jvp_call, custom_vjp_call and custom_lin; never
                  // printed
  };

  ParamValue() = default;
  static ParamValue None() { return ParamValue(); }
  static ParamValue Bool(bool v);
  static ParamValue Int(int64_t v, bool numpy = false);
  static ParamValue Float(double v);
  static ParamValue Text(std::string v);
  static ParamValue Type(DType v);
  static ParamValue Tuple(ParamValues v);
  static ParamValue List(ParamValues v);
  // `fields` and `values` have equal length.
  static ParamValue NamedTuple(std::string name, std::vector<std::string> fields,
                               ParamValues values);
  // A tuple of integers; NumPy's where JAX computes them with NumPy, which shows in text.
  static ParamValue Ints(std::span<const int64_t> v, bool numpy = false);
  static ParamValue Bools(const std::vector<bool>& v);
  static ParamValue SubJaxpr(JaxprPtr v);
  static ParamValue SubJaxprs(const std::vector<JaxprPtr>& v);
  static ParamValue Rule(std::shared_ptr<const CustomRule> v);

  Kind kind() const { return kind_; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_sequence() const {
    return kind_ == Kind::kTuple || kind_ == Kind::kList || kind_ == Kind::kNamedTuple;
  }

  // Each accessor gives a neutral value (false, 0, "", empty, null) when the kind is another one:
  // the parameter specification of the primitive has been checked before rules run.
  bool AsBool() const { return (kind_ == Kind::kBool || kind_ == Kind::kInt) && int_ != 0; }
  int64_t AsInt() const { return kind_ == Kind::kInt || kind_ == Kind::kBool ? int_ : 0; }
  bool numpy() const { return numpy_; }
  double AsFloat() const { return kind_ == Kind::kFloat ? float_ : static_cast<double>(AsInt()); }
  const std::string& AsText() const;
  DType AsDType() const {
    return kind_ == Kind::kDType ? static_cast<DType>(int_) : DType::kInvalid;
  }
  const ParamValues& elements() const;  // of tuples, lists and named tuples
  const std::string& tuple_name() const;
  const std::vector<std::string>& fields() const;
  const ParamValue& Field(std::string_view name) const;  // of a named tuple; None if absent
  Dims AsInts() const;
  std::vector<bool> AsBools() const;
  const JaxprPtr& AsJaxpr() const;
  std::vector<JaxprPtr> AsJaxprs() const;
  const std::shared_ptr<const CustomRule>& AsRule() const;

  // Types as a tuple of (dtype, weak, dims) and back.
  static ParamValue Avals(std::span<const Aval> avals);
  std::vector<Aval> AsAvals() const;

  // Equal kind and value; NumPy flags do not count, sub-jaxprs and rules compare by identity.
  friend bool operator==(const ParamValue& a, const ParamValue& b);

  // As Python prints it, without sub-jaxprs (which the printer lays out); strings inside tuples are
  // quoted.
  std::string PythonText(bool inside_tuple = false) const;

 private:
  struct Compound;
  Kind kind_ = Kind::kNone;
  bool numpy_ = false;
  union {
    int64_t int_ = 0;
    double float_;
  };
  std::shared_ptr<const void>
      shared_;  // std::string, Compound, Jaxpr holder or CustomRule, by kind
};

// A tuple of integers that knows which of them are NumPy's. JAX computes some dimension numbers
// with NumPy, and text shows it; rules whose parameters live on in other equations keep the marks.
class IntTuple {
 public:
  IntTuple() = default;
  IntTuple(Dims python)
      : dims_(std::move(python)), numpy_(dims_.size(), false) {}  // NOLINT: implicit by design
  IntTuple(std::initializer_list<int64_t> python) : IntTuple(Dims(python)) {}
  // Of a tuple parameter.
  explicit IntTuple(const ParamValue& v);
  static IntTuple Numpy(Dims dims);

  const Dims& dims() const { return dims_; }
  operator const Dims&() const { return dims_; }  // NOLINT: implicit by design
  size_t size() const { return dims_.size(); }
  int64_t operator[](size_t i) const { return dims_[i]; }
  const int64_t* begin() const { return dims_.begin(); }
  const int64_t* end() const { return dims_.end(); }
  // Every element plus `by`, marked as before.
  IntTuple Plus(int64_t by) const;
  // A Python integer in front of the one at `at`; requires at <= size().
  void insert(size_t at, int64_t v);
  ParamValue Param() const;

 private:
  Dims dims_;
  std::vector<bool> numpy_;
};

// What a parameter of a primitive is called, may hold, defaults to and when it is printed.
struct ParamSpec {
  enum class Type : uint8_t {
    kAny,  // any printable value, kept as it is
    kBool,
    kInt,
    kFloat,
    kText,  // raw text
    kDType,
    kInts,   // tuple of integers
    kTuple,  // any tuple, list or named tuple
    kJaxpr,
    kJaxprs,  // tuple of jaxprs
    kRule,    // never in text
  };
  enum class Show : uint8_t {
    kAlways,
    kUnlessDefault,  // hidden when it has the default value
    kNever,
  };
  std::string_view name;
  Type type = Type::kAny;
  Show show = Show::kAlways;
  // What a text that does not show the parameter means: "None", "False", "True", "0", "()" ... ;
  // empty = required.
  std::string_view fallback = "";
  bool nullable = false;  // None is also allowed
};

// The parameters of one equation, in the order of its primitive's specification. Immutable once
// shared.
class Params {
 public:
  Params() = default;
  // Every parameter at its default (None where there is none).
  explicit Params(const OpDef& op);

  const ParamValue& operator[](std::string_view name) const;
  // The name must be in the specification.
  Params& Set(std::string_view name, ParamValue value);
  const ParamValues& values() const { return values_; }
  const OpDef* op() const { return op_; }

  Dims Ints(std::string_view name) const { return (*this)[name].AsInts(); }
  int64_t Int(std::string_view name) const { return (*this)[name].AsInt(); }
  bool Bool(std::string_view name) const { return (*this)[name].AsBool(); }
  DType Type(std::string_view name) const { return (*this)[name].AsDType(); }
  const std::string& Text(std::string_view name) const { return (*this)[name].AsText(); }
  const JaxprPtr& Sub(std::string_view name) const { return (*this)[name].AsJaxpr(); }

  // Checks every value against the specification; the message names primitive and parameter.
  Status Validate() const;

  friend bool operator==(const Params& a, const Params& b) {
    return a.op_ == b.op_ && a.values_ == b.values_;
  }

 private:
  const OpDef* op_ = nullptr;
  ParamValues values_;
};

}  // namespace megalith::ir
