// One client's programs and buffers, for as long as its stream lives.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/fleet/rpc/call.h"
#include "common/fleet/rpc/stream.h"
#include "common/foundation/telemetry/metrics.h"
#include "megalith/execute/v1/execute.pb.h"
#include "services/execute/buffer_table.h"
#include "services/execute/execute_engine.h"
#include "services/execute/run_slots.h"

namespace megalith::services {

// kInvalidArgument: not what a program takes; says which argument, found and wanted.
Status CheckArguments(const std::vector<tensor::ArrayType>& want,
                      const std::vector<tensor::Tensor>& got);

// What a session uses of its service; all of it outlives the session.
struct SessionHost {
  BufferTable& buffers;  // its budget is that of all sessions too
  RunSlots& slots;
  telemetry::Histogram& run_seconds;
  const Clock& clock;
  uint64_t max_tensor_bytes = 0;
  std::function<Result<std::shared_ptr<const Executable>>(const execute::v1::SessionLoad&)> load;
  // Leaves evidence of what failed.
  std::function<void(const std::string& decision, const Status&)> record;
};

// Not thread-safe: requests are handled one after the other. What is asked of each:
// protos/megalith/execute/v1/execute.proto.
class Session {
 public:
  // `writer` and `call` outlive the session.
  Session(SessionHost host, rpc::Writer<execute::v1::SessionResponse>* writer,
          const rpc::Call* call);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // An error ends the stream: kInvalidArgument  no operation; those of the call and of the writer.
  Status Handle(const execute::v1::SessionRequest& request);

  static constexpr size_t kMaxBuffers = 1 << 20;
  static constexpr size_t kMaxPrograms = 1 << 17;
  static constexpr uint32_t kMaxInlineBytes = 64 << 10;

 private:
  // A tensor, or why there is none.
  struct Buffer {
    Status status;
    tensor::Tensor tensor;
    uint64_t reserved = 0;  // bytes of the budget
    uint64_t filled = 0;    // bytes that have come
    bool complete = true;
  };
  struct Program {
    Status status;
    std::shared_ptr<const Executable> executable;
  };

  Status Load(const execute::v1::SessionLoad& load);
  Status Put(const execute::v1::SessionPut& put);
  Status Append(const execute::v1::SessionPut& put, Buffer* buffer);
  Status Run(const execute::v1::SessionRun& run, execute::v1::SessionRan* ran);
  Result<std::vector<tensor::Tensor>> RunProgram(const execute::v1::SessionRun& run);
  Result<std::vector<tensor::Tensor>> ArgumentsOf(const execute::v1::SessionRun& run);
  Status Get(uint64_t id, const execute::v1::SessionGet& get);
  Result<tensor::Tensor> Find(uint64_t number) const;
  Result<Buffer*> NewBuffer(uint64_t number);
  void Keep(uint64_t number, Result<tensor::Tensor> tensor);
  void Drop(uint64_t number);
  Status AnswerError(uint64_t id, const Status& status);

  const SessionHost host_;
  rpc::Writer<execute::v1::SessionResponse>* const writer_;
  const rpc::Call* const call_;
  std::unordered_map<uint64_t, Buffer> buffers_;
  std::unordered_map<uint64_t, Program> programs_;
};

}  // namespace megalith::services
