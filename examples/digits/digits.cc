// Trains a digit classifier on a running fleet. This client reads a table, sends programs that JAX
// printed, and moves handles; every number is computed by the fleet.
//
// usage: digits --address HOST:PORT --data digits.csv.gz --programs DIRECTORY [--epochs N]
// [--quiet]
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <map>
#include <sstream>

#include "common/fleet/stubs/cache_client.h"
#include "common/fleet/stubs/health_client.h"
#include "common/fleet/stubs/ledger_client.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "megalith/compile/v1/compile.pb.h"
#include "megalith/execute/v1/execute.pb.h"
#include "megalith/trace/v1/trace.pb.h"

namespace megalith::examples {
namespace {

using tensor::DType;
using tensor::Tensor;

constexpr int64_t kPixels = 64;
constexpr int64_t kBatch = 128;    // of loss.jaxpr and batch.jaxpr
constexpr int64_t kTestEvery = 5;  // rows whose index is a multiple of this are the test set
constexpr size_t kParams = 4;      // w1, b1, w2, b2
constexpr size_t kState = 3 * kParams + 1;  // parameters, both moments, the step
constexpr int64_t kMaxRows = 1'000'000;

using Handles = std::vector<std::string>;

struct Options {
  std::string address;
  std::string data = "examples/data/digits.csv.gz";
  std::string programs = "examples/digits/programs";
  int epochs = 40;
  bool quiet = false;
};

// Rows of one part of the data.
struct Table {
  std::vector<uint8_t> pixels;
  std::vector<int32_t> digits;
  int64_t rows() const { return static_cast<int64_t>(digits.size()); }
  Tensor PixelTensor() const {
    return *Tensor::FromBytes(DType::kU8, {rows(), kPixels},
                              {reinterpret_cast<const char*>(pixels.data()), pixels.size()});
  }
  Tensor DigitTensor() const {
    return *Tensor::FromBytes(
        DType::kI32, {rows()},
        {reinterpret_cast<const char*>(digits.data()), digits.size() * sizeof(int32_t)});
  }
};

// Appends one line of 64 pixels and a digit.
Status AddRow(std::string_view line, int64_t row, Table* table) {
  const std::vector<std::string_view> cells = Split(line, ',');
  if (cells.size() != kPixels + 1) {
    return InvalidArgument(
        StrCat("row ", row, " has ", cells.size(), " columns, expected ", kPixels + 1));
  }
  for (size_t i = 0; i < cells.size(); ++i) {
    const auto value = ParseInt(cells[i]);
    const int64_t most = i < kPixels ? 16 : 9;
    if (!value || *value < 0 || *value > most) {
      return InvalidArgument(StrCat("row ", row, ", column ", i, ": '", Printable(cells[i]),
                                    "' is not an integer from 0 to ", most));
    }
    if (i < kPixels) {
      table->pixels.push_back(static_cast<uint8_t>(*value));
    } else {
      table->digits.push_back(static_cast<int32_t>(*value));
    }
  }
  return OkStatus();
}

// Splits the file into training and test rows.
Status ReadData(const std::string& path, Table* train, Table* test) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(::gzopen(path.c_str(), "rb"), ::gzclose);
  if (file == nullptr) return NotFound(StrCat("cannot open ", Printable(path)));
  std::array<char, 4096> buffer{};
  for (int64_t row = 0; ::gzgets(file.get(), buffer.data(), buffer.size()) != nullptr; ++row) {
    if (row >= kMaxRows) return ResourceExhausted(StrCat("more than ", kMaxRows, " rows"));
    std::string_view line(buffer.data());
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    RETURN_IF_ERROR(AddRow(line, row, row % kTestEvery == 0 ? test : train));
  }
  int error = Z_OK;
  const char* message = ::gzerror(file.get(), &error);
  if (error != Z_OK) return Status(Code::kDataLoss, StrCat(Printable(path), ": ", message));
  return OkStatus();
}

// A program that is ready to run.
struct Prepared {
  std::string name;
  std::string stack;
  std::string key;
  std::string cache;
  int equations_in = 0;
  double trace_seconds = 0;
  double compile_seconds = 0;
};

// Where time went, by what was done.
class Profile {
 public:
  void Add(const std::string& what, double seconds) {
    total_[what].first += seconds;
    ++total_[what].second;
  }
  std::string Table() const {
    std::ostringstream out;
    for (const auto& [what, entry] : total_) {
      out << "  " << std::left << std::setw(28) << what << std::right << std::setw(8)
          << entry.second << " times " << std::fixed << std::setprecision(3) << std::setw(9)
          << entry.first << " s\n";
    }
    return out.str();
  }

