#include "common/foundation/base/status.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace megalith {
namespace {

constexpr std::array<std::string_view, 17> kCodeNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

const std::string& EmptyString() {
  static const std::string empty;
  return empty;
}

}  // namespace

std::string_view CodeName(Code code) {
  const auto i = static_cast<size_t>(code);
  return i < kCodeNames.size() ? kCodeNames[i] : kCodeNames[2];
}

Status::Status(Code code, std::string message)
    : rep_(std::make_shared<const Rep>(Rep{code, "", std::move(message)})) {
  CHECK(code != Code::kOk);
}

Status Status::WithClass(Code code, std::string_view python_class, std::string message) {
  CHECK(code != Code::kOk);
  Status s;
  s.rep_ = std::make_shared<const Rep>(Rep{code, std::string(python_class), std::move(message)});
  return s;
}

const std::string& Status::message() const { return rep_ ? rep_->message : EmptyString(); }
const std::string& Status::python_class() const {
  return rep_ ? rep_->python_class : EmptyString();
}

Status Status::Annotate(std::string_view context) const {
  if (ok()) return *this;
  std::string text(context);
  text += ": ";
  text += rep_->message;
  return WithClass(rep_->code, rep_->python_class, std::move(text));
}

std::string Status::ToString() const {
  if (ok()) return "OK";
  std::string out(CodeName(code()));
  out += ": ";
  if (!rep_->python_class.empty()) {
    out += rep_->python_class;
    out += ": ";
  }
  out += rep_->message;
  return out;
}

Status InvalidArgument(std::string m) { return Status(Code::kInvalidArgument, std::move(m)); }
Status NotFound(std::string m) { return Status(Code::kNotFound, std::move(m)); }
Status FailedPrecondition(std::string m) { return Status(Code::kFailedPrecondition, std::move(m)); }
Status Unimplemented(std::string m) { return Status(Code::kUnimplemented, std::move(m)); }
Status Internal(std::string m) { return Status(Code::kInternal, std::move(m)); }
Status DataLoss(std::string m) { return Status(Code::kDataLoss, std::move(m)); }
Status ResourceExhausted(std::string m) { return Status(Code::kResourceExhausted, std::move(m)); }
Status Unavailable(std::string m) { return Status(Code::kUnavailable, std::move(m)); }
Status DeadlineExceeded(std::string m) { return Status(Code::kDeadlineExceeded, std::move(m)); }
Status Cancelled(std::string m) { return Status(Code::kCancelled, std::move(m)); }
Status TypeError(std::string m) {
  return Status::WithClass(Code::kInvalidArgument, "TypeError", std::move(m));
}
Status ValueError(std::string m) {
  return Status::WithClass(Code::kInvalidArgument, "ValueError", std::move(m));
}
Status NotImplementedError(std::string m) {
  return Status::WithClass(Code::kUnimplemented, "NotImplementedError", std::move(m));
}

namespace internal {
void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "CHECK failed: %s at %s:%d\n", condition, file, line);
  std::abort();
}
}  // namespace internal

}  // namespace megalith
