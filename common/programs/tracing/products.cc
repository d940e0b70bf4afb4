// Products of arrays: dot, matmul, outer, einsum.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/tracing/numpy.h"
#include "common/programs/tracing/promotion.h"

namespace megalith::tracing {

namespace {

Value Product(Builder& b, Value x, Value y, const ir::DotDims& dims, DType dtype) {
  return ir::DotGeneral(b, x, y, dims, {}, ParamValue::Type(dtype));
}

// What jnp.dot multiplies: dtypes may differ, the result has the promoted one.
struct Factors {
  Value x;
  Value y;
  DType dtype;
};
Factors FactorsOf(Trace& t, Builder& b, const Operand& x, const Operand& y) {
  Operands both(t, {&x, &y});
  const Result<PromotedType> type = ResultType(both.avals(), t.x64());
  if (!type.ok()) b.Fail(type.status());
  const Value vx = t.Use(x.array, x.where);
  const Value vy = t.Use(y.array, y.where);
  return {vx, vy, type.ok() ? type->dtype : vx.dtype()};
}

}  // namespace

Array Dot(Operand x, Operand y) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Factors f = FactorsOf(t, b, x, y);
    const auto rx = static_cast<int64_t>(f.x.rank());
    const auto ry = static_cast<int64_t>(f.y.rank());
    ir::DotDims dims;
    if (rx > 0 && ry > 0) dims = {Dims{rx - 1}, Dims{ry == 1 ? 0 : ry - 2}};
    return Product(b, f.x, f.y, dims, f.dtype);
  });
}

namespace {
// Stacks of matrices of which only some dimensions run together; the others belong to one side, as
// jnp.matmul sorts them.
Value StackedProduct(Builder& b, Value x, Value y, DType dtype) {
  const size_t sx = x.rank() - std::min<size_t>(x.rank(), 2);
  const size_t sy = y.rank() - std::min<size_t>(y.rank(), 2);
  const size_t n = std::max(sx, sy);
  Dims x_squeeze, y_squeeze, x_batch, y_batch, batch_out, x_out, y_out;
  int64_t ax = 0;
  int64_t ay = 0;
  for (size_t i = 0; i < n; ++i) {
    const int64_t dx = i + sx >= n ? x.shape()[i + sx - n] : -1;
    const int64_t dy = i + sy >= n ? y.shape()[i + sy - n] : -1;
    const auto at_x = static_cast<int64_t>(i + sx - n);
    const auto at_y = static_cast<int64_t>(i + sy - n);
    const auto out = static_cast<int64_t>(i);
    if (dy < 0) {
      x_out.push_back(out);
      ++ax;
    } else if (dx < 0) {
      y_out.push_back(out);
      ++ay;
    } else if (dx == 1 || dy == 1) {
      if (dx == 1 && dy == 1) {
        y_squeeze.push_back(at_y);
        x_out.push_back(out);
        ++ax;
      } else if (dx == 1) {
        x_squeeze.push_back(at_x);
        y_out.push_back(out);
        ++ay;
      } else {
        y_squeeze.push_back(at_y);
        x_out.push_back(out);
        ++ax;
      }
    } else if (dx == dy) {
      batch_out.push_back(out);
      x_batch.push_back(ax++);
      y_batch.push_back(ay++);
    } else {
      b.Fail(ValueError(
          StrCat("Incompatible shapes for matmul arguments: ", tensor::TupleText(x.shape()),
                 " and ", tensor::TupleText(y.shape()))));
      return x;
    }
  }
  x = ir::Squeeze(b, x, x_squeeze);
  y = ir::Squeeze(b, y, y_squeeze);
  const auto rx = static_cast<int64_t>(x.rank());
  const auto ry = static_cast<int64_t>(y.rank());
  const Value out =
      Product(b, x, y, {Dims{rx - 1}, Dims{ry == 1 ? 0 : ry - 2}, x_batch, y_batch}, dtype);
  // The product has batch, then x's, then y's dimensions.
  const auto rank = static_cast<int64_t>(n);
  Dims order = ir::Concat(batch_out, x_out);
  if (rx > 1) order.push_back(rank);
  order = ir::Concat(order, y_out);
  if (ry > 1) order.push_back(rank + (rx > 1 ? 1 : 0));
  return ir::Transpose(b, out, ir::InversePermutation(order));
}
}  // namespace

Array Matmul(Operand x, Operand y) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Factors f = FactorsOf(t, b, x, y);
    if (f.x.rank() == 0 || f.y.rank() == 0) {
      b.Fail(ValueError(StrCat("matmul input operand ", f.x.rank() == 0 ? 0 : 1,
                               " must have ndim at least 1, but it "
                               "has ndim 0")));
      return f.x;
    }
    return StackedProduct(b, f.x, f.y, f.dtype);
  });
}

Array Outer(Operand x, Operand y) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    Values v = Operands(t, {&x, &y}).Promoted();
    for (Value& each : v)
      each = ir::Reshape(b, each, Shape{tensor::NumElements(each.shape()).value_or(0)});
    const Value column = ir::ExpandDims(b, v[0], {1});
    const Value row = ir::ExpandDims(b, v[1], {0});
    return b.Emit1("mul", {column, row});
  });
}

