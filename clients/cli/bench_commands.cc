// megalithctl bench: latency and throughput of trace, compile and execute for one program.
#include <atomic>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "clients/cli/families.h"
#include "clients/cli/latencies.h"
#include "clients/cli/program_calls.h"
#include "clients/cli/reports.h"
#include "clients/cli/session.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/tensor/tensor_proto.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxCallers = 1000;

// One thing that is measured. `call` times itself, so that preparations do not count; `i` differs
// in all calls.
struct Phase {
  std::string name;
  bool cold = false;  // one caller: equal work of several callers would be done once and shared
  std::function<Result<double>(int64_t i)> call;
};

struct Measured {
  Latencies latencies;
  int64_t errors = 0;
  Status first_error;
  int64_t callers = 0;
  double seconds = 0;
};

template <typename Call>
Result<double> Timed(const Call& call) {
  const Stopwatch stopwatch;
  RETURN_IF_ERROR(call());
  return stopwatch.Seconds();
}

// Everything that the phases work with.
class Bench {
 public:
  Bench(const ProgramCalls& calls, const ProgramInput& input,
        const compile::v1::CompileOptions& options)
      : calls_(calls), input_(input), compile_options_(options) {}

  // Traces and compiles once, which also finds wrong programs before anything is measured. Without
  // values, arguments of ones are made up.
  Status Prepare(Session& session, std::vector<ArrayValue> values) {
    compile::v1::Signature signature;
    if (!values.empty()) {
      types_.emplace();
      for (const ArrayValue& v : values)
        *types_->add_types() =
            tensor::TypeToProto({v.tensor.dtype(), v.tensor.shape(), v.weak_type});
    }
    if (input_.form == ProgramInput::Form::kKey) {
      key_ = input_.key;
      ASSIGN_OR_RETURN(const execute::v1::LoadResponse loaded,
                       calls_.execute().Load(key_, calls_.options()));
      signature = loaded.signature();
    } else {
      ASSIGN_OR_RETURN(const ProgramCalls::Compiled done,
                       calls_.Compile(input_, TypesOrNull(), compile_options_));
      key_ = done.result.key();
      signature = done.result.signature();
    }
    if (values.empty()) {
      for (const common::v1::TypeProto& type : signature.inputs()) {
        const std::string fill =
            type.dtype().starts_with("key") || type.dtype() == "float0" ? ":zeros" : ":ones";
        ASSIGN_OR_RETURN(const auto arrays,
                         ReadArrays(StrCat(TypeText(type), fill), session.files(), true));
        values.insert(values.end(), arrays.begin(), arrays.end());
      }
    }
    ASSIGN_OR_RETURN(RequestArguments arguments, RequestArguments::Make(calls_, values));
    arguments_.emplace(std::move(arguments));
    execute_.set_key(key_);
    arguments_->AddTo(&execute_);
    return PrepareCompile();
  }

  std::vector<Phase> Phases() const {
    std::vector<Phase> phases;
    if (input_.NeedsTrace()) {
      phases.push_back({"trace", true, [this](int64_t i) { return Trace(i); }});
      phases.push_back({"trace", false, [this](int64_t) { return Trace(-1); }});
    }
    if (input_.form != ProgramInput::Form::kKey) {
      phases.push_back({"compile", true, [this](int64_t) { return Compile(true); }});
      phases.push_back({"compile", false, [this](int64_t) { return Compile(false); }});
    }
    phases.push_back({"execute", true, [this](int64_t) { return Execute(true); }});
    phases.push_back({"execute", false, [this](int64_t) { return Execute(false); }});
    return phases;
  }

  const std::string& key() const { return key_; }

 private:
  const trace::v1::ArgumentTypes* TypesOrNull() const { return types_ ? &*types_ : nullptr; }

  Status PrepareCompile() {
    if (input_.form == ProgramInput::Form::kKey) return OkStatus();
    *compile_.mutable_options() = compile_options_;
    if (input_.NeedsTrace()) {
      ASSIGN_OR_RETURN(const trace::v1::LowerResponse lowered, calls_.Lower(input_, TypesOrNull()));
      compile_.set_stablehlo_text(lowered.stablehlo_text());
    } else {
      input_.SetProgramOf(&compile_);
    }
    return OkStatus();
  }

  // A program under a name of its own has never been traced; -1 repeats the same request.
  Result<double> Trace(int64_t i) const {
    auto request = input_.RequestOf<trace::v1::LowerRequest>();
    if (types_) *request.mutable_arguments() = *types_;
    if (i >= 0) request.mutable_source()->set_fun_name(StrCat("bench_", i));
    return Timed([&] { return calls_.trace().Lower(request, calls_.options()).status(); });
  }

  Result<double> Compile(bool cold) const {
    compile::v1::CompileRequest request = compile_;
    request.mutable_options()->set_ignore_cache(cold);
    return Timed(
        [&] { return calls_.compile().Compile(request, nullptr, calls_.options()).status(); });
  }

  Result<double> Execute(bool cold) const {
    if (cold) RETURN_IF_ERROR(calls_.execute().Unload(key_, calls_.options()));
    return Timed([&] { return calls_.execute().Execute(execute_, calls_.options()).status(); });
  }

  const ProgramCalls& calls_;
  const ProgramInput& input_;
  const compile::v1::CompileOptions compile_options_;
  std::optional<trace::v1::ArgumentTypes> types_;
  std::string key_;
  std::optional<RequestArguments> arguments_;
  compile::v1::CompileRequest compile_;
  execute::v1::ExecuteRequest execute_;
};

