#include "common/programs/tracing/lax.h"

#include "common/foundation/base/strings.h"
#include "common/programs/tracing/trace.h"

namespace megalith::tracing {
namespace {

Values EmitNamed(Trace& t, std::string_view primitive, const Values& operands,
                 ir::NamedParams params) {
  const ir::OpDef* op = t.session().ops().Find(primitive);
  if (op == nullptr) {
    t.builder().Fail(InvalidArgument(StrCat("there is no primitive '", Printable(primitive), "'")));
    return {Value()};
  }
  if (op->arity >= 0 && static_cast<size_t>(op->arity) != operands.size()) {
    t.builder().Fail(
        TypeError(StrCat(primitive, " takes ", op->arity, " operands, got ", operands.size())));
    return {Value()};
  }
  ir::Params all(*op);
  for (const auto& [name, value] : params) {
    bool known = false;
    for (const ir::ParamSpec& spec : op->params) known = known || spec.name == name;
    if (!known) {
      t.builder().Fail(
          InvalidArgument(StrCat(primitive, " has no parameter '", Printable(name), "'")));
      return {Value()};
    }
    all.Set(name, value);
  }
  const Status valid = all.Validate();
  if (!valid.ok()) {
    t.builder().Fail(valid);
    return {Value()};
  }
  return t.builder().Emit(*op, std::move(all), operands);
}

}  // namespace

Array Emit1(std::string_view primitive, std::initializer_list<Operand> operands,
            ir::NamedParams params, Place where) {
  return Operation(where, [&](Trace& t, Builder&) {
    Values values;
    for (const Operand& o : operands) values.push_back(t.Use(o.array, o.where));
    if (!t.ok()) return Value();
    const Values results = EmitNamed(t, primitive, values, params);
    return results.empty() ? Value() : results[0];
  });
}

Arrays EmitN(std::string_view primitive, const Arrays& operands, ir::NamedParams params,
             Place where) {
  return Operations(where, [&](Trace& t, Builder&) {
    Values values;
    for (const Array& a : operands) values.push_back(t.Use(a, where));
    return t.ok() ? EmitNamed(t, primitive, values, params) : Values();
  });
}

namespace lax {

Array Conj(Operand x) {
  return Emit1("conj", {x}, {{"input_dtype", ParamValue::Type(x.array.dtype())}}, x.where);
}

Array IntegerPow(Operand x, int64_t y) {
  return Emit1("integer_pow", {x}, {{"y", ParamValue::Int(y)}}, x.where);
}

Array Round(Operand x, bool to_even) {
  return Emit1("round", {x}, {{"rounding_method", ParamValue::Int(to_even ? 1 : 0)}}, x.where);
}

Array ReducePrecision(Operand x, int64_t exponent_bits, int64_t mantissa_bits) {
  return Emit1("reduce_precision", {x},
               {{"exponent_bits", ParamValue::Int(exponent_bits)},
                {"mantissa_bits", ParamValue::Int(mantissa_bits)}},
               x.where);
}

Array Select(Operand pred, Operand on_true, Operand on_false) {
  return Emit1("select_n", {pred, on_false, on_true}, {}, pred.where);
}

Array DotGeneral(Operand x, Operand y, const DotNumbers& numbers, DType preferred) {
  const ir::DotDims dims{numbers.lhs_contract, numbers.rhs_contract, numbers.lhs_batch,
                         numbers.rhs_batch};
  return Emit1("dot_general", {x, y},
               {{"dimension_numbers", ir::DotDimsParam(dims)},
                {"preferred_element_type",
                 preferred == DType::kInvalid ? ParamValue() : ParamValue::Type(preferred)}},
               x.where);
}

}  // namespace lax
}  // namespace megalith::tracing