namespace {

struct EinsumTerms {
  std::string x;
  std::string y;
  std::string out;
};

Result<EinsumTerms> ParseEinsum(std::string_view formula, size_t operands) {
  EinsumTerms e;
  int term = 0;
  for (size_t i = 0; i < formula.size(); ++i) {
    const char c = formula[i];
    if (c == ' ') continue;
    if (c == ',' && term == 0) {
      term = 1;
    } else if (c == '-' && i + 1 < formula.size() && formula[i + 1] == '>' && term < 2) {
      if (static_cast<size_t>(term) + 1 != operands)
        return ValueError("einsum: operands do not match the formula");
      term = 2;
      ++i;
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      std::string& s = term == 0 ? e.x : term == 1 ? e.y : e.out;
      if (s.find(c) != std::string::npos) {
        return Unimplemented(
            StrCat("einsum '", Printable(formula), "': an index stands twice in one term"));
      }
      s.push_back(c);
    } else {
      return Unimplemented(
          StrCat("einsum '", Printable(formula), "': only letters, ',' and '->' are understood"));
    }
  }
  if (term != 2) return Unimplemented("einsum without '->'");
  for (const char c : e.out) {
    if (e.x.find(c) == std::string::npos && e.y.find(c) == std::string::npos) {
      return ValueError(StrCat("Einstein sum subscript '", Printable(formula),
                               "' has an output index that no operand "
                               "has"));
    }
  }
  return e;
}

bool Has(const std::string& term, char c) { return term.find(c) != std::string::npos; }

// Sums over indices that nobody else has.
Value SumAlone(Builder& b, Value x, std::string* term, const std::string& other,
               const std::string& out) {
  Dims axes;
  std::string kept;
  for (size_t i = 0; i < term->size(); ++i) {
    const char c = (*term)[i];
    if (Has(other, c) || Has(out, c)) {
      kept.push_back(c);
    } else {
      axes.push_back(static_cast<int64_t>(i));
    }
  }
  *term = kept;
  return axes.empty() ? x : ir::ReduceSum(b, x, axes);
}

Value TransposeTo(Builder& b, Value x, const std::string& have, const std::string& want) {
  Dims permutation;
  for (const char c : want) permutation.push_back(static_cast<int64_t>(have.find(c)));
  return ir::Transpose(b, x, permutation);
}

Value EinsumPair(Builder& b, EinsumTerms e, Value x, Value y, DType dtype) {
  for (size_t i = 0; i < e.y.size(); ++i) {
    const size_t at = e.x.find(e.y[i]);
    if (at == std::string::npos || x.shape()[at] == y.shape()[i]) continue;
    b.Fail(
        ValueError(StrCat("Size of label '", std::string(1, e.y[i]), "' for operand 1 (",
                          y.shape()[i], ") does not match previous terms (", x.shape()[at], ").")));
    return x;
  }
  x = SumAlone(b, x, &e.x, e.y, e.out);
  y = SumAlone(b, y, &e.y, e.x, e.out);
  const auto product = [&](bool swap, std::string* names) {
    const std::string& l = swap ? e.y : e.x;
    const std::string& r = swap ? e.x : e.y;
    ir::DotDims dims;
    std::string batch;
    std::string free;
    for (size_t i = 0; i < l.size(); ++i) {
      const size_t at = r.find(l[i]);
      if (at == std::string::npos) {
        free.push_back(l[i]);
        continue;
      }
      const bool kept = Has(e.out, l[i]);
      (kept ? dims.lhs_batch : dims.lhs_contract).push_back(static_cast<int64_t>(i));
      (kept ? dims.rhs_batch : dims.rhs_contract).push_back(static_cast<int64_t>(at));
      if (kept) batch.push_back(l[i]);
    }
    for (const char c : r) {
      if (!Has(l, c)) free.push_back(c);
    }
    *names = batch + free;
    return dims;
  };
  // JAX tries the operands in the order that needs no transpose of the result.
  std::string names;
  ir::DotDims dims = product(true, &names);
  const bool swap = names == e.out;
  if (!swap) dims = product(false, &names);
  const Value out = Product(b, swap ? y : x, swap ? x : y, dims, dtype);
  return TransposeTo(b, out, names, e.out);
}

}  // namespace

Array Einsum(std::string_view formula, std::initializer_list<Operand> operands, Place where) {
  return Operation(where, [&](Trace& t, Builder& b) {
    if (operands.size() == 0 || operands.size() > 2) {
      b.Fail(Unimplemented("einsum takes one or two operands"));
      return Value();
    }
    Result<EinsumTerms> terms = ParseEinsum(formula, operands.size());
    if (!terms.ok()) {
      b.Fail(terms.status());
      return Value();
    }
    const Operand& first = *operands.begin();
    const Operand& last = *(operands.end() - 1);
    const Factors f = FactorsOf(t, b, first, last);
    const bool pair = operands.size() == 2;
    if (f.x.rank() != terms->x.size() || (pair && f.y.rank() != terms->y.size())) {
      b.Fail(ValueError(StrCat("Einstein sum subscript '", Printable(formula),
                               "' does not contain the correct number "
                               "of indices for its operands")));
      return Value();
    }
    if (pair) return EinsumPair(b, *terms, f.x, f.y, f.dtype);
    const Value x = SumAlone(b, f.x, &terms->x, "", terms->out);
    return TransposeTo(b, x, terms->x, terms->out);
  });
}

}  // namespace megalith::tracing
