// Every RPC of every service gets bytes that nobody should send, with engines that only tests
// understand and with the real ones. The answer is a clean error, and the server lives.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/reflection.h>
#include <grpcpp/channel.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/support/sync_stream.h>
#include <gtest/gtest.h>

#include "common/fleet/rpc/status.h"
#include "common/fleet/stubs/health_client.h"
#include "common/foundation/base/bytes.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "services/allinone/engines.h"
#include "services/allinone/fleet.h"
#include "tests/support/fake_engines.h"

namespace megalith {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::MethodDescriptor;
using grpc::ByteBuffer;
using grpc::internal::RpcMethod;

enum class EngineKind : uint8_t { kFake, kReal };

class BadInputTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  BadInputTest() {
    services::EmbeddedFleet::Options options;
    options.process.max_request_bytes = 1 << 20;
    options.process.default_deadline = std::chrono::seconds(20);
    fleet_ = *services::EmbeddedFleet::Start(
        std::move(options),
        GetParam() == EngineKind::kReal ? services::RealEngines() : testing::FakeEngines(&world_));
    for (const std::string& name : fleet_->server().service_names()) {
      const auto* service =
          google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
      EXPECT_NE(service, nullptr) << name;
      for (int i = 0; i < service->method_count(); ++i) methods_.push_back(service->method(i));
    }
    EXPECT_GE(methods_.size(), 20u);
  }

  // Sends one message and gives the call's status.
  Status Send(const MethodDescriptor* method, const std::string& bytes) {
    const std::string path = StrCat("/", method->service()->full_name(), "/", method->name());
    const grpc::Slice slice(bytes);
    const ByteBuffer request(&slice, 1);
    ByteBuffer response;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    const auto channel = fleet_->server().InProcessChannel();
    if (!method->client_streaming() && !method->server_streaming()) {
      return rpc::FromGrpc(grpc::internal::BlockingUnaryCall<ByteBuffer, ByteBuffer>(
          channel.get(), RpcMethod(path.c_str(), RpcMethod::NORMAL_RPC), &context, request,
          &response));
    }
    const std::unique_ptr<grpc::ClientReaderWriter<ByteBuffer, ByteBuffer>> stream(
        grpc::internal::ClientReaderWriterFactory<ByteBuffer, ByteBuffer>::Create(
            channel.get(), RpcMethod(path.c_str(), RpcMethod::BIDI_STREAMING), &context));
    stream->Write(request);
    stream->WritesDone();
    while (stream->Read(&response)) {
    }
    return rpc::FromGrpc(stream->Finish());
  }

  // The sender's fault or a limit; never ours, never silence.
  static bool IsClean(const Status& status) {
    switch (status.code()) {
      case Code::kOk:
      case Code::kInvalidArgument:
      case Code::kNotFound:
      case Code::kFailedPrecondition:
      case Code::kOutOfRange:
      case Code::kUnimplemented:
      case Code::kResourceExhausted:
        return FindInvalidUtf8(status.message()) == std::nullopt;
      default:
        return false;
    }
  }

  void ExpectAlive() {
    const stubs::HealthClient health(fleet_->channel());
    const auto info = health.GetInfo();
    ASSERT_TRUE(info.ok()) << info.status().ToString();
    for (const std::string& name : info->services) EXPECT_TRUE(*health.IsServing(name)) << name;
  }

  testing::FakeWorld world_;
  std::unique_ptr<services::EmbeddedFleet> fleet_;
  std::vector<const MethodDescriptor*> methods_;
};

INSTANTIATE_TEST_SUITE_P(Engines, BadInputTest,
                         ::testing::Values(EngineKind::kFake, EngineKind::kReal),
                         [](const auto& info) {
                           return info.param == EngineKind::kReal ? "Real" : "Fake";
                         });

TEST_P(BadInputTest, RandomBytes) {
  Rng rng(7);
  for (const MethodDescriptor* method : methods_) {
    for (int i = 0; i < 60; ++i) {
      std::string bytes(rng.Below(80), '\0');
      for (char& c : bytes) c = static_cast<char>(rng.Next());
      const Status status = Send(method, bytes);
      EXPECT_TRUE(IsClean(status))
          << method->full_name() << " " << HexEncode(AsBytes(bytes)) << ": " << status.ToString();
    }
  }
  ExpectAlive();
}

TEST_P(BadInputTest, MessagesAboveTheLimit) {
  for (const MethodDescriptor* method : methods_) {
    const Status status = Send(method, std::string(3 << 20, '\x0a'));
    EXPECT_EQ(status.code(), Code::kResourceExhausted)
        << method->full_name() << ": " << status.ToString();
  }
  ExpectAlive();
}

