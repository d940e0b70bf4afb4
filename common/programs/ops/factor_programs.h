// Factorizations and solvers as programs of simpler primitives: what they are lowered to where
// there is no library call. Equations and their order follow jax/_src/lax/linalg.py, so that both
// give the same program.
#pragma once

#include "common/programs/ops/rules.h"

namespace megalith::ops {

// Packed factors, pivots and the permutation of rows for a batch of matrices; blocks of 128
// columns.
std::vector<Value> LuProgram(Builder& b, Value x);
// The permutation that exchanging row i with row pivots[i], for each i in turn, amounts to.
Value PivotsToPermutation(Builder& b, Value pivots, int64_t size);

// q and r, and with `pivoting` the order of columns. `use_magma` is passed on.
std::vector<Value> QrProgram(Builder& b, Value x, const Params& params);

// The solution of tridiagonal systems by elimination without pivots; operands as of
// tridiagonal_solve.
Value TridiagonalSolveProgram(Builder& b, std::span<const Value> operands);

// The factor R of R^T R + w w^T, by one plane rotation per row.
Value CholeskyUpdateProgram(Builder& b, Value r, Value w);

// alpha a a^T + beta c.
Value SymmetricProductProgram(Builder& b, Value a, Value c, double alpha, double beta);

}  // namespace megalith::ops
