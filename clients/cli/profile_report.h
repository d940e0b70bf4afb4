// A run's profile in the forms people look at: a table, and a trace for Perfetto.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "megalith/execute/v1/execute.pb.h"

namespace megalith::cli {

// Time by kernel, dearest first: calls, total, mean, share of the run, GB/s, GFLOP/s, tier,
// threads.
std::string ProfileTable(const execute::v1::RunProfile& profile);

// The rows of the table.
nlohmann::json ProfileJson(const execute::v1::RunProfile& profile);

// The Trace Event Format of Chrome, which Perfetto opens: one track per worker, complete events in
// microseconds with kind, tier, shapes, bytes, flops and threads as arguments. `program` names the
// process.
std::string ChromeTrace(const execute::v1::RunProfile& profile, const std::string& program);

}  // namespace megalith::cli
