// Runs the samples of primitive records: instantiates them for a dtype, draws inputs, transforms
// and evaluates them. For tests.
#pragma once

#include <string>
#include <vector>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor.h"
#include "common/programs/ir/jaxpr.h"
#include "common/programs/ir/op_def.h"

namespace megalith::ops {

using tensor::Tensor;
using Tensors = std::vector<Tensor>;

// The sample's text for one primitive, with `dtype` in place of f32 (and the matching complex dtype
// in place of c64). Empty if the sample cannot be had with this dtype: it names others that would
// no longer fit, or has literals that the dtype does not.
std::string Instantiate(const ir::Sample& sample, std::string_view op, tensor::DType dtype);

// Parses and type-checks.
Result<ir::JaxprPtr> LoadSample(const std::string& text);

// One random array per input, from the domain; integers and booleans from small ranges, keys from
// all words.
Tensors DrawInputs(const ir::Jaxpr& jaxpr, ir::Domain domain, Rng& rng);
Tensor Draw(const ir::Aval& aval, ir::Domain domain, Rng& rng);

// Lowers to StableHLO, verifies and evaluates.
Result<Tensors> Evaluate(const ir::JaxprPtr& jaxpr, const Tensors& inputs);

// primals, tangents of the inexact inputs -> outputs, tangents of the inexact outputs.
Result<ir::JaxprPtr> JvpOf(const ir::JaxprPtr& jaxpr);
// primals, cotangents of the inexact outputs -> cotangents of the inexact inputs.
Result<ir::JaxprPtr> VjpOf(const ir::JaxprPtr& jaxpr);
// Every input with in_dims[i] >= 0 gets a dimension of `size` there; results get theirs first.
Result<ir::JaxprPtr> VmapOf(const ir::JaxprPtr& jaxpr, const std::vector<int>& in_dims,
                            int64_t size);

// Element i along a dimension, and the reverse for dimension 0.
Tensor TakeAlong(const Tensor& t, int dim, int64_t i);
Tensor Stack(const Tensors& parts);

// x + scale * direction, elementwise, for inexact dtypes.
Tensor Moved(const Tensor& x, const Tensor& direction, double scale);
// The real part of the sum of products, JAX's pairing of cotangents and tangents.
double Pairing(const Tensors& a, const Tensors& b);

// The largest difference, relative to the largest magnitude in either (at least 1); NaN equals NaN,
// infinities of one sign are equal. Infinite for different shapes or dtypes.
double Distance(const Tensor& a, const Tensor& b);

}  // namespace megalith::ops
