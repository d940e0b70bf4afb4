// A client's stream of requests to a session: whatever they are, the session answers what it must,
// holds no more than its budget, and gives everything back.
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <string_view>

#include "services/execute/testing/session_rig.h"

namespace {

using namespace megalith;

// Requests lie one after the other, each behind two bytes of length.
bool NextRequest(std::string_view* data, execute::v1::SessionRequest* request) {
  if (data->size() < 2) return false;
  const size_t size = static_cast<uint8_t>((*data)[0]) | static_cast<uint8_t>((*data)[1]) << 8;
  data->remove_prefix(2);
  const std::string_view bytes = data->substr(0, size);
  data->remove_prefix(bytes.size());
  return request->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// Answers that an operation must have, has, or may not have.
void CheckAnswers(const execute::v1::SessionRequest& request,
                  const std::vector<execute::v1::SessionResponse>& answers, size_t from) {
  const size_t count = answers.size() - from;
  if (request.has_free()) CHECK(count == 0);
  if (request.has_open() || request.has_run()) CHECK(count == 1);
  if (request.has_load() || request.has_put()) CHECK(count <= 1);
  if (request.has_get()) CHECK(count >= 1);
  for (size_t i = from; i < answers.size(); ++i) {
    CHECK(answers[i].id() == request.id());
    CHECK(answers[i].outcome_case() != execute::v1::SessionResponse::OUTCOME_NOT_SET);
    if (!answers[i].has_error()) continue;
    CHECK(answers[i].error().code() != static_cast<uint32_t>(Code::kOk));
    CHECK(answers[i].error().code() != static_cast<uint32_t>(Code::kInternal));
    CHECK(!answers[i].error().detail().message().empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto previous = google::protobuf::SetLogHandler(nullptr);
  (void)previous;
  constexpr double kBudget = 1 << 14;
  services::testing::SessionWorld world(static_cast<uint64_t>(kBudget));
  world.max_tensor_bytes = 1 << 13;
  {
    services::testing::SessionRig rig(&world);
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    execute::v1::SessionRequest request;
    while (NextRequest(&rest, &request)) {
      const size_t before = rig.stream().answers.size();
      const Status status = rig.Handle(request);
      CHECK(world.bytes_held() <= kBudget);
      if (!status.ok()) {
        CHECK(status.code() == Code::kInvalidArgument);
        break;
      }
      CheckAnswers(request, rig.stream().answers, before);
    }
  }
  CHECK(world.bytes_held() == 0);
  return 0;
}