// Fills every field of a message with something of its type: text from `text`, numbers at the edge.
void Fill(google::protobuf::Message* message, const std::string& text, int depth, Rng& rng) {
  const auto* reflection = message->GetReflection();
  const Descriptor* type = message->GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* f = type->field(i);
    if (f->real_containing_oneof() != nullptr && rng.Below(3) != 0) continue;
    if (f->is_map()) continue;
    const bool many = f->is_repeated();
    switch (f->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        many ? reflection->AddString(message, f, text) : reflection->SetString(message, f, text);
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        many ? reflection->AddInt64(message, f, INT64_MIN)
             : reflection->SetInt64(message, f, INT64_MAX);
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        many ? reflection->AddUInt64(message, f, UINT64_MAX)
             : reflection->SetUInt64(message, f, UINT64_MAX);
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        many ? reflection->AddUInt32(message, f, UINT32_MAX)
             : reflection->SetUInt32(message, f, UINT32_MAX);
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        many ? reflection->AddBool(message, f, true) : reflection->SetBool(message, f, true);
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        if (!many) reflection->SetEnumValue(message, f, 99);
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (depth > 0) {
          Fill(many ? reflection->AddMessage(message, f) : reflection->MutableMessage(message, f),
               text, depth - 1, rng);
        }
        break;
      default:
        break;
    }
  }
}

TEST_P(BadInputTest, WellFormedNonsense) {
  Rng rng(11);
  for (const MethodDescriptor* method : methods_) {
    for (const std::string text :
         {"", "x", "64", "\xf0\x9f\x98\x80", "mul 1e308 9223372036854775807"}) {
      google::protobuf::DynamicMessageFactory factory;
      const std::unique_ptr<google::protobuf::Message> message(
          factory.GetPrototype(method->input_type())->New());
      Fill(message.get(), text, 5, rng);
      const Status status = Send(method, message->SerializeAsString());
      EXPECT_TRUE(IsClean(status)) << method->full_name() << ": " << status.ToString();
    }
  }
  ExpectAlive();
}

// The wire form of one text field, nested as deep as its path says.
std::string TextOnTheWire(const std::vector<const FieldDescriptor*>& path,
                          const std::string& text) {
  std::string bytes = text;
  for (auto field = path.rbegin(); field != path.rend(); ++field) {
    std::string framed;
    const auto varint = [&framed](uint64_t v) {
      while (v >= 0x80) {
        framed += static_cast<char>(v | 0x80);
        v >>= 7;
      }
      framed += static_cast<char>(v);
    };
    varint(static_cast<uint64_t>((*field)->number()) << 3 | 2);
    varint(bytes.size());
    bytes = framed + bytes;
  }
  return bytes;
}

void TextFields(const Descriptor* type, int depth, std::vector<const FieldDescriptor*>* path,
                const std::function<void(const std::vector<const FieldDescriptor*>&)>& visit) {
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* f = type->field(i);
    path->push_back(f);
    if (f->type() == FieldDescriptor::TYPE_STRING) visit(*path);
    if (f->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && depth > 0 && !f->is_map()) {
      TextFields(f->message_type(), depth - 1, path, visit);
    }
    path->pop_back();
  }
}

TEST_P(BadInputTest, TextThatIsNotUtf8NamesItsField) {
  int fields = 0;
  for (const MethodDescriptor* method : methods_) {
    std::vector<const FieldDescriptor*> path;
    TextFields(method->input_type(), 3, &path, [&](const std::vector<const FieldDescriptor*>& at) {
      ++fields;
      const Status status = Send(method, TextOnTheWire(at, "ab\xff"));
      EXPECT_EQ(status.code(), Code::kInvalidArgument)
          << method->full_name() << ": " << status.ToString();
      EXPECT_THAT(status.message(), ::testing::HasSubstr(at.back()->full_name()));
    });
  }
  EXPECT_GT(fields, 40);
  ExpectAlive();
}

TEST_P(BadInputTest, NestingBeyondTheLimit) {
  const auto* method = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
      "megalith.trace.v1.TraceService.Trace");
  // TraceRequest.source(1).program(2).jaxprs(2).eqns(4).params(2).value(2), then tuples in tuples.
  std::string bytes;
  const auto frame = [&bytes](int number) {
    std::string framed(1, static_cast<char>(number << 3 | 2));
    size_t n = bytes.size();
    while (n >= 0x80) {
      framed += static_cast<char>(n | 0x80);
      n >>= 7;
    }
    framed += static_cast<char>(n);
    bytes.insert(0, framed);
  };
  for (int i = 0; i < 20'000; ++i) {
    frame(1);  // Sequence.elements
    frame(7);  // Param.tuple
  }
  for (const int number : {2, 2, 4, 2, 2, 1}) frame(number);
  EXPECT_EQ(Send(method, bytes).code(), Code::kInvalidArgument);
  ExpectAlive();
}

}  // namespace
}  // namespace megalith
