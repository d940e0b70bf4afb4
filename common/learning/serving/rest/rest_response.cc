#include "common/learning/serving/rest/rest_response.h"

#include "common/foundation/base/strings.h"
#include "common/learning/serving/rest/json_writer.h"

namespace megalith::serving {
namespace {

constexpr std::string_view kBytesSuffix = "_bytes";

// Writes elements of one output one after the other.
class ElementWriter {
 public:
  ElementWriter(std::string_view alias, const Value& value, JsonWriter* out)
      : value_(value), as_base64_(alias.ends_with(kBytesSuffix)), out_(out) {}

  // Everything below dimension `dim`.
  Status Write(size_t dim) {
    const Shape& shape = value_.shape();
    if (dim >= shape.size()) return WriteNext();
    out_->BeginArray();
    for (int64_t i = 0; i < shape[dim]; ++i) RETURN_IF_ERROR(Write(dim + 1));
    out_->EndArray();
    return OkStatus();
  }

 private:
  Status WriteNext() {
    const int64_t i = next_++;
    const tensor::Tensor& t = value_.tensor;
    switch (value_.dtype) {
      case DataType::kFloat:
        out_->Float(t.As<float>()[static_cast<size_t>(i)]);
        return OkStatus();
      case DataType::kDouble:
        out_->Double(t.As<double>()[static_cast<size_t>(i)]);
        return OkStatus();
      case DataType::kInt8:
      case DataType::kInt16:
      case DataType::kInt32:
      case DataType::kInt64:
      case DataType::kUint8:
      case DataType::kUint32:
        out_->Int(t.IntAt(i));
        return OkStatus();
      case DataType::kUint64:
        out_->Uint(static_cast<uint64_t>(t.IntAt(i)));
        return OkStatus();
      case DataType::kBool:
        out_->Bool(t.IntAt(i) != 0);
        return OkStatus();
      case DataType::kString:
        WriteString(value_.strings[static_cast<size_t>(i)]);
        return OkStatus();
      default:
        return InvalidArgument(
            StrCat("Failed to write JSON value for tensor type: ", NameOf(value_.dtype)));
    }
  }

  void WriteString(const std::string& text) {
    if (!as_base64_) return out_->String(text);
    out_->BeginObject();
    out_->Key("b64");
    out_->String(Base64Encode({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
    out_->EndObject();
  }

  const Value& value_;
  const bool as_base64_;
  JsonWriter* const out_;
  int64_t next_ = 0;
};

// The rows that all outputs have.
Result<int64_t> RowsOf(const Outputs& outputs) {
  std::optional<int64_t> rows;
  for (const auto& [alias, value] : outputs) {
    if (value.shape().empty())
      return InvalidArgument(StrCat("Tensor name: ", alias, " has no shape information "));
    const int64_t own = value.shape()[0];
    if (rows && *rows != own) {
      return InvalidArgument(StrCat("Tensor name: ", alias, " has inconsistent batch size: ", own,
                                    " expecting: ", *rows));
    }
    rows = own;
  }
  return *rows;
}

Status WriteRows(const Outputs& outputs, JsonWriter* out) {
  ASSIGN_OR_RETURN(const int64_t rows, RowsOf(outputs));
  std::vector<ElementWriter> writers;
  for (const auto& [alias, value] : outputs) writers.emplace_back(alias, value, out);
  const bool objects = outputs.size() > 1;
  out->Key("predictions");
  out->BeginArray();
  for (int64_t row = 0; row < rows; ++row) {
    if (objects) out->BeginObject();
    out->set_lists_on_one_line(true);
    size_t i = 0;
    for (const auto& [alias, value] : outputs) {
      if (objects) out->Key(alias);
      RETURN_IF_ERROR(writers[i++].Write(1));
    }
    out->set_lists_on_one_line(false);
    if (objects) out->EndObject();
  }
  out->EndArray();
  return OkStatus();
}

Status WriteColumns(const Outputs& outputs, JsonWriter* out) {
  const bool objects = outputs.size() > 1;
  out->Key("outputs");
  if (objects) out->BeginObject();
  for (const auto& [alias, value] : outputs) {
    if (objects) out->Key(alias);
    RETURN_IF_ERROR(ElementWriter(alias, value, out).Write(0));
  }
  if (objects) out->EndObject();
  return OkStatus();
}

}  // namespace

Result<std::string> RestPredictions(const Outputs& outputs, RestFormat format) {
  if (outputs.empty()) return InvalidArgument("Cannot convert empty tensor map to JSON");
  std::string out;
  JsonWriter writer(&out);
  writer.BeginObject();
  RETURN_IF_ERROR(format == RestFormat::kRows ? WriteRows(outputs, &writer)
                                              : WriteColumns(outputs, &writer));
  writer.EndObject();
  return out;
}

Result<std::string> RestClasses(const std::vector<std::vector<Class>>& classes) {
  if (classes.empty()) return InvalidArgument("Cannot convert empty ClassificationResults to JSON");
  std::string out;
  JsonWriter writer(&out);
  writer.BeginObject();
  writer.Key("results");
  writer.BeginArray();
  for (const std::vector<Class>& of_example : classes) {
    writer.set_lists_on_one_line(true);
    writer.BeginArray();
    for (const Class& one : of_example) {
      writer.BeginArray();
      writer.String(one.label);
      writer.Float(one.score);
      writer.EndArray();
    }
    writer.EndArray();
    writer.set_lists_on_one_line(false);
  }
  writer.EndArray();
  writer.EndObject();
  return out;
}

Result<std::string> RestRegressions(const std::vector<float>& values) {
  if (values.empty()) return InvalidArgument("Cannot convert empty RegressionResults to JSON");
  std::string out;
  JsonWriter writer(&out);
  writer.BeginObject();
  writer.Key("results");
  writer.set_lists_on_one_line(true);
  writer.BeginArray();
  for (const float value : values) writer.Float(value);
  writer.EndArray();
  writer.EndObject();
  return out;
}

std::string RestError(std::string_view message) {
  std::string out;
  JsonWriter writer(&out);
  writer.BeginObject();
  writer.Key("error");
  writer.String(message);
  writer.EndObject();
  return out;
}

int HttpStatusOf(Code code) {
  switch (code) {
    case Code::kOk:
      return 200;
    case Code::kInvalidArgument:
    case Code::kFailedPrecondition:
    case Code::kOutOfRange:
      return 400;
    case Code::kUnauthenticated:
      return 401;
    case Code::kPermissionDenied:
      return 403;
    case Code::kNotFound:
      return 404;
    case Code::kAlreadyExists:
    case Code::kAborted:
      return 409;
    case Code::kResourceExhausted:
      return 429;
    case Code::kCancelled:
      return 499;
    case Code::kUnimplemented:
      return 501;
    case Code::kUnavailable:
      return 503;
    case Code::kDeadlineExceeded:
      return 504;
    case Code::kUnknown:
    case Code::kInternal:
    case Code::kDataLoss:
      break;
  }
  return 500;
}

}  // namespace megalith::serving
