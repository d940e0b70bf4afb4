#include "services/execute/session.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "common/fleet/rpc/status.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/version.h"
#include "common/foundation/tensor/narrow.h"
#include "common/foundation/tensor/tensor_proto.h"

namespace megalith::services {

namespace v1 = execute::v1;

namespace {

constexpr size_t kChunkBytes = 1 << 20;

}  // namespace

Status CheckArguments(const std::vector<tensor::ArrayType>& want,
                      const std::vector<tensor::Tensor>& got) {
  if (want.size() != got.size()) {
    return InvalidArgument(StrCat("program takes ", want.size(), " arguments, got ", got.size()));
  }
  for (size_t i = 0; i < want.size(); ++i) {
    if (want[i].dtype != got[i].dtype() || !(want[i].shape == got[i].shape())) {
      return InvalidArgument(StrCat("argument ", i, " expects ",
                                    tensor::TypeText(want[i].dtype, want[i].shape), ", got ",
                                    got[i].TypeText()));
    }
  }
  return OkStatus();
}

Session::Session(SessionHost host, rpc::Writer<v1::SessionResponse>* writer, const rpc::Call* call)
    : host_(std::move(host)), writer_(writer), call_(call) {}

Session::~Session() {
  for (const auto& [number, buffer] : buffers_) host_.buffers.Release(buffer.reserved);
}

Status Session::Handle(const v1::SessionRequest& request) {
  Status outcome;
  v1::SessionResponse answer;
  bool answered = false;  // by a message of its own
  for (const uint64_t number : request.freed()) Drop(number);
  switch (request.operation_case()) {
    case v1::SessionRequest::kOpen:
      answer.mutable_opened()->set_version(StrCat("megalith ", kVersion));
      break;
    case v1::SessionRequest::kLoad:
      outcome = Load(request.load());
      answered = true;
      break;
    case v1::SessionRequest::kPut:
      outcome = Put(request.put());
      answered = true;
      break;
    case v1::SessionRequest::kRun:
      outcome = Run(request.run(), answer.mutable_ran());
      break;
    case v1::SessionRequest::kGet:
      outcome = Get(request.id(), request.get());
      answered = true;
      break;
    case v1::SessionRequest::kFree:
      for (const uint64_t number : request.free().buffers()) Drop(number);
      for (const uint64_t number : request.free().programs()) programs_.erase(number);
      return OkStatus();
    case v1::SessionRequest::OPERATION_NOT_SET:
      return InvalidArgument("a request of the session names no operation");
  }
  if (!outcome.ok()) {
    // The end of the whole call is not the failure of one request.
    RETURN_IF_ERROR(call_->Check());
    return AnswerError(request.id(), outcome);
  }
  if (answered) return OkStatus();
  answer.set_id(request.id());
  return writer_->Write(answer);
}

Status Session::AnswerError(uint64_t id, const Status& status) {
  v1::SessionResponse answer;
  answer.set_id(id);
  answer.mutable_error()->set_code(static_cast<uint32_t>(status.code()));
  rpc::FillErrorDetail(status, call_->trace_id(), answer.mutable_error()->mutable_detail());
  return writer_->Write(answer);
}

Status Session::Load(const v1::SessionLoad& load) {
  if (programs_.size() >= kMaxPrograms && !programs_.contains(load.program())) {
    return ResourceExhausted(
        StrCat("the session has ", kMaxPrograms, " programs, the most it may have; free some"));
  }
  Result<std::shared_ptr<const Executable>> executable = host_.load(load);
  Program& program = programs_[load.program()];
  program = {};
  program.status = executable.status();
  if (executable.ok()) program.executable = *std::move(executable);
  return program.status;
}

Result<Session::Buffer*> Session::NewBuffer(uint64_t number) {
  Drop(number);
  if (buffers_.size() >= kMaxBuffers) {
    return ResourceExhausted(
        StrCat("the session has ", kMaxBuffers, " buffers, the most it may have; free some"));
  }
  return &buffers_[number];
}

Status Session::Put(const v1::SessionPut& put) {
  if (put.has_type()) {
    ASSIGN_OR_RETURN(Buffer* const buffer, NewBuffer(put.buffer()));
    buffer->complete = false;
    const auto begin = [&]() -> Status {
      ASSIGN_OR_RETURN(const tensor::ArrayType type, tensor::TypeFromProto(put.type()));
      ASSIGN_OR_RETURN(buffer->tensor, tensor::Tensor::CreateUninitialized(type.dtype, type.shape,
                                                                           host_.max_tensor_bytes));
      RETURN_IF_ERROR(host_.buffers.Reserve(buffer->tensor.byte_size()));
      buffer->reserved = buffer->tensor.byte_size();
      return OkStatus();
    };
    buffer->status = begin();
    if (!buffer->status.ok()) {
      buffer->complete = put.last();
      buffer->tensor = {};
      return buffer->status;
    }
  }
  const auto at = buffers_.find(put.buffer());
  if (at == buffers_.end() || (at->second.complete && at->second.status.ok())) {
    return InvalidArgument(
        StrCat("a piece of buffer ", put.buffer(), ", which is not being sent; begin with a type"));
  }
  Buffer& buffer = at->second;
  if (!buffer.status.ok()) return OkStatus();  // answered with its first piece that was wrong
  const Status status = Append(put, &buffer);
  if (!status.ok()) Keep(put.buffer(), status);
  return status;
}

Status Session::Append(const v1::SessionPut& put, Buffer* buffer) {
  const std::string& data = put.data();
  const uint64_t size = buffer->tensor.byte_size();
  if (data.size() > size - buffer->filled) {
    return InvalidArgument(StrCat("more bytes were sent for buffer ", put.buffer(), " than the ",
                                  size, " of ", buffer->tensor.TypeText()));
  }
  if (buffer->tensor.dtype() == tensor::DType::kBool &&
      !std::ranges::all_of(data, [](char c) { return c == 0 || c == 1; })) {
    return InvalidArgument(StrCat("a bool of buffer ", put.buffer(), " is neither 0 nor 1"));
  }
  if (!data.empty()) {
    std::memcpy(static_cast<char*>(buffer->tensor.mutable_data()) + buffer->filled, data.data(),
                data.size());
  }
  buffer->filled += data.size();
  if (!put.last()) return OkStatus();
  if (buffer->filled != size) {
    return InvalidArgument(StrCat("buffer ", put.buffer(), " is ", buffer->tensor.TypeText(),
                                  " of ", size, " bytes; ", buffer->filled, " were sent"));
  }
  if (tensor::IsNarrow(buffer->tensor.dtype()))
    RETURN_IF_ERROR(tensor::ExtendNarrow(&buffer->tensor));
  buffer->complete = true;
  return OkStatus();
}

Result<tensor::Tensor> Session::Find(uint64_t number) const {
  const auto at = buffers_.find(number);
  if (at == buffers_.end()) return NotFound(StrCat("the session has no buffer ", number));
  RETURN_IF_ERROR(at->second.status);
  if (!at->second.complete) {
    return FailedPrecondition(StrCat("buffer ", number, " has not been sent whole"));
  }
  return at->second.tensor;
}

void Session::Keep(uint64_t number, Result<tensor::Tensor> tensor) {
  const Result<Buffer*> buffer = NewBuffer(number);
  if (!buffer.ok()) return;  // whoever asks for it learns that it is not there
  (*buffer)->status = tensor.status();
  if (!tensor.ok()) return;
  (*buffer)->status = host_.buffers.Reserve(tensor->byte_size());
  if (!(*buffer)->status.ok()) return;
  (*buffer)->reserved = tensor->byte_size();
  (*buffer)->tensor = *std::move(tensor);
}

void Session::Drop(uint64_t number) {
  const auto at = buffers_.find(number);
  if (at == buffers_.end()) return;
  host_.buffers.Release(at->second.reserved);
  buffers_.erase(at);
}

Result<std::vector<tensor::Tensor>> Session::ArgumentsOf(const v1::SessionRun& run) {
  std::vector<tensor::Tensor> out;
  out.reserve(static_cast<size_t>(run.arguments_size()));
  for (const v1::SessionArgument& a : run.arguments()) {
    const std::string where = StrCat("argument ", out.size());
    if (a.kind_case() == v1::SessionArgument::kTensor) {
      ASSIGN_OR_RETURN(tensor::Tensor t,
                       tensor::TensorFromProto(a.tensor(), host_.max_tensor_bytes).Annotate(where));
      out.push_back(std::move(t));
    } else if (a.kind_case() == v1::SessionArgument::kBuffer) {
      ASSIGN_OR_RETURN(tensor::Tensor t, Find(a.buffer()));
      out.push_back(std::move(t));
    } else {
      return InvalidArgument(StrCat(where, " has neither a tensor nor a buffer"));
    }
  }
  return out;
}

Result<std::vector<tensor::Tensor>> Session::RunProgram(const v1::SessionRun& run) {
  Result<std::vector<tensor::Tensor>> arguments = ArgumentsOf(run);
  for (const v1::SessionArgument& a : run.arguments()) {
    if (a.give() && a.kind_case() == v1::SessionArgument::kBuffer) Drop(a.buffer());
  }
  RETURN_IF_ERROR(arguments.status());
  const auto at = programs_.find(run.program());
  if (at == programs_.end()) {
    return NotFound(StrCat("the session has no program ", run.program()));
  }
  RETURN_IF_ERROR(at->second.status);
  const Executable& executable = *at->second.executable;
  if (static_cast<size_t>(run.results_size()) != executable.outputs().size()) {
    return InvalidArgument(StrCat("the program has ", executable.outputs().size(), " results; ",
                                  run.results_size(), " numbers were given for them"));
  }
  RETURN_IF_ERROR(CheckArguments(executable.inputs(), *arguments));
  ASSIGN_OR_RETURN(const RunSlots::Slot slot, host_.slots.Take(call_->cancellation()));
  const Stopwatch stopwatch(host_.clock);
  Result<std::vector<tensor::Tensor>> results =
      executable.RunTaking(*std::move(arguments), call_->cancellation(), nullptr);
  host_.run_seconds.Observe(stopwatch.Seconds());
  return results;
}

Status Session::Run(const v1::SessionRun& run, v1::SessionRan* ran) {
  Result<std::vector<tensor::Tensor>> results = RunProgram(run);
  if (!results.ok()) {
    for (const uint64_t number : run.results()) Keep(number, results.status());
    host_.record("run", results.status());
    return results.status();
  }
  const uint32_t inline_bytes = std::min(run.inline_bytes(), kMaxInlineBytes);
  for (int i = 0; i < run.results_size(); ++i) {
    tensor::Tensor& t = (*results)[static_cast<size_t>(i)];
    if (t.byte_size() <= inline_bytes) {
      v1::SessionInline* const small = ran->add_results();
      small->set_index(static_cast<uint32_t>(i));
      small->set_data(t.bytes().data(), t.byte_size());
    }
    Keep(run.results(i), std::move(t));
  }
  return OkStatus();
}

Status Session::Get(uint64_t id, const v1::SessionGet& get) {
  ASSIGN_OR_RETURN(const tensor::Tensor tensor, Find(get.buffer()));
  const std::string_view bytes = tensor.bytes();
  size_t at = 0;
  do {
    v1::SessionResponse answer;
    answer.set_id(id);
    const std::string_view piece = bytes.substr(at, kChunkBytes);
    answer.mutable_chunk()->set_data(piece.data(), piece.size());
    at += piece.size();
    answer.mutable_chunk()->set_last(at == bytes.size());
    RETURN_IF_ERROR(writer_->Write(answer));
  } while (at < bytes.size());
  return OkStatus();
}

}  // namespace megalith::services
