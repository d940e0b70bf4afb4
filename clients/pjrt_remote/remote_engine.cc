#include "clients/pjrt_remote/remote_engine.h"

#include <atomic>
#include <cstring>
#include <thread>
#include <utility>

#include "clients/pjrt/program_front.h"
#include "clients/pjrt/spmd_program.h"
#include "clients/pjrt_remote/remote_session.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/version.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/programs/stablehlo/artifact/artifact.h"
#include "common/programs/stablehlo/donation.h"
#include "common/programs/stablehlo/module.h"
#include "common/programs/stablehlo/printer.h"
#include "megalith/compile/v1/compile.pb.h"

namespace megalith::pjrt {
namespace {

namespace cv1 = compile::v1;
namespace ev1 = execute::v1;
using SessionPtr = std::shared_ptr<RemoteSession>;

// Arrays up to this size travel in the requests that use them, and come back with the answer.
constexpr size_t kInlineBytes = 4096;
constexpr std::chrono::hours kLongestCompilation{1};
// The backend that copies everything anyway, and refuses settings it does not know.
constexpr std::string_view kReference = "reference";

// An array that an executor holds, or will once what makes it has run.
class RemoteArray final : public Array, public std::enable_shared_from_this<RemoteArray> {
 public:
  RemoteArray(SessionPtr session, TensorSpec spec, EventPtr ready)
      : session_(std::move(session)),
        number_(session_->NewNumber()),
        spec_(std::move(spec)),
        bytes_(static_cast<size_t>(tensor::NumElements(spec_.shape).value_or(0)) *
               static_cast<size_t>(tensor::ByteWidth(spec_.dtype))),
        ready_(std::move(ready)) {}
  ~RemoteArray() override {
    if (!given_.load()) session_->FreeBuffer(number_);
  }

  const RemoteSession* session() const { return session_.get(); }
  uint64_t number() const { return number_; }
  const TensorSpec& spec() const { return spec_; }
  // The executor frees it.
  void GiveAway() const { given_.store(true); }
  // Before ready(): the elements, which came with the answer.
  void SetSmall(Tensor t) { small_ = std::move(t); }
  // The elements if they came with the answer.
  const Tensor* small() const {
    return ready_ != nullptr && ready_->ready() && small_.valid() ? &small_ : nullptr;
  }

  const Tensor* local() const override { return nullptr; }
  EventPtr ready() const override { return ready_; }
  void Fetch(std::function<void(Result<Tensor>)> f) const override {
    if (const Tensor* t = small(); t != nullptr) return f(*t);
    if (ready_ == nullptr || bytes_ > kInlineBytes) return Get(session_, number_, spec_, f);
    // The answer brings the elements: nothing needs to be sent for them.
    ready_->OnReady([self = shared_from_this(), f = std::move(f)](const Status& s) {
      if (!s.ok()) return f(s);
      if (self->small_.valid()) return f(self->small_);
      Get(self->session_, self->number_, self->spec_, f);
    });
  }

 private:
  static void Get(const SessionPtr& session, uint64_t number, const TensorSpec& spec,
                  std::function<void(Result<Tensor>)> f) {
    Result<Tensor> room = Tensor::CreateUninitialized(spec.dtype, spec.shape);
    if (!room.ok()) return f(room.status());
    ev1::SessionRequest request;
    request.mutable_get()->set_buffer(number);
    struct Coming {
      Tensor tensor;
      size_t at = 0;
    };
    auto coming = std::make_shared<Coming>(Coming{*std::move(room)});
    session->Send(std::move(request),
                  [coming, f = std::move(f)](Result<const ev1::SessionResponse*> answer) {
                    if (!answer.ok()) {
                      f(answer.status());
                      return true;
                    }
                    const std::string& data = (*answer)->chunk().data();
                    if (data.size() > coming->tensor.byte_size() - coming->at) {
                      f(DataLoss("the executor sent more bytes than the array has"));
                      return true;
                    }
                    if (!data.empty()) {
                      std::memcpy(static_cast<char*>(coming->tensor.mutable_data()) + coming->at,
                                  data.data(), data.size());
                    }
                    coming->at += data.size();
                    if (!(*answer)->chunk().last()) return false;
                    if (coming->at != coming->tensor.byte_size()) {
                      f(DataLoss("the executor sent fewer bytes than the array has"));
                    } else {
                      f(coming->tensor);
                    }
                    return true;
                  });
  }