// Calls one after the other per caller until the time is over, at least once each.
Measured Measure(const Phase& phase, int64_t callers, double seconds, const Session& session) {
  Measured out;
  out.callers = phase.cold ? 1 : callers;
  std::atomic<int64_t> next{0};
  std::mutex mu;
  const Stopwatch stopwatch;
  const auto caller = [&] {
    Latencies latencies;
    int64_t errors = 0;
    Status first_error;
    do {
      const Result<double> took = phase.call(next.fetch_add(1));
      if (took.ok()) latencies.Add(*took);
      if (!took.ok() && errors++ == 0) first_error = took.status();
    } while (stopwatch.Seconds() < seconds && session.CheckCancelled().ok());
    const std::lock_guard<std::mutex> lock(mu);
    out.latencies.AddAll(latencies);
    out.errors += errors;
    if (out.first_error.ok()) out.first_error = first_error;
  };
  std::vector<std::jthread> threads;
  for (int64_t t = 0; t < out.callers; ++t) {
    threads.emplace_back([&caller, t] {
      SetThreadName(StrCat("bench-", t));
      caller();
    });
  }
  threads.clear();  // joins
  out.seconds = stopwatch.Seconds();
  return out;
}

Json MeasuredJson(const Phase& phase, const Measured& m) {
  return {{"phase", phase.name},
          {"cache", phase.cold ? "cold" : "warm"},
          {"callers", m.callers},
          {"errors", m.errors},
          {"seconds", m.seconds},
          {"calls_per_second", static_cast<double>(m.latencies.count()) / m.seconds},
          {"latency", m.latencies.ToJson()}};
}

void AddRow(const Phase& phase, const Measured& m, TextTable* table) {
  const auto at = [&m](double share) { return SecondsText(m.latencies.Percentile(share)); };
  table->Add({phase.name, phase.cold ? "cold" : "warm", StrCat(m.callers),
              StrCat(m.latencies.count()), StrCat(m.errors),
              CountText(static_cast<double>(m.latencies.count()) / m.seconds), at(0.5), at(0.9),
              at(0.99), at(1)});
}

Status RunBench(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const ProgramInput input,
                   ReadProgram(session, arguments, arguments.positional()[0]));
  ASSIGN_OR_RETURN(const int64_t callers, arguments.GetPositive("concurrency", 1));
  if (callers > kMaxCallers)
    return InvalidArgument(StrCat("flag --concurrency expects at most ", kMaxCallers));
  const std::optional<double> seconds = ParseDouble(arguments.Get("seconds", "2"));
  if (!seconds || !(*seconds > 0 && *seconds <= 86'400))
    return InvalidArgument(StrCat("flag --seconds expects a time up to a day, got '",
                                  Printable(arguments.Get("seconds")), "'"));
  ASSIGN_OR_RETURN(const compile::v1::CompileOptions compile_options, CompileOptionsOf(arguments));
  ASSIGN_OR_RETURN(std::vector<ArrayValue> values, ReadProgramArguments(session, arguments, input));
  ASSIGN_OR_RETURN(const ProgramCalls calls, ProgramCalls::Open(session));
  Bench bench(calls, input, compile_options);
  RETURN_IF_ERROR(bench.Prepare(session, std::move(values)));
  const std::vector<Phase> phases = bench.Phases();
  Json json = {{"program", input.name},
               {"key", bench.key()},
               {"concurrency", callers},
               {"phases", Json::array()}};
  TextTable table(
      {"phase", "cache", "callers", "calls", "errors", "calls/s", "p50", "p90", "p99", "max"});
  const auto bar = session.Progress("bench");
  for (size_t i = 0; i < phases.size(); ++i) {
    bar->Update(static_cast<double>(i) / static_cast<double>(phases.size()),
                StrCat(phases[i].name, phases[i].cold ? ", cold" : ", warm"));
    const Measured measured = Measure(phases[i], callers, *seconds, session);
    RETURN_IF_ERROR(session.CheckCancelled());
    if (measured.latencies.count() == 0) return measured.first_error.Annotate(phases[i].name);
    json["phases"].push_back(MeasuredJson(phases[i], measured));
    AddRow(phases[i], measured, &table);
  }
  bar->Update(1, "done");
  session.Print(json.dump(), StrCat("key ", bench.key(), "\n", table.Render()));
  return OkStatus();
}

constexpr auto kOwnFlags = std::to_array<FlagDef>({
    {.name = "arg",
     .value_name = "ARRAY",
     .help = "an argument, in order, as for run; default: ones",
     .repeated = true},
    {.name = "concurrency",
     .value_name = "N",
     .help = "callers at the same time in warm phases; default: 1"},
    {.name = "seconds", .value_name = "S", .help = "how long each phase takes; default: 2"},
});
constexpr auto kFlags = JoinFlags(kOwnFlags, kTraceFlags, kPolicyFlags, kCompileFlags);

constexpr CommandDef kCommands[] = {
    {.name = "bench",
     .positional = "KEY|PROGRAM",
     .min_positional = 1,
     .max_positional = 1,
     .help =
         "Measure trace, compile and execute, cold and warm. Cold: a program that was never "
         "traced, a compilation "
         "that ignores the cache, an executable that is loaded again; by one caller, because equal "
         "work of several "
         "callers is done once. Warm: the same request again and again, by --concurrency callers.",
     .flags = kFlags,
     .run = RunBench,
     .examples = "megalithctl bench f.jaxpr --transform grad --concurrency 8 --seconds 5\n"
                 "megalithctl bench f.mlir --address 127.0.0.1:7000 --json"},
};

}  // namespace

std::span<const CommandDef> BenchCommands() { return kCommands; }

}  // namespace megalith::cli
