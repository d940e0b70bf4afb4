// What the families of operations emit with (random_*.cc); not for users of random_program.h.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "common/programs/stablehlo/builder.h"
#include "common/programs/stablehlo/rules.h"
#include "tests/property/random_program.h"

namespace megalith::property {

using stablehlo::FuncBuilder;
using stablehlo::TensorType;
using stablehlo::ValueId;
using stablehlo::Values;

// Holds the function being built and the values that later operations may use.
class Generator {
 public:
  Generator(uint64_t seed, const ProgramOptions& options);
  Result<RandomProgram> Make();

  Rng& rng() { return rng_; }
  FuncBuilder& b() { return builder_; }
  const TensorType& type(ValueId v) const { return builder_.type(v); }
  int64_t elements(ValueId v) const { return stablehlo::ElementCount(type(v)); }
  int64_t max_elements() const { return max_elements_; }
  int depth() const { return depth_; }

  // A value in scope, later ones more often.
  ValueId Any();
  // One whose type `fits`; none if a few dozen draws find none.
  template <typename Fits>
  std::optional<ValueId> Where(const Fits& fits) {
    for (int i = 0; i < 24; ++i) {
      const ValueId v = Any();
      if (fits(type(v))) return v;
    }
    return std::nullopt;
  }
  // A value of this class of dtypes, and of at least `rank` dimensions.
  ValueId OfClass(uint32_t mask, size_t rank = 0);
  // A value of exactly this type: one in scope, or one made for it.
  ValueId OfType(const TensorType& type);
  // A constant of random elements, one for all of a large one.
  ValueId Constant(const TensorType& type);
  ValueId Constant(const TensorType& type, Mood mood);
  // `v` with elements brought into [-bound, bound], NaN to 0 (floats).
  ValueId Tamed(ValueId v, double bound);
  // Scalars of integer dtype that serve as starts of dynamic slices; some lie outside.
  // A copy: the types it comes from move when values are added.
  std::vector<ValueId> Starts(Shape shape);

  // Makes a value usable by later operations; too large ones and kNoValue are not kept.
  void Keep(ValueId v);
  void Keep(const Values& values) {
    for (const ValueId v : values) Keep(v);
  }
  // Emits `count` operations of random families.
  void EmitSome(int count);
  // Adds a private function of the module that takes these types and gives values of a few types;
  // "" if it could not be made.
  std::string Function(std::span<const TensorType> args, std::vector<TensorType>* results);
  // The same inside a region: what they define is out of scope afterwards. `args` are in scope.
  template <typename Body>
  auto Inside(std::span<const ValueId> args, const Body& body) {
    const size_t mark = pool_.size();
    ++depth_;
    for (const ValueId v : args) Keep(v);
    auto out = body();
    --depth_;
    pool_.resize(mark);
    return out;
  }

 private:
  void AddInputs();
  void ReturnSome();
  void TakeSizes();

  Rng rng_;
  ProgramOptions options_;
  int64_t max_elements_ = 0;
  int64_t budget_ = 0;  // elements that may still be made
  FuncBuilder builder_;
  stablehlo::Module module_;
  int functions_ = 0;
  std::vector<ValueId> pool_;
  std::set<ValueId> used_;  // drawn at least once
  std::vector<Tensor> inputs_;
  size_t num_inputs_ = 0;
  int depth_ = 0;
};

// Emits one operation, or a few that belong together; does nothing if no value in scope fits.
struct FamilyRow {
  std::string_view name;
  int weight;
  void (*emit)(Generator& g);
  bool nests = false;  // holds regions of further operations
};
std::span<const FamilyRow> ElementwiseFamilies();
std::span<const FamilyRow> ShapeFamilies();
std::span<const FamilyRow> IndexFamilies();
std::span<const FamilyRow> ReductionFamilies();
std::span<const FamilyRow> LinalgFamilies();
std::span<const FamilyRow> ControlFamilies();
std::span<const FamilyRow> CallFamilies();

template <typename T, size_t n>
const T& PickOf(Rng& rng, const T (&list)[n]) {
  return list[rng.Below(n)];
}

}  // namespace megalith::property
