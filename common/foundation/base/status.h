// Errors as values: Status and Result<T>, the only way our functions report that something failed.
//
// Codes are gRPC's, so that a service handler converts by cast. A status that stands for an error a
// JAX user knows also carries the name of JAX's Python class ("TypeError"), which services put into
// the error details.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace megalith {

// Numbers are gRPC's (persistent: never change).
enum class Code : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "INVALID_ARGUMENT" and so on; "UNKNOWN" for a number outside the enumeration.
std::string_view CodeName(Code code);

// A code and a sentence. Success costs one null pointer. Copies share the text; a Status is
// immutable, so copies may be read from any thread.
class [[nodiscard]] Status {
 public:
  Status() = default;
  // `code` must not be kOk. Messages: lower case, no final period, what was found and what was
  // wanted.
  Status(Code code, std::string message);

  // The same with the Python class that JAX raises in this situation, such as "TypeError".
  static Status WithClass(Code code, std::string_view python_class, std::string message);

  bool ok() const { return rep_ == nullptr; }
  Code code() const { return rep_ ? rep_->code : Code::kOk; }
  const std::string& message() const;
  const std::string& python_class() const;

  // The same error with "context: " before its message; success stays success.
  Status Annotate(std::string_view context) const;

  // "INVALID_ARGUMENT: eqn 3: ..." for logs and test failures.
  std::string ToString() const;

 private:
  struct Rep {
    Code code;
    std::string python_class;
    std::string message;
  };
  std::shared_ptr<const Rep> rep_;
};

inline Status OkStatus() { return Status(); }
Status InvalidArgument(std::string message);
Status NotFound(std::string message);
Status FailedPrecondition(std::string message);
Status Unimplemented(std::string message);
Status Internal(std::string message);
Status DataLoss(std::string message);
Status ResourceExhausted(std::string message);
Status Unavailable(std::string message);
Status DeadlineExceeded(std::string message);
Status Cancelled(std::string message);
// What JAX raises as TypeError and ValueError, both kInvalidArgument.
Status TypeError(std::string message);
Status ValueError(std::string message);
// What JAX raises as NotImplementedError, kUnimplemented.
Status NotImplementedError(std::string message);

// A value or the error that prevented it.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {}  // NOLINT: implicit by design
  template <typename U>
    requires(std::is_convertible_v<U &&, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
             !std::is_same_v<std::remove_cvref_t<U>, Status> &&
             !std::is_same_v<std::remove_cvref_t<U>, Result>)
  Result(U&& value) : value_(std::forward<U>(value)) {}  // NOLINT: implicit by design

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Requires ok().
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

  // The same result with "context: " before the error's message.
  Result Annotate(std::string_view context) && {
    if (ok()) return std::move(*this);
    return Result(status_.Annotate(context));
  }

 private:
  std::optional<T> value_;
  Status status_;
};

namespace internal {
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);
inline const Status& StatusOf(const Status& s) { return s; }
template <typename T>
const Status& StatusOf(const Result<T>& r) {
  return r.status();
}
}  // namespace internal

}  // namespace megalith

#define MEGALITH_CONCAT_INNER(a, b) a##b
#define MEGALITH_CONCAT(a, b) MEGALITH_CONCAT_INNER(a, b)

// Evaluates to the value of a Result, or returns its error from the enclosing function.
#define ASSIGN_OR_RETURN(lhs, expression) \
  ASSIGN_OR_RETURN_IMPL(MEGALITH_CONCAT(result_, __LINE__), lhs, expression)
#define ASSIGN_OR_RETURN_IMPL(result, lhs, expression) \
  auto result = (expression);                          \
  if (!result.ok()) return result.status();            \
  lhs = *std::move(result)

// Returns the error of a Status (or Result) from the enclosing function.
#define RETURN_IF_ERROR(expression)                                                     \
  do {                                                                                  \
    const ::megalith::Status status_macro = ::megalith::internal::StatusOf(expression); \
    if (!status_macro.ok()) return status_macro;                                        \
  } while (false)

// For our own broken invariants, never for input: prints the condition and aborts.
#define CHECK(condition)        \
  (static_cast<bool>(condition) \
       ? void(0)                \
       : ::megalith::internal::CheckFailed(#condition, __FILE__, __LINE__))
#ifdef NDEBUG
#define DCHECK(condition) void(0)
#else
#define DCHECK(condition) CHECK(condition)
#endif
