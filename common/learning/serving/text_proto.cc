#include "common/learning/serving/text_proto.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <limits>

#include "common/foundation/base/strings.h"

namespace megalith::serving {
namespace {

constexpr int kMaxTextDepth = 100;

// Keeps the first error of the text parser.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text_.empty()) text_ = StrCat("line ", line + 1, ", column ", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

Status ParseTextMessage(std::string_view text, google::protobuf::Message* out) {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int>::max()))
    return ResourceExhausted("the text is longer than 2 GiB");
  google::protobuf::TextFormat::Parser parser;
  FirstError error;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(kMaxTextDepth);
  if (parser.ParseFromString(std::string(text), out)) return OkStatus();
  return InvalidArgument(Printable(error.text(), 400));
}

}  // namespace megalith::serving
