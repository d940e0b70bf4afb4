// Requests to a parameter server, several one after the other: whatever they are, it answers, keeps
// its rows finite and never says that the fault is its own.
#include <google/protobuf/stubs/logging.h>

#include <cmath>
#include <cstdint>
#include <string_view>

#include "services/parameter_server/parameter_store.h"

namespace megalith {
namespace {

namespace v1 = table::v1;
using services::ParameterStore;

const Cancellation kForever;

// Small tables only: sizes are requests' to choose.
bool TooLarge(const v1::TableConfig& config) {
  int64_t dim = 0;
  for (const v1::Segment& segment : config.segments()) {
    if (segment.dim() > 64) return true;
    dim += segment.dim();
  }
  return dim > 256 || config.initial_capacity() > 1000;
}

template <typename Request, typename Response>
void Send(ParameterStore& store, std::string_view bytes,
          Result<Response> (ParameterStore::*method)(const Request&, const Cancellation&)) {
  Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  if constexpr (requires { request.monolith_config(); }) {
    if (TooLarge(request.config()) || !request.monolith_config().empty()) return;
  }
  const Result<Response> response = (store.*method)(request, kForever);
  CHECK(response.ok() || response.status().code() != Code::kInternal);
  CHECK(response.ok() || !response.status().message().empty());
}

template <typename Request, typename Response>
void Ask(ParameterStore& store, std::string_view bytes,
         Result<Response> (ParameterStore::*method)(const Request&)) {
  Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const Result<Response> response = (store.*method)(request);
  CHECK(response.ok() || response.status().code() != Code::kInternal);
  if constexpr (requires { response->rows(); }) {
    if (!response.ok() || request.format() > v1::VALUE_FORMAT_FP32) return;
    const auto rows = embedding::UnpackValues(response->rows(), embedding::ValueFormat::kFp32);
    CHECK(rows.ok());
    for (const float value : rows->span()) CHECK(std::isfinite(value));
  }
}

void Dispatch(ParameterStore& store, uint8_t what, std::string_view bytes) {
  switch (what % 14) {
    case 0:
      return Send(store, bytes, &ParameterStore::CreateTable);
    case 1:
      return Send(store, bytes, &ParameterStore::AlterTable);
    case 2:
      return Send(store, bytes, &ParameterStore::DropTable);
    case 3:
      return Send(store, bytes, &ParameterStore::Apply);
    case 4:
      return Send(store, bytes, &ParameterStore::Assign);
    case 5:
      return Send(store, bytes, &ParameterStore::AssignAdd);
    case 6:
      return Send(store, bytes, &ParameterStore::Reinitialize);
    case 7:
      return Send(store, bytes, &ParameterStore::Erase);
    case 8:
      return Send(store, bytes, &ParameterStore::Evict);
    case 9:
      return Send(store, bytes, &ParameterStore::CreateVariable);
    case 10:
      return Send(store, bytes, &ParameterStore::ApplyVariables);
    case 11:
      return Ask(store, bytes, &ParameterStore::ReadVariables);
    case 12:
      return Ask(store, bytes, &ParameterStore::LookupEntries);
    default:
      return Ask(store, bytes, &ParameterStore::Lookup);
  }
}

v1::CreateTableRequest Table() {
  v1::CreateTableRequest create;
  create.set_name("t");
  v1::Segment* segment = create.mutable_config()->add_segments();
  segment->set_dim(2);
  segment->mutable_optimizer()->set_name("adagrad");
  return create;
}

}  // namespace
}  // namespace megalith

// Requests lie one after the other, each behind a byte that says which it is and one of length.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace megalith;
  static const auto previous = google::protobuf::SetLogHandler(nullptr);
  (void)previous;
  telemetry::MetricRegistry metrics;
  services::ParameterServerConfig config;
  config.max_ids = 1000;
  config.max_tables = 20;
  config.max_dense_bytes = 1 << 16;
  auto store = ParameterStore::Open(config, "/nonexistent", 1 << 20, nullptr, metrics,
                                    RealFileSystem(), RealClock());
  CHECK(store.ok());
  CHECK((*store)->CreateTable(Table(), kForever).ok());
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (rest.size() >= 2) {
    const auto what = static_cast<uint8_t>(rest[0]);
    const auto length = static_cast<uint8_t>(rest[1]);
    rest.remove_prefix(2);
    const std::string_view bytes = rest.substr(0, length);
    rest.remove_prefix(bytes.size());
    Dispatch(**store, what, bytes);
  }
  return 0;
}