 private:
  std::map<std::string, std::pair<double, int>> total_;
};

std::string CacheWord(compile::v1::CacheOutcome outcome) {
  const std::string name = compile::v1::CacheOutcome_Name(outcome);
  return name.substr(std::string_view("CACHE_OUTCOME_").size());
}

class Trainer {
 public:
  Trainer(const std::shared_ptr<rpc::Channel>& channel, const Options& options)
      : trace_(channel), compile_(channel), execute_(channel), options_(options) {}

  // Reads programs/`name`.jaxpr and brings it, under the given transforms, to a key.
  Result<Prepared> Prepare(const std::string& name, const std::vector<trace::v1::Transform>& stack,
                           const std::string& stack_text) {
    ASSIGN_OR_RETURN(const std::string text,
                     RealFileSystem().Read(JoinPath(options_.programs, name + ".jaxpr"), 64 << 20));
    Prepared out{.name = name, .stack = stack_text, .key = "", .cache = ""};
    trace::v1::LowerRequest request;
    request.mutable_source()->set_jaxpr_text(text);
    request.mutable_source()->set_fun_name(name);
    for (const trace::v1::Transform& t : stack) *request.add_stack() = t;
    Stopwatch watch;
    ASSIGN_OR_RETURN(const trace::v1::LowerResponse lowered, trace_.Lower(request).Annotate(name));
    out.trace_seconds = watch.Seconds();
    watch = Stopwatch();
    compile::v1::CompileRequest compile;
    compile.set_stablehlo_text(lowered.stablehlo_text());
    ASSIGN_OR_RETURN(const compile::v1::CompileResult compiled,
                     compile_.Compile(compile, nullptr).Annotate(name));
    out.compile_seconds = watch.Seconds();
    out.key = compiled.key();
    out.cache = CacheWord(compiled.cache());
    profile_.Add("trace " + name, out.trace_seconds);
    profile_.Add("compile " + name, out.compile_seconds);
    return out;
  }

  // Runs a program on buffers; the results stay with the fleet.
  Result<Handles> Run(const Prepared& program, const Handles& arguments) {
    execute::v1::ExecuteRequest request;
    request.set_key(program.key);
    request.set_return_buffers(true);
    for (const std::string& handle : arguments) request.add_arguments()->set_buffer(handle);
    const Stopwatch watch;
    ASSIGN_OR_RETURN(const execute::v1::ExecuteResponse response,
                     execute_.Execute(request).Annotate(program.name));
    profile_.Add("execute " + program.name, watch.Seconds());
    for (const auto& timing : response.timings()) {
      if (timing.name() == "run")
        profile_.Add("execute " + program.name + ", inside", timing.seconds());
    }
    Handles out;
    for (const auto& result : response.results()) out.push_back(result.buffer().handle());
    return out;
  }

  Result<std::string> Put(const Tensor& t) {
    ASSIGN_OR_RETURN(const execute::v1::BufferInfo info, execute_.PutBuffer(t));
    return info.handle();
  }
  Result<double> Number(const std::string& handle) {
    ASSIGN_OR_RETURN(const Tensor t, execute_.GetBuffer(handle));
    return t.DoubleAt(0);
  }
  Status Free(const Handles& handles) { return execute_.FreeBuffers(handles).status(); }

  Profile& profile() { return profile_; }

