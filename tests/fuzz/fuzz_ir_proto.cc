// megalith.ir.v1.Program: what decodes encodes to the same bytes, before and after its rules are
// attached; then a stack chosen by the first bytes.
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <string_view>

#include "common/programs/ir/ir_proto.h"
#include "common/programs/ir/print.h"
#include "common/programs/ops/registry.h"
#include "tests/fuzz/program_checks.h"

namespace megalith {
namespace {

// The wire form of a loaded program is a fixed point.
void EncodeAndDecodeAgain(const ir::Program& program, const pipeline::TraceOptions& options) {
  ir::Session session(ops::AllOps(), options.limits, options.cancel);
  const auto proto = ir::ProgramToProto(session, program);
  if (!proto.ok()) return;
  const auto decoded = ir::ProgramFromProto(*proto, ops::AllOps());
  CHECK(decoded.ok());
  pipeline::Source source;
  source.jaxpr = decoded->program.closed.jaxpr;
  source.consts = decoded->program.closed.consts;
  source.rules = decoded->rules;
  source.fun_name = decoded->program.fun_name;
  const auto loaded = pipeline::Load(source, options);
  CHECK(loaded.ok());
  CHECK(ir::Print(loaded->closed.jaxpr) == ir::Print(program.closed.jaxpr));
  const auto again = ir::ProgramToProto(session, *loaded);
  CHECK(again.ok());
  CHECK(again->SerializeAsString() == proto->SerializeAsString());
}

void TestOne(std::string_view input) {
  static const auto previous = google::protobuf::SetLogHandler(nullptr);
  (void)previous;
  if (input.size() < fuzz::kStackBytes) return;
  ir::v1::Program proto;
  if (!proto.ParseFromArray(input.data() + fuzz::kStackBytes,
                            static_cast<int>(input.size() - fuzz::kStackBytes)))
    return;
  const auto decoded = ir::ProgramFromProto(proto, ops::AllOps(), {.max_eqns = 2000});
  if (!decoded.ok()) {
    CHECK(!decoded.status().message().empty());
    return;
  }
  const Cancellation cancel = fuzz::ShortDeadline();
  const pipeline::TraceOptions options = fuzz::SmallOptions(&cancel);
  pipeline::Source source;
  source.jaxpr = decoded->program.closed.jaxpr;
  source.consts = decoded->program.closed.consts;
  source.rules = decoded->rules;
  source.fun_name = decoded->program.fun_name;
  const auto program = pipeline::Load(source, options);
  if (!program.ok()) return;
  EncodeAndDecodeAgain(*program, options);
  fuzz::CheckProgram(*program, fuzz::StackFromBytes(input.substr(0, fuzz::kStackBytes)), options);
}

}  // namespace
}  // namespace megalith

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  megalith::TestOne({reinterpret_cast<const char*>(data), size});
  return 0;
}
