// Pushes as TensorFlow Serving's PredictRequest, byte for byte what Monolith sends
// (parameter-sync.md section 3.2), and back.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/sync/push.h"
#include "tensorflow_serving/apis/predict.pb.h"

namespace megalith::sync {

tensorflow::serving::PredictRequest ToPredictRequest(const Push& push);

// A table that a receiver has.
struct TableDim {
  std::string table;
  int64_t dim = 0;
};

// The rows of a request with an assign signature; `tables`, sorted by name, are those of the
// signature. Lists of values or tensor_content, whichever a tensor has.
// Errors: kInvalidArgument  an input is missing, unknown, of another type or shape; id_split does
//         not start at 0, decreases, has not one entry more than there are tables, or does not end
//         at the number of ids; a value is not finite. Nothing has changed then.
Result<std::vector<TableRows>> ParseSingleAssign(const tensorflow::serving::PredictRequest& request,
                                                 const std::vector<TableDim>& tables);
Result<std::vector<TableRows>> ParseNativeAssign(const tensorflow::serving::PredictRequest& request,
                                                 const std::vector<TableDim>& tables);

// The fids of a request with a lookup signature: `values` stay empty. Single: some of the tables,
// each under its name. Errors: as above; kResourceExhausted  the answer would have more than
// `max_floats`.
Result<std::vector<TableRows>> ParseSingleLookup(const tensorflow::serving::PredictRequest& request,
                                                 const std::vector<TableDim>& tables,
                                                 int64_t max_floats);
Result<std::vector<TableRows>> ParseNativeLookup(const tensorflow::serving::PredictRequest& request,
                                                 const std::vector<TableDim>& tables,
                                                 int64_t max_floats);

// Answers; model_spec is the caller's to fill. Values are written as lists, as stock servers do.
void FillSingleAssigned(const std::vector<TableRows>& rows,
                        tensorflow::serving::PredictResponse* response);
void FillNativeAssigned(tensorflow::serving::PredictResponse* response);
void FillSingleRows(const std::vector<TableRows>& rows,
                    tensorflow::serving::PredictResponse* response);
void FillNativeRows(const std::vector<TableRows>& rows,
                    tensorflow::serving::PredictResponse* response);

// A Megalith receiver tells by a further output who it is, so that senders notice a restart; others
// ignore it, as they do all outputs.
inline constexpr std::string_view kInstanceOutput = "megalith_instance";
void FillInstance(uint64_t instance, tensorflow::serving::PredictResponse* response);
std::optional<uint64_t> InstanceOf(const tensorflow::serving::PredictResponse& response);

}  // namespace megalith::sync