 private:
  const stubs::TraceClient trace_;
  const stubs::CompileClient compile_;
  const stubs::ExecuteClient execute_;
  const Options options_;
  Profile profile_;
};

// The programs of the example, in the order they are prepared.
struct Programs {
  Prepared init, loss, adam, correct, shuffle, batch;
};

Result<Programs> PrepareAll(Trainer& trainer) {
  trace::v1::Transform jit;
  jit.mutable_jit();
  trace::v1::Transform value_and_grad;
  for (size_t i = 0; i < kParams; ++i) {
    value_and_grad.mutable_value_and_grad()->mutable_argnums()->add_index(static_cast<int64_t>(i));
  }
  Programs p;
  ASSIGN_OR_RETURN(p.init, trainer.Prepare("init", {jit}, "jit"));
  ASSIGN_OR_RETURN(p.loss, trainer.Prepare("loss", {value_and_grad, jit}, "jit of value_and_grad"));
  ASSIGN_OR_RETURN(p.adam, trainer.Prepare("adam", {jit}, "jit"));
  ASSIGN_OR_RETURN(p.correct, trainer.Prepare("correct", {jit}, "jit"));
  ASSIGN_OR_RETURN(p.shuffle, trainer.Prepare("shuffle", {jit}, "jit"));
  ASSIGN_OR_RETURN(p.batch, trainer.Prepare("batch", {jit}, "jit"));
  return p;
}

std::string ProgramTable(const Programs& p) {
  std::ostringstream out;
  out << "  program   transforms                trace      compile    cache  key\n";
  for (const Prepared* q : {&p.init, &p.loss, &p.adam, &p.correct, &p.shuffle, &p.batch}) {
    out << "  " << std::left << std::setw(10) << q->name << std::setw(24) << q->stack << std::right
        << std::fixed << std::setprecision(2) << std::setw(7) << q->trace_seconds * 1e3 << " ms "
        << std::setw(8) << q->compile_seconds * 1e3 << " ms  " << std::left << std::setw(5)
        << q->cache << "  " << q->key.substr(0, 16) << "...\n";
  }
  return out.str();
}

void ShowProgress(const Options& options, int64_t step, int64_t steps, double loss) {
  if (options.quiet) return;
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  const bool milestone = step == steps || step % std::max<int64_t>(1, steps / 10) == 0;
  if (!terminal && !milestone) return;
  constexpr int64_t kWidth = 30;
  const int64_t done = step * kWidth / steps;
  std::ostringstream line;
  line << "training [" << std::string(static_cast<size_t>(done), '#')
       << std::string(static_cast<size_t>(kWidth - done), '.') << "] step " << step << " of "
       << steps << ", loss " << std::fixed << std::setprecision(4) << loss;
  std::cerr << (terminal ? "\r" : "") << line.str() << (terminal && step < steps ? "" : "\n")
            << std::flush;
}

// One step of Adam on one batch; `state` becomes the new state. Returns the handle of the loss.
Result<std::string> Step(Trainer& trainer, const Programs& p, const Handles& rows, Handles* state) {
  Handles arguments(state->begin(), state->begin() + kParams);
  arguments.insert(arguments.end(), rows.begin(), rows.end());
  ASSIGN_OR_RETURN(Handles loss_and_grads, trainer.Run(p.loss, arguments));
  arguments.assign(state->begin(), state->begin() + kParams);
  arguments.insert(arguments.end(), loss_and_grads.begin() + 1, loss_and_grads.end());
  arguments.insert(arguments.end(), state->begin() + kParams, state->end());
  ASSIGN_OR_RETURN(Handles next, trainer.Run(p.adam, arguments));
  Handles garbage = *state;
  garbage.insert(garbage.end(), loss_and_grads.begin() + 1, loss_and_grads.end());
  garbage.insert(garbage.end(), rows.begin(), rows.end());
  RETURN_IF_ERROR(trainer.Free(garbage));
  *state = std::move(next);
  return loss_and_grads[0];
}

// Returns the handles of the trained parameters.
Result<Handles> Train(Trainer& trainer, const Programs& p, const Table& train,
                      const Options& options) {
  ASSIGN_OR_RETURN(const std::string pixels, trainer.Put(train.PixelTensor()));
  ASSIGN_OR_RETURN(const std::string digits, trainer.Put(train.DigitTensor()));
  ASSIGN_OR_RETURN(const std::string seed, trainer.Put(Tensor::Scalar(DType::kI32, 0)));
  ASSIGN_OR_RETURN(Handles state, trainer.Run(p.init, {seed}));
  if (state.size() != kState)
    return Internal(StrCat("init gave ", state.size(), " arrays, expected ", kState));
  const int64_t batches = train.rows() / kBatch;
  const int64_t steps = batches * options.epochs;
  Handles order;
  for (int64_t step = 0; step < steps; ++step) {
    if (step % batches == 0) {
      ASSIGN_OR_RETURN(const std::string epoch,
                       trainer.Put(Tensor::Scalar(DType::kI32, step / batches)));
      RETURN_IF_ERROR(trainer.Free(order));
      ASSIGN_OR_RETURN(order, trainer.Run(p.shuffle, {epoch}));
    }
    ASSIGN_OR_RETURN(const std::string number,
                     trainer.Put(Tensor::Scalar(DType::kI32, step % batches)));
    ASSIGN_OR_RETURN(const Handles rows, trainer.Run(p.batch, {pixels, digits, order[0], number}));
    ASSIGN_OR_RETURN(const std::string loss, Step(trainer, p, rows, &state));
    ASSIGN_OR_RETURN(const double value, trainer.Number(loss));
    RETURN_IF_ERROR(trainer.Free({number, loss}));
    ShowProgress(options, step + 1, steps, value);
  }
  state.resize(kParams);
  return state;
}

// What the fleet did, from its own evidence.
Status ShowEvidence(const std::shared_ptr<rpc::Channel>& channel) {
  const stubs::LedgerClient ledger(channel);
  ASSIGN_OR_RETURN(const std::vector<ledger::Entry> entries, ledger.Query({}, 100'000));
  std::map<std::pair<std::string, std::string>, int> counts;
  for (const ledger::Entry& e : entries) ++counts[{e.service, e.decision}];
  std::cout << "\nwhat each service decided (megalithctl ledger query):\n";
  for (const auto& [what, count] : counts) {
    std::cout << "  " << std::left << std::setw(10) << what.first << std::setw(34) << what.second
              << std::right << std::setw(6) << count << "\n";
  }
  ASSIGN_OR_RETURN(const stubs::CacheStatus cache, stubs::CacheClient(channel).Stat({}));
  std::cout << "cache: " << cache.stats.entries << " entries, " << cache.stats.disk_bytes
            << " bytes, " << cache.stats.memory_hits + cache.stats.disk_hits << " hits, "
            << cache.stats.misses << " misses\n";
  return OkStatus();
}

Status Main(const Options& options) {
  Table train;
  Table test;
  RETURN_IF_ERROR(ReadData(options.data, &train, &test));
  ASSIGN_OR_RETURN(const std::shared_ptr<rpc::Channel> channel,
                   rpc::Channel::Dial(options.address, {}, RealFileSystem()));
  ASSIGN_OR_RETURN(const stubs::ProcessInfo info, stubs::HealthClient(channel).GetInfo());
  std::cout << "fleet " << info.process << " " << info.version << " at " << options.address << "; "
            << train.rows() << " training rows, " << test.rows()
            << " test rows\n\nprograms, as JAX printed them:\n";
  Trainer trainer(channel, options);
  ASSIGN_OR_RETURN(const Programs programs, PrepareAll(trainer));
  std::cout << ProgramTable(programs) << "\n" << std::flush;

  const Stopwatch watch;
  ASSIGN_OR_RETURN(Handles arguments, Train(trainer, programs, train, options));
  const double seconds = watch.Seconds();
  ASSIGN_OR_RETURN(const std::string pixels, trainer.Put(test.PixelTensor()));
  ASSIGN_OR_RETURN(const std::string digits, trainer.Put(test.DigitTensor()));
  arguments.insert(arguments.end(), {pixels, digits});
  ASSIGN_OR_RETURN(const Handles correct, trainer.Run(programs.correct, arguments));
  ASSIGN_OR_RETURN(const double right, trainer.Number(correct[0]));
  std::cout << "trained " << options.epochs << " epochs in " << std::fixed << std::setprecision(1)
            << seconds << " s\ntest accuracy: " << std::setprecision(2)
            << 100 * right / static_cast<double>(test.rows()) << " % ("
            << static_cast<int64_t>(right) << " of " << test.rows() << ")\n\n";

  std::cout << "the same programs once more, now from the cache:\n";
  ASSIGN_OR_RETURN(const Programs again, PrepareAll(trainer));
  std::cout << ProgramTable(again) << "\nwhere the client's time went:\n"
            << trainer.profile().Table();
  return ShowEvidence(channel);
}

// Prints what is wrong with the command line, if anything.
bool ParseArguments(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const std::string value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--quiet") {
      options->quiet = true;
      continue;
    }
    const auto epochs = ParseInt(value);
    if (flag == "--address") {
      options->address = value;
    } else if (flag == "--data") {
      options->data = value;
    } else if (flag == "--programs") {
      options->programs = value;
    } else if (flag == "--epochs" && epochs && *epochs >= 1 && *epochs <= 10'000) {
      options->epochs = static_cast<int>(*epochs);
    } else {
      std::cerr << "digits: cannot read '" << flag << " " << value << "'\n";
      return false;
    }
    ++i;
  }
  if (options->address.empty())
    std::cerr << "usage: digits --address HOST:PORT [--data FILE] [--programs DIRECTORY] "
                 "[--epochs N] [--quiet]\n";
  return !options->address.empty();
}

}  // namespace
}  // namespace megalith::examples

int main(int argc, char** argv) {
  megalith::examples::Options options;
  if (!megalith::examples::ParseArguments(argc, argv, &options)) return 2;
  const megalith::Status status = megalith::examples::Main(options);
  if (status.ok()) return 0;
  std::cerr << "digits: " << status.ToString() << "\n";
  return 1;
}
