#include "clients/pjrt/client_options.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "common/foundation/base/strings.h"

namespace megalith::pjrt {
namespace {

// One option that is a number from 1 to `most`, or one that is a text.
struct Option {
  std::string_view name;
  int64_t most;
  int64_t& (*number)(ClientOptions&);
  std::string& (*text)(ClientOptions&);
};

constexpr Option kOptions[] = {
    {"num_devices", 1024, [](ClientOptions& o) -> int64_t& { return o.devices; }, nullptr},
    {"backend", 0, nullptr, [](ClientOptions& o) -> std::string& { return o.remote.backend; }},
    {"address", 0, nullptr, [](ClientOptions& o) -> std::string& { return o.remote.address; }},
    {"compile_address", 0, nullptr,
     [](ClientOptions& o) -> std::string& { return o.remote.compile_address; }},
    {"connect_timeout_ms", 3'600'000,
     [](ClientOptions& o) -> int64_t& { return o.remote.connect_timeout_ms; }, nullptr},
    {"ca_file", 0, nullptr, [](ClientOptions& o) -> std::string& { return o.remote.ca_file; }},
    {"certificate_file", 0, nullptr,
     [](ClientOptions& o) -> std::string& { return o.remote.certificate_file; }},
    {"key_file", 0, nullptr, [](ClientOptions& o) -> std::string& { return o.remote.key_file; }},
    {"server_name", 0, nullptr,
     [](ClientOptions& o) -> std::string& { return o.remote.server_name; }},
};

std::optional<int64_t> IntegerOf(const abi::NamedValue& v) {
  if (v.type == abi::kNamedInt64) return v.int64_value;
  if (v.type != abi::kNamedString) return std::nullopt;
  int64_t n = 0;
  const auto end = v.string_value + v.value_size;
  const auto [stop, error] = std::from_chars(v.string_value, end, n);
  if (error != std::errc() || stop != end) return std::nullopt;
  return n;
}

Status Set(const Option& option, const abi::NamedValue& v, ClientOptions* out) {
  if (option.text != nullptr) {
    if (v.type != abi::kNamedString) {
      return InvalidArgument(StrCat("client option ", option.name, " must be a text"));
    }
    option.text(*out).assign(v.string_value, v.value_size);
    return OkStatus();
  }
  const std::optional<int64_t> n = IntegerOf(v);
  if (!n || *n < 1 || *n > option.most) {
    return InvalidArgument(
        StrCat("client option ", option.name, " must be a number from 1 to ", option.most));
  }
  option.number(*out) = *n;
  return OkStatus();
}

}  // namespace

Result<ClientOptions> ParseClientOptions(const abi::NamedValue* options, size_t count) {
  ClientOptions out;
  for (size_t i = 0; i < count; ++i) {
    const std::string_view name(options[i].name, options[i].name_size);
    const Option* found = nullptr;
    std::string names;
    for (const Option& option : kOptions) {
      if (option.name == name) found = &option;
      StrAppend(&names, names.empty() ? "" : ", ", option.name);
    }
    if (found == nullptr) {
      return InvalidArgument(
          StrCat("unknown client option '", Printable(name), "'; there are ", names));
    }
    RETURN_IF_ERROR(Set(*found, options[i], &out));
  }
  return out;
}

}  // namespace megalith::pjrt
