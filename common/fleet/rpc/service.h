// A gRPC service as a table of handlers: plain functions from request to Result<Response>.
//
//   class EchoService final : public rpc::Service {
//    public:
//     EchoService() : Service("demo.v1.EchoService", {}) {
//       Unary("Echo", this, &EchoService::Echo);
//     }
//     Result<v1::EchoResponse> Echo(const v1::EchoRequest& request, const rpc::Call& call);
//   };
//
// Everything that is the same for all methods is here once: queues, deadlines, cancellation, size
// limits, metrics, access log, error details. Handlers are called on the service's own threads,
// several at a time, may block, and see every exception turned into kInternal.
#pragma once

#include <grpcpp/impl/service_type.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/fleet/rpc/call.h"
#include "common/fleet/rpc/codec.h"
#include "common/fleet/rpc/stream.h"
#include "common/foundation/base/status.h"
#include "common/foundation/base/thread_pool.h"

namespace google::protobuf {
class Descriptor;
}

namespace megalith::rpc {

// Threads of one service. Unary calls wait in a queue of `max_queued`; a full queue answers
// RESOURCE_EXHAUSTED. A stream holds one of `max_streams` threads for its whole life; further
// streams are refused in the same way.
struct ServiceThreads {
  size_t unary = 4;
  size_t max_queued = 1000;
  size_t max_streams = 16;
};

namespace internal {
class ServerCore;
struct MethodRecord;
struct UnaryBody {
  std::function<Status(const grpc::ByteBuffer& in, grpc::ByteBuffer* out, const Call& call)> run;
  // May be empty. False = not answered, use `run`.
  std::function<Result<bool>(const grpc::ByteBuffer& in, grpc::ByteBuffer* out, const Call& call)>
      quick;
};
using StreamBody = std::function<Status(RawStream& stream, const Call& call)>;
}  // namespace internal

// Handlers are added in the constructor of a subclass; a Service is then given to one Server. Every
// method must exist in the protobuf descriptor of `full_name` with the same message types and
// direction of streaming (CHECK).
class Service : public grpc::Service {
 public:
  Service(std::string full_name, ServiceThreads threads);
  ~Service() override;

  // "megalith.cache.v1.CacheService".
  const std::string& full_name() const { return full_name_; }
  // "cache": what discovery and configuration call it, from the package name.
  std::string short_name() const;
  // Requests above this never take a quick handler.
  static constexpr size_t kMaxQuickBytes = 64 << 10;

  // Finishes queued calls and joins the threads; the server does so after its drain.
  void StopThreads();

 protected:
  // A handler that may answer small requests (at most kMaxQuickBytes) at once, on gRPC's own
  // thread, which saves the hop to a pool thread (some 30 microseconds). It must not block and
  // should return within 100 microseconds; nullopt sends the request to the ordinary handler.
  template <typename Request, typename Response, typename S>
  using QuickHandler = Result<std::optional<Response>> (S::*)(const Request&, const Call&);
  // Several shapes of methods; `self` is usually `this`.
  template <typename S, typename Request, typename Response>
  void Unary(std::string_view method, S* self,
             Result<Response> (S::*handler)(const Request&, const Call&),
             QuickHandler<Request, Response, S> quick = nullptr) {
    internal::UnaryBody body;
    body.run = [self, handler](const grpc::ByteBuffer& in, grpc::ByteBuffer* out,
                               const Call& call) -> Status {
      Request request;
      RETURN_IF_ERROR(ParseMessage(in, &request));
      const Result<Response> response = (self->*handler)(request, call);
      if (!response.ok()) return response.status();
      return SerializeMessage(*response, out);
    };
    if (quick != nullptr) {
      body.quick = [self, quick](const grpc::ByteBuffer& in, grpc::ByteBuffer* out,
                                 const Call& call) -> Result<bool> {
        Request request;
        RETURN_IF_ERROR(ParseMessage(in, &request));
        const Result<std::optional<Response>> response = (self->*quick)(request, call);
        if (!response.ok()) return response.status();
        if (!response->has_value()) return false;
        RETURN_IF_ERROR(SerializeMessage(**response, out));
        return true;
      };
    }
    AddUnary(method, Request::descriptor(), Response::descriptor(), std::move(body));
  }

  template <typename S, typename Request, typename Response>
  void ServerStream(std::string_view method, S* self,
                    Status (S::*handler)(const Request&, Writer<Response>&, const Call&)) {
    AddStream(method, Request::descriptor(), Response::descriptor(), /*client=*/false,
              /*server=*/true, [self, handler](RawStream& stream, const Call& call) -> Status {
                ASSIGN_OR_RETURN(const std::optional<Request> request,
                                 Reader<Request>(&stream).Read());
                if (!request) return InvalidArgument("the call carried no request message");
                Writer<Response> writer(&stream);
                return (self->*handler)(*request, writer, call);
              });
  }

  template <typename S, typename Request, typename Response>
  void ClientStream(std::string_view method, S* self,
                    Result<Response> (S::*handler)(Reader<Request>&, const Call&)) {
    AddStream(method, Request::descriptor(), Response::descriptor(), /*client=*/true,
              /*server=*/false, [self, handler](RawStream& stream, const Call& call) -> Status {
                Reader<Request> reader(&stream);
                ASSIGN_OR_RETURN(const Response response, (self->*handler)(reader, call));
                return Writer<Response>(&stream).Write(response);
              });
  }

  template <typename S, typename Request, typename Response>
  void BidiStream(std::string_view method, S* self,
                  Status (S::*handler)(Reader<Request>&, Writer<Response>&, const Call&)) {
    AddStream(method, Request::descriptor(), Response::descriptor(), /*client=*/true,
              /*server=*/true, [self, handler](RawStream& stream, const Call& call) -> Status {
                Reader<Request> reader(&stream);
                Writer<Response> writer(&stream);
                return (self->*handler)(reader, writer, call);
              });
  }

 private:
  friend class Server;
  void AddUnary(std::string_view method, const google::protobuf::Descriptor* request,
                const google::protobuf::Descriptor* response, internal::UnaryBody body);
  void AddStream(std::string_view method, const google::protobuf::Descriptor* request,
                 const google::protobuf::Descriptor* response, bool client, bool server,
                 internal::StreamBody body);
  internal::MethodRecord* NewRecord(std::string_view method,
                                    const google::protobuf::Descriptor* request,
                                    const google::protobuf::Descriptor* response, bool client,
                                    bool server);
  // Called by the server before it starts.
  void Attach(internal::ServerCore* core);

  const std::string full_name_;
  const ServiceThreads threads_;
  std::vector<std::unique_ptr<internal::MethodRecord>> records_;
  internal::ServerCore* core_ = nullptr;
  std::unique_ptr<ThreadPool> unary_pool_;
  std::unique_ptr<ThreadPool> stream_pool_;  // only if some method streams
};

}  // namespace megalith::rpc
