// The table as a whole: every row is complete, and every op JAX sends has one.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

TEST(OpTableTest, EveryRowIsExecutableOrSaysWhyNot) {
  for (const OpDef* def : AllOps()) {
    if (!def->refusal.empty()) {
      EXPECT_EQ(def->type_rule, nullptr) << def->name;
      continue;
    }
    EXPECT_NE(def->type_rule, nullptr) << def->name;
    const int ways = (def->span != nullptr) + (def->prepare != nullptr) + def->has(kTerminator);
    EXPECT_EQ(ways, 1) << def->name;
    EXPECT_EQ(def->has(kElementwise), def->span != nullptr) << def->name;
  }
}

TEST(OpTableTest, AttributesAreSortedAndDistinct) {
  for (const OpDef* def : AllOps()) {
    const auto less = [](const AttrSpec& a, const AttrSpec& b) { return a.name < b.name; };
    EXPECT_TRUE(std::is_sorted(def->attrs.begin(), def->attrs.end(), less) ||
                def->name == "stablehlo.compare" || def->name == "stablehlo.slice" ||
                def->name == "stablehlo.pad" || def->name == "stablehlo.reduce_precision")
        << def->name;
    std::set<std::string_view> names;
    for (const AttrSpec& a : def->attrs) {
      EXPECT_TRUE(names.insert(a.name).second) << def->name << " " << a.name;
      EXPECT_FALSE(a.required && a.fallback != nullptr) << def->name << " " << a.name;
      EXPECT_FALSE(a.elided && a.fallback == nullptr) << def->name << " " << a.name;
    }
  }
}

TEST(OpTableTest, FindsRowsByName) {
  for (const OpDef* def : AllOps()) EXPECT_EQ(FindOp(def->name), def);
  EXPECT_EQ(FindOp("stablehlo.nothing"), nullptr);
  EXPECT_EQ(FindOp(""), nullptr);
}

TEST(OpTableTest, HasEveryOpJaxSends) {
  for (const char* name : {"stablehlo.return",
                           "stablehlo.constant",
                           "stablehlo.add",
                           "stablehlo.broadcast_in_dim",
                           "stablehlo.multiply",
                           "stablehlo.compare",
                           "func.call",
                           "stablehlo.select",
                           "stablehlo.convert",
                           "stablehlo.divide",
                           "stablehlo.reduce",
                           "stablehlo.reshape",
                           "stablehlo.iota",
                           "stablehlo.subtract",
                           "stablehlo.negate",
                           "stablehlo.maximum",
                           "stablehlo.dot_general",
                           "stablehlo.slice",
                           "stablehlo.abs",
                           "stablehlo.and",
                           "stablehlo.transpose",
                           "stablehlo.or",
                           "stablehlo.exponential",
                           "stablehlo.concatenate",
                           "stablehlo.sqrt",
                           "stablehlo.remainder",
                           "stablehlo.while",
                           "stablehlo.gather",
                           "stablehlo.scatter",
                           "stablehlo.log",
                           "stablehlo.xor",
                           "stablehlo.shift_right_logical",
                           "stablehlo.shift_left",
                           "stablehlo.dynamic_slice",
                           "stablehlo.sine",
                           "stablehlo.cosine",
                           "stablehlo.log_plus_one",
                           "stablehlo.bitcast_convert",
                           "stablehlo.sign",
                           "stablehlo.tanh",
                           "stablehlo.pad",
                           "stablehlo.convolution",
                           "stablehlo.reduce_window",
                           "stablehlo.minimum",
                           "stablehlo.reverse",
                           "stablehlo.clamp",
                           "stablehlo.rsqrt",
                           "stablehlo.case",
                           "stablehlo.composite",
                           "stablehlo.sort",
                           "stablehlo.dynamic_update_slice",
                           "stablehlo.power",
                           "stablehlo.floor",
                           "stablehlo.is_finite",
                           "stablehlo.triangular_solve",
                           "stablehlo.complex",
                           "stablehlo.real",
                           "stablehlo.imag",
                           "stablehlo.atan2",
                           "stablehlo.fft",
                           "stablehlo.cholesky",
                           "stablehlo.exponential_minus_one",
                           "stablehlo.ceil",
                           "stablehlo.cbrt",
                           "stablehlo.custom_call",
                           "stablehlo.shift_right_arithmetic",
                           "stablehlo.not",
                           "stablehlo.optimization_barrier",
                           "stablehlo.round_nearest_even",
                           "stablehlo.select_and_scatter",
                           "stablehlo.reduce_precision",
                           "stablehlo.popcnt",
                           "stablehlo.count_leading_zeros",
                           "sdy.sharding_constraint",
                           "stablehlo.tan",
                           "stablehlo.rng_bit_generator",
                           "stablehlo.round_nearest_afz",
                           "stablehlo.create_token",
                           "stablehlo.all_reduce",
                           "stablehlo.all_gather",
                           "stablehlo.all_to_all",
                           "stablehlo.reduce_scatter",
                           "stablehlo.collective_permute",
                           "stablehlo.partition_id",
                           "stablehlo.replica_id",
                           "stablehlo.rng",
                           "stablehlo.get_dimension_size",
                           "stablehlo.after_all",
                           "stablehlo.if",
                           "stablehlo.logistic",
                           "chlo.acos",
                           "chlo.acosh",
                           "chlo.asin",
                           "chlo.asinh",
                           "chlo.atan",
                           "chlo.atanh",
                           "chlo.cosh",
                           "chlo.sinh",
                           "chlo.erf",
                           "chlo.erfc",
                           "chlo.erf_inv",
                           "chlo.lgamma",
                           "chlo.digamma",
                           "chlo.zeta",
                           "chlo.polygamma",
                           "chlo.bessel_i1e",
                           "chlo.next_after",
                           "chlo.square",
                           "chlo.top_k",
                           "chlo.tan",
                           "chlo.is_inf"}) {
    const OpDef* def = FindOp(name);
    ASSERT_NE(def, nullptr) << name;
    EXPECT_TRUE(def->refusal.empty()) << name;
  }
}

}  // namespace
}  // namespace megalith::stablehlo
