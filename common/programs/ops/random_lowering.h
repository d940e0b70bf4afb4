// Random keys in terms of their words: how the primitives on keys are lowered.
//
// Source: spec/transforms.md section 7. Each function works on the words of one key (u32[2] for
// fry, u32[4] for rbg and urbg); arrays of keys are lowered by mapping it.
#pragma once

#include "common/programs/ops/rules.h"

namespace megalith::ops {

// The words of key(seed); the seed is an integer scalar.
Value SeedKey(Builder& b, DType key, Value seed, bool x64);
// New keys of the given shape, words last.
Value SplitKey(Builder& b, DType key, Value words, const Dims& shape);
// The key that depends on `data` too, an integer scalar.
Value FoldIntoKey(Builder& b, DType key, Value words, Value data);
// Unsigned integers of 8, 16, 32 or 64 random bits.
Value DrawBits(Builder& b, DType key, Value words, const Dims& shape, DType bits);

}  // namespace megalith::ops
