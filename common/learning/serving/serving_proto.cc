#include "common/learning/serving/serving_proto.h"

#include "common/foundation/base/strings.h"
#include "common/learning/serving/tensor_value_proto.h"
#include "common/learning/serving/text_proto.h"
#include "megalith/serving/v1/signatures.pb.h"
#include "tensorflow_serving/apis/prediction_log.pb.h"

namespace megalith::serving {
namespace {

namespace tfs = tensorflow::serving;

constexpr uint32_t kFormat = 1;
constexpr uint64_t kMaxDefaultBytes = 64 << 20;

Result<std::optional<Value>> DefaultOf(bool present, const tensorflow::TensorProto& proto) {
  if (!present) return std::optional<Value>();
  ASSIGN_OR_RETURN(Value value, DecodeTensor(proto, kMaxDefaultBytes).Annotate("default_value"));
  return std::optional<Value>(std::move(value));
}

Result<std::vector<TensorSpec>> TensorsOf(
    const google::protobuf::RepeatedPtrField<megalith::serving::v1::Tensor>& tensors) {
  std::vector<TensorSpec> out;
  for (const auto& tensor : tensors) {
    TensorSpec spec;
    spec.name = tensor.name();
    spec.argument = tensor.argument();
    spec.dtype = static_cast<DataType>(tensor.dtype());
    spec.dims = {tensor.dim().begin(), tensor.dim().end()};
    ASSIGN_OR_RETURN(spec.default_value,
                     DefaultOf(tensor.has_default_value(), tensor.default_value())
                         .Annotate(StrCat("'", Printable(tensor.name()), "'")));
    out.push_back(std::move(spec));
  }
  return out;
}

Method MethodOf(megalith::serving::v1::Signature::Method method) {
  switch (method) {
    case megalith::serving::v1::Signature::CLASSIFY:
      return Method::kClassify;
    case megalith::serving::v1::Signature::REGRESS:
      return Method::kRegress;
    default:
      return Method::kPredict;
  }
}

Result<SignatureSpec> SpecOf(const megalith::serving::v1::Signature& proto) {
  SignatureSpec out;
  out.name = proto.name();
  out.method = MethodOf(proto.method());
  out.program = proto.program();
  if (!proto.entry().empty()) out.entry = proto.entry();
  ASSIGN_OR_RETURN(out.inputs, TensorsOf(proto.input()));
  ASSIGN_OR_RETURN(out.outputs, TensorsOf(proto.output()));
  if (!proto.batch_dim().empty()) out.batch_dim = proto.batch_dim();
  out.batch_sizes = {proto.batch_size().begin(), proto.batch_size().end()};
  for (const auto& feature : proto.feature()) {
    FeatureSpec spec;
    spec.key = feature.key();
    spec.input = feature.input();
    spec.length = feature.length();
    spec.required = feature.required();
    ASSIGN_OR_RETURN(spec.default_value,
                     DefaultOf(feature.has_default_value(), feature.default_value())
                         .Annotate(StrCat("feature '", Printable(feature.key()), "'")));
    out.features.push_back(std::move(spec));
  }
  out.class_labels = {proto.class_label().begin(), proto.class_label().end()};
  out.class_label_file = proto.class_label_file();
  return out;
}

VersionPolicy PolicyOf(const tfs::FileSystemStoragePathSourceConfig::ServableVersionPolicy& proto) {
  VersionPolicy out;
  switch (proto.policy_choice_case()) {
    case std::decay_t<decltype(proto)>::kAll:
      out.kind = VersionPolicy::Kind::kAll;
      break;
    case std::decay_t<decltype(proto)>::kSpecific:
      out.kind = VersionPolicy::Kind::kSpecific;
      out.versions = {proto.specific().versions().begin(), proto.specific().versions().end()};
      break;
    case std::decay_t<decltype(proto)>::kLatestOnce:
      out.kind = VersionPolicy::Kind::kLatestOnce;
      break;
    case std::decay_t<decltype(proto)>::kLatest:
      out.count = std::max(1u, proto.latest().num_versions());
      break;
    case std::decay_t<decltype(proto)>::POLICY_CHOICE_NOT_SET:
      break;
  }
  return out;
}

// The number of ModelType.TENSORFLOW (persistent: owned by TensorFlow Serving).
constexpr int kTensorFlowType = 1;

// Old configuration files still have the field.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
int DeprecatedType(const tfs::ModelConfig& proto) { return proto.model_type(); }
#pragma GCC diagnostic pop

void FillInfo(const Field& field, tensorflow::TensorInfo* info) {
  info->set_name(field.tensor_name);
  info->set_dtype(static_cast<tensorflow::DataType>(field.dtype));
  tensorflow::TensorShapeProto* shape = info->mutable_tensor_shape();
  if (field.unknown_rank) shape->set_unknown_rank(true);
  for (const int64_t d : field.dims) shape->add_dim()->set_size(d);
}

}  // namespace

Result<std::vector<SignatureSpec>> ParseSignatureFile(std::string_view text) {
  megalith::serving::v1::SignatureFile file;
  RETURN_IF_ERROR(ParseTextMessage(text, &file));
  if (file.format() != kFormat) {
    return InvalidArgument(
        StrCat("format is ", file.format(), ", this build reads format: ", kFormat));
  }
  std::vector<SignatureSpec> out;
  for (const auto& signature : file.signature()) {
    ASSIGN_OR_RETURN(SignatureSpec spec, SpecOf(signature).Annotate(StrCat(
                                             "signature '", Printable(signature.name()), "'")));
    out.push_back(std::move(spec));
  }
  return out;
}

Result<tfs::ModelServerConfig> ParseModelServerConfig(std::string_view text) {
  tfs::ModelServerConfig out;
  RETURN_IF_ERROR(ParseTextMessage(text, &out));
  return out;
}

Result<std::vector<ModelConfig>> ModelConfigsOf(const tfs::ModelConfigList& list) {
  std::vector<ModelConfig> out;
  for (const tfs::ModelConfig& proto : list.config()) {
    ModelConfig model;
    model.name = proto.name();
    model.base_path = proto.base_path();
    model.platform = proto.model_platform();
    const int model_type = DeprecatedType(proto);
    if (model_type != 0) {
      if (!model.platform.empty()) {
        return InvalidArgument(
            StrCat("Illegal setting both ModelServerConfig::model_type (deprecated) and "
                   "ModelServerConfig::model_platform, model name is ",
                   model.name));
      }
      model.platform = model_type == kTensorFlowType ? "tensorflow" : "other";
    }
    model.policy = PolicyOf(proto.model_version_policy());
    model.labels = {proto.version_labels().begin(), proto.version_labels().end()};
    out.push_back(std::move(model));
  }
  return out;
}

ServableRequest RequestOf(const tfs::ModelSpec& spec) {
  ServableRequest out{.name = spec.name(), .version = std::nullopt, .label = std::nullopt};
  if (spec.has_version()) out.version = spec.version().value();
  if (spec.version_choice_case() == tfs::ModelSpec::kVersionLabel) out.label = spec.version_label();
  return out;
}

Inputs InputsOf(const google::protobuf::Map<std::string, tensorflow::TensorProto>& inputs,
                uint64_t max_bytes) {
  Inputs out;
  for (const auto& [alias, proto] : inputs) {
    Result<Value> value = DecodeTensor(proto, max_bytes);
    if (value.ok()) {
      const uint64_t bytes = value->dtype == DataType::kString
                                 ? static_cast<uint64_t>(value->size()) * sizeof(std::string)
                                 : value->tensor.byte_size();
      max_bytes -= std::min(max_bytes, bytes);
    }
    out.emplace(alias, std::move(value));
  }
  return out;
}

std::vector<std::string> ExamplesOf(const tfs::Input& input) {
  const bool with_context = input.kind_case() == tfs::Input::kExampleListWithContext;
  const auto& examples =
      with_context ? input.example_list_with_context().examples() : input.example_list().examples();
  std::string context;
  if (with_context && input.example_list_with_context().has_context())
    context = input.example_list_with_context().context().SerializeAsString();
  std::vector<std::string> out;
  for (const tensorflow::Example& example : examples)
    out.push_back(context + example.SerializeAsString());
  return out;
}

Result<std::vector<WarmupRequest>> ParsePredictionLog(std::string_view record, uint64_t max_bytes) {
  tfs::PredictionLog log;
  if (record.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !log.ParseFromArray(record.data(), static_cast<int>(record.size()))) {
    return InvalidArgument(StrCat("Failed to parse warmup record: ", Printable(record)));
  }
  std::vector<WarmupRequest> out;
  const auto on_examples = [&out](Method method, const std::string& signature,
                                  const tfs::Input& input) {
    out.push_back({.method = method, .signature = signature, .examples = ExamplesOf(input)});
  };
  switch (log.log_type_case()) {
    case tfs::PredictionLog::kPredictLog: {
      const tfs::PredictRequest& request = log.predict_log().request();
      out.push_back({.method = Method::kPredict,
                     .signature = request.model_spec().signature_name(),
                     .inputs = InputsOf(request.inputs(), max_bytes),
                     .filter = {request.output_filter().begin(), request.output_filter().end()}});
      break;
    }
    case tfs::PredictionLog::kClassifyLog:
      on_examples(Method::kClassify, log.classify_log().request().model_spec().signature_name(),
                  log.classify_log().request().input());
      break;
    case tfs::PredictionLog::kRegressLog:
      on_examples(Method::kRegress, log.regress_log().request().model_spec().signature_name(),
                  log.regress_log().request().input());
      break;
    case tfs::PredictionLog::kMultiInferenceLog:
      for (const tfs::InferenceTask& task : log.multi_inference_log().request().tasks()) {
        on_examples(task.method_name() == kClassifyMethod ? Method::kClassify : Method::kRegress,
                    task.model_spec().signature_name(),
                    log.multi_inference_log().request().input());
      }
      break;
    case tfs::PredictionLog::LOG_TYPE_NOT_SET:
      break;
    default:
      return Unimplemented(
          StrCat("Unsupported log_type for warmup: ", static_cast<int>(log.log_type_case())));
  }
  return out;
}

void FillClasses(const std::vector<std::vector<Class>>& classes,
                 tfs::ClassificationResult* result) {
  for (const std::vector<Class>& row : classes) {
    tfs::Classifications* of_row = result->add_classifications();
    for (const Class& c : row) {
      tfs::Class* to = of_row->add_classes();
      to->set_label(c.label);
      to->set_score(c.score);
    }
  }
}

void FillRegressions(const std::vector<float>& values, tfs::RegressionResult* result) {
  for (const float value : values) result->add_regressions()->set_value(value);
}

void FillStatus(const Status& status, tfs::StatusProto* proto) {
  proto->set_error_code(static_cast<tensorflow::error::Code>(status.code()));
  proto->set_error_message(status.message());
}

void FillVersion(const VersionStatus& version, tfs::ModelVersionStatus* proto) {
  proto->set_version(version.version);
  proto->set_state(static_cast<tfs::ModelVersionStatus::State>(version.state));
  FillStatus(version.status, proto->mutable_status());
}

tfs::SignatureDefMap SignatureDefsOf(const Servable& servable) {
  tfs::SignatureDefMap out;
  for (const auto& [name, signature] : servable.signatures) {
    tensorflow::SignatureDef& def = (*out.mutable_signature_def())[name];
    def.set_method_name(signature.method);
    for (const auto& [alias, field] : signature.inputs) {
      FillInfo(field, &(*def.mutable_inputs())[alias]);
      if (field.default_value.has_value())
        EncodeTensor(*field.default_value, /*as_content=*/false, &(*def.mutable_defaults())[alias]);
    }
    for (const auto& [alias, field] : signature.outputs)
      FillInfo(field, &(*def.mutable_outputs())[alias]);
  }
  return out;
}

}  // namespace megalith::serving
