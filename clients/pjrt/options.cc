#include "clients/pjrt/options.h"

#include <bit>
#include <cstring>

#include "clients/pjrt/engine.h"
#include "clients/pjrt/proto_writer.h"
#include "common/foundation/base/strings.h"

namespace megalith::pjrt {
namespace {

// One field of a message in protobuf's encoding.
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;      // of varints and fixed numbers
  std::string_view bytes;  // of everything with a length
};

// Reads fields one after the other; ok() tells whether the message ended well.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}
  bool ok() const { return ok_; }

  bool Next(Field* f) {
    if (rest_.empty() || !ok_) return false;
    uint64_t tag = 0;
    *f = {};
    if (!Varint(&tag)) return Fail();
    f->number = tag >> 3;
    switch (tag & 7) {
      case 0:
        return Varint(&f->value) || Fail();
      case 1:
        return Fixed(8, &f->value) || Fail();
      case 5:
        return Fixed(4, &f->value) || Fail();
      case 2: {
        uint64_t size = 0;
        if (!Varint(&size) || size > rest_.size()) return Fail();
        f->bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return true;
      }
      default:
        return Fail();
    }
  }

  bool Varint(uint64_t* v) {
    *v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return false;
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      *v |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool empty() const { return rest_.empty(); }

 private:
  bool Fail() {
    ok_ = false;
    return false;
  }
  bool Fixed(size_t size, uint64_t* v) {
    if (rest_.size() < size) return false;
    *v = 0;
    std::memcpy(v, rest_.data(), size);
    rest_.remove_prefix(size);
    return true;
  }

  std::string_view rest_;
  bool ok_ = true;
};

Status Malformed(std::string_view what) {
  return InvalidArgument(StrCat("compile options: ", what, " is malformed"));
}

// ComputationDevice: 1 replica_device_ids, packed or not.
Result<std::vector<int64_t>> ParseIds(std::string_view bytes) {
  std::vector<int64_t> ids;
  Fields fields(bytes);
  for (Field f; fields.Next(&f);) {
    if (f.number != 1) continue;
    if (f.bytes.empty()) {
      ids.push_back(static_cast<int64_t>(f.value));
      continue;
    }
    Fields packed(f.bytes);
    while (!packed.empty()) {
      uint64_t id = 0;
      if (!packed.Varint(&id)) return Malformed("device_assignment");
      ids.push_back(static_cast<int64_t>(id));
    }
  }
  if (!fields.ok()) return Malformed("device_assignment");
  return ids;
}

Status ParseAssignment(std::string_view bytes, HostCompileOptions* out) {
  Fields fields(bytes);
  for (Field f; fields.Next(&f);) {
    if (f.number != 3) continue;
    ASSIGN_OR_RETURN(std::vector<int64_t> ids, ParseIds(f.bytes));
    out->device_assignment.push_back(std::move(ids));
  }
  return fields.ok() ? OkStatus() : Malformed("device_assignment");
}

Status ParseBuildOptions(std::string_view bytes, HostCompileOptions* out) {
  Fields fields(bytes);
  for (Field f; fields.Next(&f);) {
    switch (f.number) {
      case 4:
      case 5: {
        const auto n = static_cast<int64_t>(f.value);
        if (n < 1 || n > kMostDevices) {
          return InvalidArgument(StrCat("compile options ask for ", n,
                                        f.number == 4 ? " replicas" : " partitions",
                                        "; between 1 and ", kMostDevices, " are possible"));
        }
        (f.number == 4 ? out->num_replicas : out->num_partitions) = static_cast<int>(n);
        break;
      }
      case 9:
        RETURN_IF_ERROR(ParseAssignment(f.bytes, out));
        break;
      case 19:
        out->use_shardy = f.value != 0;
        break;
      default:
        break;
    }
  }
  return fields.ok() ? OkStatus() : Malformed("executable_build_options");
}

// OptionOverrideProto: 1 string, 2 bool, 3 int64, 4 double.
std::string OverrideText(std::string_view bytes) {
  Fields fields(bytes);
  std::string text;
  for (Field f; fields.Next(&f);) {
    if (f.number == 1) text = f.bytes;
    if (f.number == 2) text = f.value != 0 ? "true" : "false";
    if (f.number == 3) text = StrCat(static_cast<int64_t>(f.value));
    if (f.number == 4) text = StrCat(std::bit_cast<double>(f.value));
  }
  return text;
}

Status ParseOverride(std::string_view bytes, HostCompileOptions* out) {
  Fields fields(bytes);
  std::string_view key, value;
  for (Field f; fields.Next(&f);) {
    if (f.number == 1) key = f.bytes;
    if (f.number == 2) value = f.bytes;
  }
  if (!fields.ok()) return Malformed("env_option_overrides");
  out->overrides[std::string(key)] = OverrideText(value);
  return OkStatus();
}

}  // namespace

Result<HostCompileOptions> ParseCompileOptions(std::string_view bytes) {
  HostCompileOptions out;
  Fields fields(bytes);
  for (Field f; fields.Next(&f);) {
    if (f.number == 3) RETURN_IF_ERROR(ParseBuildOptions(f.bytes, &out));
    if (f.number == 7) RETURN_IF_ERROR(ParseOverride(f.bytes, &out));
  }
  if (!fields.ok()) return Malformed("the message");
  return out;
}

std::string EncodeDeviceAssignment(const std::vector<std::vector<int64_t>>& ids) {
  std::string out = "\x08";
  AppendVarint(ids.empty() ? 0 : ids[0].size(), &out);
  out.push_back('\x10');
  AppendVarint(ids.size(), &out);
  for (const std::vector<int64_t>& replicas : ids) {
    std::string packed;
    for (const int64_t id : replicas) AppendVarint(static_cast<uint64_t>(id), &packed);
    std::string device = "\x0a";
    AppendVarint(packed.size(), &device);
    device += packed;
    out.push_back('\x1a');
    AppendVarint(device.size(), &out);
    out += device;
  }
  return out;
}

}  // namespace megalith::pjrt
