#include "tests/property/random_program.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/verify.h"
#include "tests/property/generator.h"

namespace megalith::property {
namespace {

constexpr int kMaxDepth = 3;

std::vector<FamilyRow> AllFamilies() {
  std::vector<FamilyRow> rows;
  for (const auto families :
       {ElementwiseFamilies(), ShapeFamilies(), IndexFamilies(), ReductionFamilies(),
        LinalgFamilies(), ControlFamilies(), CallFamilies()}) {
    rows.insert(rows.end(), families.begin(), families.end());
  }
  return rows;
}

const FamilyRow& PickFamily(Rng& rng) {
  static const std::vector<FamilyRow> rows = AllFamilies();
  static const int total = [] {
    int sum = 0;
    for (const FamilyRow& r : rows) sum += r.weight;
    return sum;
  }();
  auto at = static_cast<int>(rng.Below(static_cast<uint64_t>(total)));
  for (const FamilyRow& r : rows) {
    if (at < r.weight) return r;
    at -= r.weight;
  }
  return rows.front();
}

}  // namespace

Generator::Generator(uint64_t seed, const ProgramOptions& options)
    : rng_(seed), options_(options), builder_("main") {
  TakeSizes();
}

// Most programs are small, so that many are tried; some reach past tiles and threads, and a few
// past all caches, with not many operations then.
void Generator::TakeSizes() {
  const uint64_t size = rng_.Below(1600);
  const bool huge = size == 0;
  max_elements_ = huge         ? options_.max_elements
                  : size < 40  ? 100'000
                  : size < 240 ? 5'000
                  : size < 800 ? 600
                               : 70;
  max_elements_ = std::min(max_elements_, options_.max_elements);
  budget_ = max_elements_ * (huge ? 8 : 40);
}

Result<RandomProgram> Generator::Make() {
  AddInputs();
  const int cap = std::max(options_.max_ops, 1);
  EmitSome(static_cast<int>(Between(rng_, 1, OneIn(rng_, 3) ? cap : std::min(cap, 12))));
  ReturnSome();
  RandomProgram out;
  RETURN_IF_ERROR(builder_.FinishInto(&module_));
  out.module = std::move(module_);
  RETURN_IF_ERROR(stablehlo::Verify(out.module));
  out.inputs = std::move(inputs_);
  return out;
}

void Generator::AddInputs() {
  const auto count = Between(rng_, 1, 4);
  const DType favourite = RandomDType(rng_);
  const Shape shape = RandomShape(rng_, max_elements_);
  for (int64_t i = 0; i < count; ++i) {
    const TensorType type{OneIn(rng_, 3) ? RandomDType(rng_) : favourite,
                          OneIn(rng_, 3) ? RandomShape(rng_, max_elements_) : shape};
    Keep(builder_.Arg(type));
    inputs_.push_back(RandomTensor(rng_, type.dtype, type.shape, RandomMood(rng_)));
  }
  num_inputs_ = pool_.size();
}

std::string Generator::Function(std::span<const TensorType> args,
                                std::vector<TensorType>* results) {
  const std::string name = StrCat("f", functions_++);
  FuncBuilder outer = std::exchange(builder_, FuncBuilder(name, stablehlo::Visibility::kPrivate));
  std::vector<ValueId> scope = std::exchange(pool_, {});
  std::set<ValueId> used = std::exchange(used_, {});
  for (const TensorType& t : args) pool_.push_back(builder_.Arg(t));
  ++depth_;
  EmitSome(static_cast<int>(Between(rng_, 1, 6)));
  --depth_;
  std::vector<ValueId> returned;
  for (int64_t i = Between(rng_, 1, 3); i > 0; --i) returned.push_back(Any());
  for (const ValueId v : returned) results->push_back(type(v));
  builder_.Return(returned);
  const Status made = builder_.FinishInto(&module_);
  builder_ = std::move(outer);
  pool_ = std::move(scope);
  used_ = std::move(used);
  if (!made.ok()) builder_.Fail(made);
  return made.ok() ? name : std::string();
}

void Generator::ReturnSome() {
  std::vector<ValueId> results;
  const int64_t count = Between(rng_, 1, 4);
  for (int64_t i = 0; i < count; ++i) {
    // Nearly always something computed; sometimes an input itself, or a value twice.
    const size_t from = OneIn(rng_, 12) || pool_.size() == num_inputs_ ? 0 : num_inputs_;
    results.push_back(pool_[from + rng_.Below(pool_.size() - from)]);
  }
  // Most of what nobody used, lest half of the program be dead.
  for (const ValueId v : pool_) {
    if (!used_.contains(v) && results.size() < 12 && !OneIn(rng_, 4)) results.push_back(v);
  }
  builder_.Return(results);
}

ValueId Generator::Any() {
  const size_t n = pool_.size();
  const size_t recent = std::min<size_t>(n, 6);
  const ValueId v = OneIn(rng_, 2) ? pool_[n - 1 - rng_.Below(recent)] : pool_[rng_.Below(n)];
  used_.insert(v);
  return v;
}

ValueId Generator::OfClass(uint32_t mask, size_t rank) {
  const auto found = Where(
      [&](const TensorType& t) { return stablehlo::Matches(t.dtype, mask) && t.rank() >= rank; });
  if (found) return *found;
  const auto shaped = Where([&](const TensorType& t) { return t.rank() >= rank; });
  const ValueId v =
      shaped ? builder_.Convert(*shaped, RandomDType(rng_, mask))
             : Constant({RandomDType(rng_, mask), RandomShape(rng_, rank, max_elements_)});
  Keep(v);
  return v;
}

ValueId Generator::OfType(const TensorType& want) {
  const auto found = Where([&](const TensorType& t) { return t == want; });
  if (found && !OneIn(rng_, 8)) return *found;
  const auto shaped = Where([&](const TensorType& t) { return t.shape == want.shape; });
  switch (rng_.Below(4)) {
    case 0:
      if (shaped) return builder_.Convert(*shaped, want.dtype);
      break;
    case 1: {
      const auto scalar =
          Where([&](const TensorType& t) { return t == TensorType::Scalar(want.dtype); });
      if (scalar) return builder_.BroadcastScalar(*scalar, want.shape);
      break;
    }
    case 2:
      if (found) return *found;
      break;
    default:
      break;
  }
  return Constant(want);
}

ValueId Generator::Constant(const TensorType& type) { return Constant(type, RandomMood(rng_)); }

ValueId Generator::Constant(const TensorType& type, Mood mood) {
  const int64_t most = OneIn(rng_, 8) ? 4096 : 64;
  if (stablehlo::ElementCount(type) > most || OneIn(rng_, 3)) {
    return builder_.Splat(type, RandomTensor(rng_, type.dtype, Shape{}, mood));
  }
  return builder_.Constant(RandomTensor(rng_, type.dtype, type.shape, mood));
}

ValueId Generator::Tamed(ValueId v, double bound) {
  const TensorType t = type(v);
  if (tensor::IsComplex(t.dtype)) {
    const ValueId re = Tamed(builder_.Real(v), bound);
    return builder_.Complex(re, Tamed(builder_.Imag(v), bound));
  }
  if (!tensor::IsFloat(t.dtype)) return v;
  const ValueId is_number = builder_.Compare(stablehlo::CompareDirection::kEq, v, v);
  const ValueId number = builder_.Select(is_number, v, builder_.Splat(t, 0.0));
  return builder_.Clamp(builder_.Scalar(t.dtype, -bound), number, builder_.Scalar(t.dtype, bound));
}

std::vector<ValueId> Generator::Starts(Shape shape) {
  const auto scalar =
      Where([](const TensorType& t) { return t.rank() == 0 && tensor::IsInteger(t.dtype); });
  const DType dtype = scalar ? type(*scalar).dtype : DType::kI32;
  std::vector<ValueId> starts;
  for (const int64_t size : shape) {
    const auto computed =
        OneIn(rng_, 2) ? Where([&](const TensorType& t) { return t == TensorType::Scalar(dtype); })
                       : std::nullopt;
    const int64_t low = tensor::IsSigned(dtype) ? -1 : 0;
    const int64_t high = std::min<int64_t>(size + 1, tensor::BitWidth(dtype) <= 4 ? 1 : 100);
    starts.push_back(computed ? *computed
                              : builder_.Scalar(dtype, Between(rng_, low, std::max(low, high))));
  }
  return starts;
}

void Generator::Keep(ValueId v) {
  if (v == stablehlo::kNoValue || type(v).is_token) return;
  const int64_t n = elements(v);
  if (n > max_elements_ * 4) return;
  budget_ -= n;
  pool_.push_back(v);
}

void Generator::EmitSome(int count) {
  for (int i = 0; i < count && builder_.status().ok() && budget_ > 0; ++i) {
    const FamilyRow& family = PickFamily(rng_);
    if (family.nests && depth_ >= kMaxDepth) continue;
    family.emit(*this);
  }
}

Result<RandomProgram> MakeRandomProgram(uint64_t seed, const ProgramOptions& options) {
  auto program = Generator(seed, options).Make();
  if (!program.ok()) {
    return Internal(StrCat("seed ", seed, ": ", program.status().message()));
  }
  program->seed = seed;
  return program;
}

}  // namespace megalith::property
