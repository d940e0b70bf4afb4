// A session without a service around it: programs that only tests have, answers kept in a list.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/fleet/rpc/codec.h"
#include "common/foundation/telemetry/metric_table.h"
#include "services/execute/session.h"

namespace megalith::services::testing {

// Keeps what is written. After `fail_after` messages it answers as a stream whose caller has gone.
class KeptStream final : public rpc::RawStream {
 public:
  Result<std::optional<grpc::ByteBuffer>> Read() override {
    return std::optional<grpc::ByteBuffer>();
  }
  Status Write(grpc::ByteBuffer message) override {
    if (answers.size() >= fail_after) return Status(Code::kCancelled, "the caller has gone");
    execute::v1::SessionResponse answer;
    RETURN_IF_ERROR(rpc::ParseMessage(message, &answer));
    answers.push_back(std::move(answer));
    return OkStatus();
  }
  std::vector<execute::v1::SessionResponse> answers;
  size_t fail_after = SIZE_MAX;
};

// Takes f32[2] and gives it twice over: the sum of the argument with itself, and the argument.
class Twice final : public Executable {
 public:
  const std::vector<tensor::ArrayType>& inputs() const override { return inputs_; }
  const std::vector<tensor::ArrayType>& outputs() const override { return outputs_; }
  bool quick() const override { return true; }
  Result<std::vector<tensor::Tensor>> Run(std::span<const tensor::Tensor> arguments,
                                          const Cancellation& cancellation,
                                          runtime::RunProfile*) const override {
    RETURN_IF_ERROR(cancellation.Check());
    tensor::Tensor sum = *tensor::Tensor::Create(tensor::DType::kF32, {2});
    for (int64_t i = 0; i < 2; ++i) sum.SetDouble(i, 2 * arguments[0].DoubleAt(i));
    return std::vector<tensor::Tensor>{sum, arguments[0]};
  }

 private:
  const tensor::ArrayType type_{.dtype = tensor::DType::kF32, .shape = {2}, .weak_type = false};
  const std::vector<tensor::ArrayType> inputs_{type_};
  const std::vector<tensor::ArrayType> outputs_{type_, type_};
};

// What sessions of one executor share.
struct SessionWorld {
  explicit SessionWorld(uint64_t max_buffer_bytes, size_t slots = 4)
      : buffers(max_buffer_bytes, /*seed=*/1, metrics), run_slots(slots) {}
  double bytes_held() { return metrics.GetGauge(telemetry::kBufferBytes).value(); }

  telemetry::MetricRegistry metrics;
  BufferTable buffers;
  RunSlots run_slots;
  uint64_t max_tensor_bytes = 1 << 16;
  std::vector<std::pair<std::string, Status>> records;
};

// One client's session. The package "twice" loads, every other one does not.
class SessionRig {
 public:
  explicit SessionRig(SessionWorld* world)
      : writer_(&stream_),
        session_({.buffers = world->buffers,
                  .slots = world->run_slots,
                  .run_seconds = world->metrics.GetHistogram(telemetry::kExecuteSeconds),
                  .clock = RealClock(),
                  .max_tensor_bytes = world->max_tensor_bytes,
                  .load = [](const execute::v1::SessionLoad& load)
                      -> Result<std::shared_ptr<const Executable>> {
                    if (load.package() != "twice")
                      return Status(Code::kDataLoss, "no such package");
                    return std::make_shared<const Twice>();
                  },
                  .record =
                      [world](const std::string& decision, const Status& status) {
                        world->records.emplace_back(decision, status);
                      }},
                 &writer_, &call_) {}

  Status Handle(const execute::v1::SessionRequest& request) { return session_.Handle(request); }
  KeptStream& stream() { return stream_; }
  rpc::Call& call() { return call_; }

 private:
  KeptStream stream_;
  rpc::Writer<execute::v1::SessionResponse> writer_;
  rpc::Call call_;
  Session session_;
};

}  // namespace megalith::services::testing