  const SessionPtr session_;
  const uint64_t number_;
  const TensorSpec spec_;
  const size_t bytes_;
  const EventPtr ready_;  // null: it was put, nothing makes it
  Tensor small_;
  mutable std::atomic<bool> given_{false};
};

// Where the fleet is, and the session with it.
class Connection {
 public:
  static Result<std::shared_ptr<Connection>> Make(const RemoteOptions& options) {
    rpc::ChannelOptions channel;
    channel.tls = {.ca_file = options.ca_file,
                   .certificate_file = options.certificate_file,
                   .key_file = options.key_file,
                   .server_name = options.server_name};
    ASSIGN_OR_RETURN(auto execute, rpc::Channel::Dial(options.address, channel));
    auto compile = execute;
    if (!options.compile_address.empty()) {
      ASSIGN_OR_RETURN(compile, rpc::Channel::Dial(options.compile_address, channel));
    }
    return std::make_shared<Connection>(options, std::move(execute), std::move(compile));
  }
  Connection(const RemoteOptions& options, std::shared_ptr<rpc::Channel> execute,
             std::shared_ptr<rpc::Channel> compile)
      : options_(options), execute_(std::move(execute)), compile_(std::move(compile)) {}
  ~Connection() {
    if (session_ != nullptr) session_->Close();
  }

  // The session, or a new one if it has ended.
  Result<SessionPtr> Session() {
    const std::lock_guard lock(mu_);
    if (session_ != nullptr && session_->status().ok()) return session_;
    if (session_ != nullptr) session_->Close();
    session_ = nullptr;
    const auto give_up =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(options_.connect_timeout_ms);
    while (true) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          give_up - std::chrono::steady_clock::now());
      Result<SessionPtr> made =
          RemoteSession::Open(execute_, std::max(left, std::chrono::milliseconds(1)));
      if (made.ok()) return session_ = *std::move(made);
      const Code code = made.status().code();
      const bool later = code == Code::kUnavailable || code == Code::kDeadlineExceeded;
      if (!later) return made.status().Annotate(StrCat("the executor at ", options_.address));
      if (left.count() <= kPause.count()) {
        return Unavailable(StrCat("nobody answers at ", options_.address, " within ",
                                  options_.connect_timeout_ms, " ms: start the fleet there (",
                                  "megalith --listen=", options_.address,
                                  ") or correct MEGALITH_ADDRESS; ", made.status().message()));
      }
      std::this_thread::sleep_for(kPause);
    }
  }

  Result<cv1::CompileResult> Compile(const cv1::CompileRequest& request) const {
    Result<cv1::CompileResult> result =
        compile_.Compile(request, nullptr, {.timeout = kLongestCompilation});
    if (result.ok() || result.status().code() != Code::kUnavailable) return result;
    return Unavailable(
        StrCat("no compilation at ",
               options_.compile_address.empty() ? options_.address : options_.compile_address,
               ", try again when the fleet is back: ", result.status().message()));
  }
  const RemoteOptions& options() const { return options_; }

 private:
  static constexpr std::chrono::milliseconds kPause{50};
  const RemoteOptions options_;
  const std::shared_ptr<rpc::Channel> execute_;
  const stubs::CompileClient compile_;
  std::mutex mu_;
  SessionPtr session_;  // guarded by mu_
};

Result<std::vector<TensorSpec>> SpecsOf(
    const google::protobuf::RepeatedPtrField<common::v1::TypeProto>& types) {
  std::vector<TensorSpec> out;
  for (const common::v1::TypeProto& t : types) {
    ASSIGN_OR_RETURN(const tensor::ArrayType type, tensor::TypeFromProto(t));
    out.push_back({type.dtype, type.shape});
  }
  return out;
}

class RemoteProgram final : public WholeProgram {
 public:
  static Result<std::shared_ptr<const LoadedProgram>> Make(std::shared_ptr<Connection> connection,
                                                           cv1::CompileRequest request,
                                                           Description description) {
    ASSIGN_OR_RETURN(const SessionPtr session, connection->Session());
    ASSIGN_OR_RETURN(const cv1::CompileResult result, connection->Compile(request));
    auto program = std::make_shared<RemoteProgram>(std::move(connection), std::move(request),
                                                   std::move(description));
    program->fingerprint_ = result.key();
    ASSIGN_OR_RETURN(program->signature_.inputs, SpecsOf(result.signature().inputs()));
    ASSIGN_OR_RETURN(program->signature_.outputs, SpecsOf(result.signature().outputs()));
    program->cost_.flops = result.cost().flops();
    program->cost_.transcendentals = result.cost().transcendentals();
    program->cost_.bytes_accessed = result.cost().bytes_accessed();
    program->cost_.peak_temporary_bytes = result.cost().peak_bytes();
    program->FitDescription(program->signature_);
    program->SendLoad(session, result);
    return std::shared_ptr<const LoadedProgram>(std::move(program));
  }
  RemoteProgram(std::shared_ptr<Connection> connection, cv1::CompileRequest request,
                Description description)
      : WholeProgram(std::move(description)),
        connection_(std::move(connection)),
        request_(std::move(request)) {}
  ~RemoteProgram() override {
    if (const SessionPtr session = loaded_in_.lock()) session->FreeProgram(number_);
  }

