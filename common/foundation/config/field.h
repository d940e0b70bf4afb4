// Configuration fields as rows of a table: `Field<&Struct::member>("name_unit", "help")` knows the
// member's type, how to parse its text, how to print it, and which values it admits.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::config {

enum class FieldKind : uint8_t { kBool, kInt, kDouble, kString, kStringList, kDuration, kEnum };

// The words of an enumeration in configuration text. Specialise for each enum type that is a config
// field:
//   template <>
//   struct EnumWords<Mode> {
//     static constexpr std::string_view kWords[] = {"strict", "hardened"};  // word i is the
//     enumerator with value i
//   };
template <typename E>
struct EnumWords;

// What does not depend on the struct. `name` carries the unit ("_ms", "_bytes"); a limit of 0 means
// that nothing is admitted, never "unlimited".
struct FieldSpec {
  std::string_view name;
  std::string_view help;
  FieldKind kind = FieldKind::kString;
  // Inclusive limits of kInt and kDuration (in the unit of the name), and of kDouble.
  int64_t min_int = 0;
  int64_t max_int = std::numeric_limits<int64_t>::max();
  double min_double = std::numeric_limits<double>::lowest();
  double max_double = std::numeric_limits<double>::max();
  std::span<const std::string_view> words;  // of kEnum
  bool secret = false;
};

// One row for a member of struct S. Made by Field<&S::member>; the setters return a changed copy,
// so that a row reads
//   Field<&CacheConfig::shards>("shards", "files opened side by side").Range(1, 64)
template <typename S>
struct ConfigField {
  FieldSpec spec;
  Status (*set)(S&, const FieldSpec&, std::string_view text) = nullptr;
  std::string (*get)(const S&) = nullptr;

  constexpr ConfigField Range(int64_t min, int64_t max) const {
    ConfigField f = *this;
    f.spec.min_int = min;
    f.spec.max_int = max;
    return f;
  }
  constexpr ConfigField RangeDouble(double min, double max) const {
    ConfigField f = *this;
    f.spec.min_double = min;
    f.spec.max_double = max;
    return f;
  }
  // The value is replaced by "(secret)" in logs and reports.
  constexpr ConfigField Secret() const {
    ConfigField f = *this;
    f.spec.secret = true;
    return f;
  }
};

namespace internal {

Status ParseField(const FieldSpec& spec, std::string_view text, bool* out);
Status ParseField(const FieldSpec& spec, std::string_view text, int64_t* out);
Status ParseField(const FieldSpec& spec, std::string_view text, double* out);
Status ParseField(const FieldSpec& spec, std::string_view text, std::string* out);
Status ParseField(const FieldSpec& spec, std::string_view text, std::vector<std::string>* out);
Status ParseWord(const FieldSpec& spec, std::string_view text, size_t* index);

std::string PrintField(bool v);
std::string PrintField(int64_t v);
std::string PrintField(double v);
std::string PrintField(const std::string& v);
std::string PrintField(const std::vector<std::string>& v);

template <typename T>
struct IsDuration : std::false_type {};
template <typename Rep, typename Period>
struct IsDuration<std::chrono::duration<Rep, Period>> : std::true_type {};

template <typename T>
constexpr FieldKind KindOf() {
  if constexpr (std::is_same_v<T, bool>) return FieldKind::kBool;
  if constexpr (std::is_enum_v<T>) return FieldKind::kEnum;
  if constexpr (IsDuration<T>::value) return FieldKind::kDuration;
  if constexpr (std::is_integral_v<T>) return FieldKind::kInt;
  if constexpr (std::is_floating_point_v<T>) return FieldKind::kDouble;
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return FieldKind::kStringList;
  return FieldKind::kString;
}

template <typename T>
Status SetMember(T& member, const FieldSpec& spec, std::string_view text) {
  if constexpr (std::is_enum_v<T>) {
    size_t index = 0;
    RETURN_IF_ERROR(ParseWord(spec, text, &index));
    member = static_cast<T>(index);
  } else if constexpr (IsDuration<T>::value ||
                       (std::is_integral_v<T> && !std::is_same_v<T, bool>)) {
    int64_t value = 0;
    RETURN_IF_ERROR(ParseField(spec, text, &value));
    member = static_cast<T>(value);
  } else {
    return ParseField(spec, text, &member);
  }
  return OkStatus();
}

template <typename T>
std::string GetMember(const T& member) {
  if constexpr (std::is_enum_v<T>) {
    return std::string(EnumWords<T>::kWords[static_cast<size_t>(member)]);
  } else if constexpr (IsDuration<T>::value) {
    return PrintField(static_cast<int64_t>(member.count()));
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    return PrintField(static_cast<int64_t>(member));
  } else {
    return PrintField(member);
  }
}

template <typename M>
struct MemberOf;
template <typename S, typename T>
struct MemberOf<T S::*> {
  using Struct = S;
  using Type = T;
};

}  // namespace internal

// A row for `kMember`, whose type must be bool, an integer, double, std::string,
// std::vector<std::string>, a std::chrono duration (in whole units of its own period) or an enum
// with EnumWords. Integers and durations admit [0, max of the type] until Range says otherwise.
template <auto kMember>
constexpr auto Field(std::string_view name, std::string_view help) {
  using S = typename internal::MemberOf<decltype(kMember)>::Struct;
  using T = typename internal::MemberOf<decltype(kMember)>::Type;
  ConfigField<S> field;
  field.spec.name = name;
  field.spec.help = help;
  field.spec.kind = internal::KindOf<T>();
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    if constexpr (sizeof(T) < sizeof(int64_t)) {
      field.spec.max_int = static_cast<int64_t>(std::numeric_limits<T>::max());
    }
  }
  if constexpr (std::is_enum_v<T>) field.spec.words = EnumWords<T>::kWords;
  field.set = [](S& s, const FieldSpec& spec, std::string_view text) {
    return internal::SetMember(s.*kMember, spec, text);
  };
  field.get = [](const S& s) { return internal::GetMember(s.*kMember); };
  return field;
}

}  // namespace megalith::config
