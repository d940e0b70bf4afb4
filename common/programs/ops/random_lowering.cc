#include "common/programs/ops/random_lowering.h"

namespace megalith::ops {
namespace {

using ir::Binary;
using ir::ConvertElementType;

Value Word(Builder& b, Value words, int64_t i) {
  return ir::Squeeze(b, ir::Slice(b, words, Dims{i}, Dims{i + 1}), Dims{0});
}

// A 64-bit counter per element, in row-major order, as high and low words.
std::vector<Value> Counters(Builder& b, const Dims& shape) {
  if (shape.empty()) return std::vector<Value>(2, ir::ScalarOf(b, DType::kU32, 0));
  return b.EmitN("iota_2x32_shape", std::span<const Value>(), {{"shape", ParamValue::Ints(shape)}});
}

std::vector<Value> Hash(Builder& b, Value key0, Value key1, Value x0, Value x1) {
  const Value operands[] = {key0, key1, x0, x1};
  std::vector<Value> out = b.EmitN("threefry2x32", operands);
  if (!b.ok()) out.assign(2, x0);
  return out;
}

std::vector<Value> HashCounters(Builder& b, Value words, const Dims& shape) {
  const Value key0 = Word(b, words, 0);
  const Value key1 = Word(b, words, 1);
  const std::vector<Value> counters = Counters(b, shape);
  if (counters.size() != 2) return std::vector<Value>(2, key0);
  return Hash(b, key0, key1, counters[0], counters[1]);
}

// The seed's 64 bits as two words; of a narrower seed the high word is zero.
Value ThreefrySeed(Builder& b, Value seed, bool x64) {
  const DType dtype = seed.dtype();
  const Value high = Binary(b, "shift_right_logical", seed, b.Lit(Literal::Int(dtype, 32)));
  const Value first = ir::ExpandDims(b, ConvertElementType(b, high, DType::kU32), Dims{0});
  // NumPy's promotion with u32: signed types become 64-bit ones, where there are any.
  DType wide = dtype;
  if (tensor::IsSigned(dtype)) {
    wide = x64 ? DType::kI64 : DType::kI32;
  } else if (tensor::BitWidth(dtype) < 32) {
    wide = DType::kU32;
  }
  const Value low =
      Binary(b, "and", ConvertElementType(b, seed, wide), b.Lit(Literal::Int(wide, 0xFFFFFFFF)));
  const Value second = ir::ExpandDims(b, ConvertElementType(b, low, DType::kU32), Dims{0});
  return ir::Concatenate(b, std::vector<Value>{first, second}, 0);
}

Value ThreefrySplit(Builder& b, Value words, const Dims& shape) {
  const std::vector<Value> bits = HashCounters(b, words, shape);
  const auto last = static_cast<int64_t>(shape.size());
  const Value first = ir::ExpandDims(b, bits[0], Dims{last});
  const Value second = ir::ExpandDims(b, bits[1], Dims{last});
  return ir::Concatenate(b, std::vector<Value>{first, second}, last);
}

// Hashes the seed made of `data` with the key.
Value ThreefryFoldIn(Builder& b, Value words, Value data) {
  const Value seed = ThreefrySeed(b, data, false);
  const Value key0 = Word(b, words, 0);
  const Value key1 = Word(b, words, 1);
  const Value x0 = ir::Slice(b, seed, Dims{0}, Dims{1});
  const Value x1 = ir::Slice(b, seed, Dims{1}, Dims{2});
  return ir::Concatenate(b, Hash(b, key0, key1, x0, x1), 0);
}

Value ThreefryBits(Builder& b, Value words, const Dims& shape, DType bits) {
  const std::vector<Value> hashed = HashCounters(b, words, shape);
  if (bits == DType::kU64) {
    const Value high = ConvertElementType(b, hashed[0], bits);
    const Value low = ConvertElementType(b, hashed[1], bits);
    return Binary(b, "or", Binary(b, "shift_left", high, b.Lit(Literal::Int(bits, 32))), low);
  }
  return ConvertElementType(b, Binary(b, "xor", hashed[0], hashed[1]), bits);
}

// ---- keys of four words ----

Value GeneratedBits(Builder& b, Value words, const Dims& shape, DType dtype) {
  const std::vector<Value> out = b.EmitN("rng_bit_generator", {&words, 1},
                                         {{"algorithm", ParamValue::Text("RNG_DEFAULT")},
                                          {"dtype", ParamValue::Type(dtype)},
                                          {"shape", ParamValue::Ints(shape)}});
  return out.size() == 2 ? out[1] : words;
}

Value HalfKey(Builder& b, Value words, int64_t i) {
  return ir::Slice(b, words, Dims{2 * i}, Dims{2 * i + 2});
}

Shape WithWords(const Dims& shape) {
  Shape out = shape;
  out.push_back(4);
  return out;
}

// Each half of an rbg key is split as a fry key; a urbg key is split by the generator.
Value WideSplit(Builder& b, DType key, Value words, const Dims& shape) {
  if (key == DType::kKeyRbg) {
    const Value first = ThreefrySplit(b, HalfKey(b, words, 0), shape);
    const Value second = ThreefrySplit(b, HalfKey(b, words, 1), shape);
    return ir::Concatenate(b, std::vector<Value>{first, second},
                           static_cast<int64_t>(shape.size()));
  }
  const int64_t count = tensor::NumElements(shape).value_or(0);
  const Value drawn = GeneratedBits(b, words, Dims{10 * count, 4}, DType::kU32);
  const Value kept = ir::Slice(b, drawn, Dims{0, 0}, drawn.shape(), Dims{10, 1});
  return ir::Reshape(b, kept, WithWords(shape));
}

Value WideSeed(Builder& b, Value seed, bool x64) {
  const Value half = ThreefrySeed(b, seed, x64);
  return ir::Concatenate(b, std::vector<Value>{half, half}, 0);
}

Value WideFoldIn(Builder& b, DType key, Value words, Value data) {
  if (key == DType::kKeyRbg) {
    const Value first = ThreefryFoldIn(b, HalfKey(b, words, 0), data);
    const Value second = ThreefryFoldIn(b, HalfKey(b, words, 1), data);
    return ir::Concatenate(b, std::vector<Value>{first, second}, 0);
  }
  const Value drawn = GeneratedBits(b, WideSeed(b, data, false), Dims{10, 4}, DType::kU32);
  const Value row = ir::Squeeze(b, ir::Slice(b, drawn, Dims{9, 0}, Dims{10, 4}), Dims{0});
  return Binary(b, "xor", words, row);
}

}  // namespace

Value SeedKey(Builder& b, DType key, Value seed, bool x64) {
  return key == DType::kKeyFry ? ThreefrySeed(b, seed, x64) : WideSeed(b, seed, x64);
}

Value SplitKey(Builder& b, DType key, Value words, const Dims& shape) {
  return key == DType::kKeyFry ? ThreefrySplit(b, words, shape) : WideSplit(b, key, words, shape);
}

Value FoldIntoKey(Builder& b, DType key, Value words, Value data) {
  const Value word = ConvertElementType(b, data, DType::kU32);
  return key == DType::kKeyFry ? ThreefryFoldIn(b, words, word) : WideFoldIn(b, key, words, word);
}

Value DrawBits(Builder& b, DType key, Value words, const Dims& shape, DType bits) {
  return key == DType::kKeyFry ? ThreefryBits(b, words, shape, bits)
                               : GeneratedBits(b, words, shape, bits);
}

}  // namespace megalith::ops