  const Signature& signature() const override { return signature_; }
  const CostSummary& cost() const override { return cost_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  bool starts_only() const override { return true; }

  // The request is all that another process needs: its fleet compiles it, or finds it compiled.
  Result<std::string> Serialize() const override {
    return SerializedDescription() + request_.SerializeAsString();
  }

  Result<std::vector<ArrayPtr>> Run(int, std::vector<ArrayPtr> inputs,
                                    const std::vector<bool>& given) const override {
    ASSIGN_OR_RETURN(const SessionPtr session, connection_->Session());
    ev1::SessionRequest request;
    ev1::SessionRun* const run = request.mutable_run();
    ASSIGN_OR_RETURN(const uint64_t number, LoadInto(session));
    run->set_program(number);
    run->set_inline_bytes(kInlineBytes);
    for (size_t i = 0; i < inputs.size(); ++i) {
      RETURN_IF_ERROR(AddArgument(session, *inputs[i], given[i], run->add_arguments())
                          .Annotate(StrCat("argument ", i)));
    }
    const auto ready = std::make_shared<EventState>();
    // What the host has dropped by then is freed; nobody misses its elements.
    std::vector<std::weak_ptr<RemoteArray>> results;
    std::vector<ArrayPtr> out;
    for (const TensorSpec& spec : signature_.outputs) {
      auto array = std::make_shared<RemoteArray>(session, spec, ready);
      run->add_results(array->number());
      results.push_back(array);
      out.push_back(std::move(array));
    }
    if (out.empty()) return out;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (run->arguments(static_cast<int>(i)).give() && inputs[i]->local() == nullptr) {
        static_cast<const RemoteArray&>(*inputs[i]).GiveAway();
      }
    }
    session->SendRun(std::move(request), [results = std::move(results),
                                          ready](Result<const ev1::SessionResponse*> answer) {
      if (answer.ok()) TakeSmall((*answer)->ran(), results);
      ready->Set(answer.status());
      return true;
    });
    return out;
  }

 private:
  static void TakeSmall(const ev1::SessionRan& ran,
                        const std::vector<std::weak_ptr<RemoteArray>>& results) {
    for (const ev1::SessionInline& small : ran.results()) {
      if (small.index() >= results.size()) continue;
      const std::shared_ptr<RemoteArray> array = results[small.index()].lock();
      if (array == nullptr) continue;
      Result<Tensor> t = Tensor::FromBytes(array->spec().dtype, array->spec().shape, small.data());
      if (t.ok()) array->SetSmall(*std::move(t));
    }
  }

  static Status AddArgument(const SessionPtr& session, const Array& array, bool given,
                            ev1::SessionArgument* out) {
    const Tensor* here = array.local();
    if (here == nullptr) {
      // Every array of this engine that is not here is a RemoteArray.
      const auto& remote = static_cast<const RemoteArray&>(array);
      if (remote.session() == session.get()) {
        out->set_buffer(remote.number());
        out->set_give(given);
        return OkStatus();
      }
      here = remote.small();
      if (here == nullptr) {
        const Status why = remote.session()->status();
        return why.ok() ? FailedPrecondition("the array is of another client") : why;
      }
    }
    if (here->byte_size() <= kInlineBytes) {
      *out->mutable_tensor() = tensor::TensorToProto(*here);
      return OkStatus();
    }
    const uint64_t number = session->NewNumber();
    session->Put(number, *here);
    out->set_buffer(number);
    out->set_give(true);
    return OkStatus();
  }

  // The program's number in a session. An executor that came back has forgotten it, and its cache
  // may be empty: then the program is compiled again.
  Result<uint64_t> LoadInto(const SessionPtr& session) const {
    const std::lock_guard lock(mu_);
    if (loaded_in_.lock() == session) return number_;
    ASSIGN_OR_RETURN(const cv1::CompileResult result, connection_->Compile(request_));
    SendLoad(session, result);
    return number_;
  }

