// Parts of what several commands print about programs, in both forms.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "megalith/common/v1/common.pb.h"
#include "megalith/compile/v1/compile.pb.h"

namespace megalith::cli {

using Types = google::protobuf::RepeatedPtrField<common::v1::TypeProto>;
using TimingList = google::protobuf::RepeatedPtrField<common::v1::Timing>;

// "1.50 ms", with the unit that keeps one to three digits before the point.
std::string SecondsText(double seconds);
// "12.3 M" of a count, in steps of a thousand.
std::string CountText(double count);
// "f32[2,3]", with "~" if weak.
std::string TypeText(const common::v1::TypeProto& type);
// "(f32[2], i32[]) -> (f32[])".
std::string SignatureText(const Types& inputs, const Types& outputs);
// "parse 0.10 ms, apply 1.2 ms".
std::string TimingsText(const TimingList& timings);
// "miss", "hit", ...
std::string OutcomeText(compile::v1::CacheOutcome outcome);

nlohmann::json TypesJson(const Types& types);
nlohmann::json TimingsJson(const TimingList& timings);
nlohmann::json ComponentsJson(
    const google::protobuf::RepeatedPtrField<common::v1::KeyComponent>& components);
nlohmann::json IdsJson(const common::v1::RequestIds& ids);
// Key, signature, cost, cache outcome and timings of a compilation.
nlohmann::json CompileJson(const compile::v1::CompileResult& result);
std::string CompileText(const compile::v1::CompileResult& result);

}  // namespace megalith::cli
