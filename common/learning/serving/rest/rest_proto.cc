#include "common/learning/serving/rest/rest_proto.h"

#include <google/protobuf/util/json_util.h>

#include "common/foundation/base/strings.h"
#include "common/learning/serving/serving_proto.h"

namespace megalith::serving {
namespace {

namespace tfs = tensorflow::serving;

Result<std::string> JsonOf(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string out;
  const auto status = google::protobuf::util::MessageToJsonString(message, &out, options);
  if (status.ok()) return out;
  return Internal(StrCat("Failed to convert proto to json. Error: ", status.ToString()));
}

}  // namespace

Result<std::string> RestStatus(const std::vector<VersionStatus>& versions) {
  tfs::GetModelStatusResponse response;
  for (const VersionStatus& version : versions)
    FillVersion(version, response.add_model_version_status());
  return JsonOf(response);
}

Result<std::string> RestMetadata(const Servable& servable) {
  tfs::ModelSpec spec;
  spec.set_name(servable.name);
  spec.mutable_version()->set_value(servable.version);
  ASSIGN_OR_RETURN(const std::string spec_json, JsonOf(spec));
  ASSIGN_OR_RETURN(const std::string signatures, JsonOf(SignatureDefsOf(servable)));
  return StrCat("{\n\"model_spec\":", spec_json,
                ",\n\"metadata\": {\"signature_def\": ", signatures, "}\n}\n");
}

}  // namespace megalith::serving