  void SendLoad(const SessionPtr& session, const cv1::CompileResult& result) const {
    number_ = session->NewNumber();
    loaded_in_ = session;
    ev1::SessionRequest request;
    request.mutable_load()->set_program(number_);
    request.mutable_load()->set_key(result.key());
    request.mutable_load()->set_package(result.package());
    session->Send(std::move(request), nullptr);
  }

  const std::shared_ptr<Connection> connection_;
  const cv1::CompileRequest request_;
  Signature signature_;
  CostSummary cost_;
  std::string fingerprint_;
  mutable std::mutex mu_;  // guards the rest
  mutable std::weak_ptr<RemoteSession> loaded_in_;
  mutable uint64_t number_ = 0;
};

class RemoteEngine final : public Engine {
 public:
  RemoteEngine(std::shared_ptr<Connection> connection, std::string version)
      : connection_(std::move(connection)), version_(std::move(version)) {}

  std::string version() const override { return version_; }
  bool remote() const override { return true; }
  // The compile service knows, and refuses what it does not.
  bool HasSetting(std::string_view) const override { return true; }

  Result<ArrayPtr> Put(int, Tensor host) override {
    if (host.byte_size() <= kInlineBytes) {
      return std::make_shared<const LocalArray>(std::move(host));
    }
    ASSIGN_OR_RETURN(const SessionPtr session, connection_->Session());
    auto array = std::make_shared<const RemoteArray>(
        session, TensorSpec{host.dtype(), host.shape()}, nullptr);
    session->Put(array->number(), host);
    return array;
  }

  Result<std::shared_ptr<const LoadedProgram>> Compile(std::string_view module,
                                                       const ProgramOptions& options) override {
    return CompileFront(module, options,
                        [&](const stablehlo::Module& parsed, std::string_view source,
                            Description d) -> Result<std::shared_ptr<const LoadedProgram>> {
                          cv1::CompileRequest request;
                          if (source.empty()) {
                            // Artifacts are smaller; what they have no form for goes as text.
                            Result<std::string> written =
                                stablehlo::artifact::WriteArtifact(parsed);
                            if (written.ok()) {
                              request.set_stablehlo_artifact(*std::move(written));
                            } else {
                              request.set_stablehlo_text(stablehlo::PrintModule(parsed));
                            }
                          } else if (stablehlo::artifact::LooksLikeArtifact(source)) {
                            request.set_stablehlo_artifact(source.data(), source.size());
                          } else {
                            request.set_stablehlo_text(source.data(), source.size());
                          }
                          request.mutable_options()->set_target(connection_->options().backend);
                          auto& extra = *request.mutable_options()->mutable_extra();
                          for (const auto& [name, value] : options.settings) extra[name] = value;
                          const std::string donate = DonationSetting(parsed);
                          if (!donate.empty() && connection_->options().backend != kReference) {
                            extra.insert({std::string(stablehlo::kDonateSetting), donate});
                          }
                          return RemoteProgram::Make(connection_, std::move(request), std::move(d));
                        });
  }

  Result<std::shared_ptr<const LoadedProgram>> Load(std::string_view serialized) override {
    const auto whole =
        [this](std::string_view rest) -> Result<std::shared_ptr<const LoadedProgram>> {
      ASSIGN_OR_RETURN(Description description, TakeDescription(&rest));
      cv1::CompileRequest request;
      if (!request.ParseFromArray(rest.data(), static_cast<int>(rest.size()))) {
        return DataLoss("a serialized program of a remote client is damaged");
      }
      return RemoteProgram::Make(connection_, std::move(request), std::move(description));
    };
    return serialized.starts_with(kSpmdMagic) ? LoadSpmdProgram(serialized, whole)
                                              : whole(serialized);
  }

 private:
  const std::shared_ptr<Connection> connection_;
  const std::string version_;
};

}  // namespace

Result<std::shared_ptr<Engine>> MakeRemoteEngine(const RemoteOptions& options) {
  ASSIGN_OR_RETURN(std::shared_ptr<Connection> connection, Connection::Make(options));
  ASSIGN_OR_RETURN(const SessionPtr session, connection->Session());
  std::string version =
      StrCat("megalith ", kVersion, " remote ", options.backend, " of ", session->version());
  return std::make_shared<RemoteEngine>(std::move(connection), std::move(version));
}

}  // namespace megalith::pjrt
