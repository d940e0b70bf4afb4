// Errors, events and the plugin itself.
#include <string>

#include "clients/pjrt/calls.h"

namespace megalith::pjrt {
namespace {

// The newest StableHLO whose artifacts are read, and the oldest.
constexpr int64_t kNewestStableHlo[] = {1, 14, 0};
constexpr int64_t kOldestStableHlo[] = {0, 9, 0};

abi::NamedValue Version(std::string_view name, const int64_t (&version)[3]) {
  abi::NamedValue v{};
  v.struct_size = sizeof(v);
  v.name = name.data();
  v.name_size = name.size();
  v.type = abi::kNamedInt64List;
  v.int64_array_value = version;
  v.value_size = 3;
  return v;
}

// Codes are numbers of the same list on both sides; an error from the host may hold another.
Status FromHost(int32_t code, const char* message, size_t size) {
  if (code <= 0 || code > static_cast<int>(Code::kUnauthenticated)) {
    code = static_cast<int>(Code::kUnknown);
  }
  return Status(static_cast<Code>(code),
                message == nullptr ? std::string() : std::string(message, size));
}

}  // namespace

abi::Error* Error_Destroy(void* args) {
  delete static_cast<abi::Error_Destroy_Args*>(args)->error;
  return nullptr;
}

abi::Error* Error_Message(void* args) {
  auto& a = *static_cast<abi::Error_Message_Args*>(args);
  const std::string& text = a.error->status.message();
  a.message = text.data();
  a.message_size = text.size();
  return nullptr;
}

MEGALITH_PJRT_CALL(Error_GetCode) {
  args.code = static_cast<int32_t>(args.error->status.code());
  return OkStatus();
}

MEGALITH_PJRT_CALL(Plugin_Initialize) { return OkStatus(); }

MEGALITH_PJRT_CALL(Plugin_Attributes) {
  static const abi::NamedValue kAttributes[] = {
      Version("stablehlo_current_version", kNewestStableHlo),
      Version("stablehlo_minimum_version", kOldestStableHlo)};
  args.attributes = kAttributes;
  args.num_attributes = std::size(kAttributes);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Event_Destroy) {
  DestroyEvent(args.event);
  return OkStatus();
}

MEGALITH_PJRT_CALL(Event_IsReady) {
  args.is_ready = args.event->state->ready();
  return OkStatus();
}

MEGALITH_PJRT_CALL(Event_Error) {
  if (!args.event->state->ready()) {
    return FailedPrecondition("the event has not happened; await it before asking for its error");
  }
  return args.event->state->status();
}

MEGALITH_PJRT_CALL(Event_Await) { return args.event->state->Wait(); }

MEGALITH_PJRT_CALL(Event_OnReady) {
  EventState& state = *args.event->state;
  if (state.ready()) {
    args.callback(ToError(state.status()), args.user_arg);
    return OkStatus();
  }
  state.OnReady([callback = args.callback, user = args.user_arg](const Status& s) {
    callback(ToError(s), user);
  });
  return OkStatus();
}

MEGALITH_PJRT_CALL(Event_Create) {
  args.event = NewEvent(std::make_shared<EventState>());
  return OkStatus();
}

MEGALITH_PJRT_CALL(Event_Set) {
  args.event->state->Set(args.error_code == 0 ? OkStatus()
                                              : FromHost(args.error_code, args.error_message,
                                                         args.error_message_size));
  return OkStatus();
}

}  // namespace megalith::pjrt
