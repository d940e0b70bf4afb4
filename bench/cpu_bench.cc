// Our side of the comparison with JAX (bench/jax_peer/compare.py): programs as JAX lowered them,
// with inputs and the outputs JAX gave, on a backend with settings.
//
//   cpu_bench FOLDER [BACKEND[,SETTING=VALUE]...]   a table of all programs of the folder
//   cpu_bench FOLDER --serve                        requests on standard input, see Serve
//   cpu_bench FOLDER --warm PROGRAM PACKAGE         one load and run of a package, in this process
//
// FOLDER holds NAME.mlir and NAME.npz with arrays in0, in1, ... and out0, out1, ... A program that
// says that inputs are given to it is called on what it made of them; its bytes are temporaries and
// results that do not lie in inputs.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/npz.h"
#include "common/machines/backends/backends.h"
#include "common/machines/runtime/backend.h"
#include "common/machines/runtime/executable.h"
#include "common/programs/stablehlo/donation.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith {
namespace {

using runtime::Executable;
using tensor::Tensor;
using Time = std::chrono::steady_clock;

double MillisecondsSince(Time::time_point start) {
  return std::chrono::duration<double, std::milli>(Time::now() - start).count();
}

double Median(std::vector<double> v) {
  if (v.empty()) return NAN;
  std::sort(v.begin(), v.end());
  return v.size() % 2 != 0 ? v[v.size() / 2] : (v[v.size() / 2 - 1] + v[v.size() / 2]) / 2;
}

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFound(StrCat("cannot read ", path));
  std::stringstream bytes;
  bytes << in.rdbuf();
  return std::move(bytes).str();
}

struct Program {
  std::string text;
  std::vector<Tensor> inputs, outputs;
  std::vector<stablehlo::DonatedInput> donated;
};

Result<Program> ReadProgram(const std::string& folder, std::string_view name) {
  Program p;
  const std::string path = StrCat(folder, "/", name);
  ASSIGN_OR_RETURN(p.text, ReadFile(path + ".mlir"));
  ASSIGN_OR_RETURN(const std::string file, ReadFile(path + ".npz"));
  ASSIGN_OR_RETURN(const tensor::NamedTensors arrays, tensor::ParseNpz(file));
  const auto collect = [&](std::string_view prefix, std::vector<Tensor>* out) {
    for (size_t i = 0;; ++i) {
      const std::string wanted = StrCat(prefix, i);
      const auto at = std::find_if(arrays.begin(), arrays.end(),
                                   [&](const auto& a) { return a.first == wanted; });
      if (at == arrays.end()) return;
      out->push_back(at->second);
    }
  };
  collect("in", &p.inputs);
  collect("out", &p.outputs);
  ASSIGN_OR_RETURN(const stablehlo::Module module, stablehlo::ParseModule(p.text));
  ASSIGN_OR_RETURN(const stablehlo::Func* entry, module.Entry());
  p.donated = stablehlo::DonatedInputs(*entry);
  return p;
}

// "cpu,tier=0".
struct Engine {
  std::shared_ptr<const runtime::Backend> backend;
  runtime::CompileOptions options;
};
Result<Engine> FindEngine(std::string_view text) {
  Engine e;
  const std::vector<std::string_view> parts = Split(text, ',');
  ASSIGN_OR_RETURN(e.backend, machines::AllBackends()->Find(parts[0]));
  for (size_t i = 1; i < parts.size(); ++i) {
    const size_t equals = parts[i].find('=');
    if (equals == std::string_view::npos) return InvalidArgument("wanted SETTING=VALUE");
    e.options.settings[std::string(parts[i].substr(0, equals))] = parts[i].substr(equals + 1);
  }
  return e;
}

// A run that takes longer than this is given up.
constexpr auto kLongestRun = std::chrono::seconds(60);

// The inputs of a call; those that the program is given are copies of ours.
Result<std::vector<Tensor>> InputsFor(const Program& p) {
  std::vector<Tensor> inputs = p.inputs;
  for (const stablehlo::DonatedInput& d : p.donated) {
    RETURN_IF_ERROR(inputs[d.input].MakeUnique());
  }
  return inputs;
}

Result<std::vector<Tensor>> RunOnce(const Executable& executable, std::vector<Tensor> inputs) {
  const Cancellation cancellation(RealClock().Monotonic() + kLongestRun);
  return executable.RunTaking(std::move(inputs), {.cancellation = &cancellation});
}

// Calls a program, which is given next what it has made of what it was given.
Status CallAgain(const Executable& executable, const Program& p, std::vector<Tensor>* inputs) {
  if (p.donated.empty()) return executable.Run(*inputs).status();
  std::vector<Tensor> given = *inputs;
  for (const stablehlo::DonatedInput& d : p.donated) (*inputs)[d.input] = Tensor();
  ASSIGN_OR_RETURN(std::vector<Tensor> out, executable.RunTaking(std::move(given)));
  for (const stablehlo::DonatedInput& d : p.donated) {
    (*inputs)[d.input] = d.output < out.size() ? std::move(out[d.output]) : p.inputs[d.input];
  }
  return OkStatus();
}

// Temporaries, and of programs that are given inputs also results that do not lie in those.
double MemoryOf(const Executable& executable, const Program& p) {
  double bytes = executable.cost().peak_temporary_bytes;
  if (p.donated.empty()) return bytes;
  for (const Tensor& t : p.outputs) bytes += static_cast<double>(t.byte_size());
  return bytes - static_cast<double>(executable.donated_bytes());
}

// The largest difference between outputs and those of JAX, relative to the largest element of the
// output; infinite if one is NaN or infinite and the other is not, or types differ.
double RelativeError(const std::vector<Tensor>& got, const std::vector<Tensor>& want) {
  if (got.size() != want.size()) return HUGE_VAL;
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i].dtype() != want[i].dtype() || !(got[i].shape() == want[i].shape())) return HUGE_VAL;
    double largest = 0, difference = 0;
    for (int64_t k = 0; k < got[i].size(); ++k) {
      const auto a = got[i].ComplexAt(k), b = want[i].ComplexAt(k);
      if (a == b || (std::isnan(a.real()) && std::isnan(b.real()))) {
        largest = std::max(largest, std::isfinite(std::abs(b)) ? std::abs(b) : 0);
        continue;
      }
      const double d = std::abs(a - b);
      if (!std::isfinite(d)) return HUGE_VAL;
      difference = std::max(difference, d);
      largest = std::max(largest, std::abs(b));
    }
    worst = std::max(worst, difference == 0 ? 0 : difference / largest);
  }
  return worst;
}

// What was measured of one program on one engine.
struct Measured {
  std::vector<double> ms;
  double error = 0;  // of results, relative
  double temporary_bytes = 0;
  std::string package;
};

runtime::CompileOptions OptionsFor(const Engine& engine, const Program& p) {
  runtime::CompileOptions options = engine.options;
  const std::string setting(stablehlo::kDonateSetting);
  if (!p.donated.empty() && engine.backend->HasSetting(setting)) {
    options.settings[setting] = stablehlo::DonateText(p.donated);
  }
  return options;
}

Result<std::shared_ptr<const Executable>> CompileAndLoad(const Engine& engine, const Program& p,
                                                         std::string* package) {
  ASSIGN_OR_RETURN(*package, engine.backend->Compile(p.text, OptionsFor(engine, p), nullptr));
  return engine.backend->Load(*package);
}

// From the text to the first result, everything made anew each time.
Result<Measured> MeasureCold(const Engine& engine, const Program& p, int runs, double budget_ms) {
  Measured m;
  const auto begin = Time::now();
  while (static_cast<int>(m.ms.size()) < runs &&
         (m.ms.empty() || MillisecondsSince(begin) < budget_ms)) {
    ASSIGN_OR_RETURN(std::vector<Tensor> inputs, InputsFor(p));
    const auto start = Time::now();
    ASSIGN_OR_RETURN(const auto executable, CompileAndLoad(engine, p, &m.package));
    ASSIGN_OR_RETURN(const std::vector<Tensor> out, RunOnce(*executable, std::move(inputs)));
    m.ms.push_back(MillisecondsSince(start));
    if (m.ms.size() > 1) continue;
    m.error = RelativeError(out, p.outputs);
    m.temporary_bytes = MemoryOf(*executable, p);
  }
  return m;
}

// Calls of a loaded program; those of microseconds many at once.
Result<Measured> MeasureSteady(const Executable& executable, const Program& p, int runs,
                               double budget_ms) {
  Measured m;
  const auto begin = Time::now();
  double each = HUGE_VAL;
  for (int i = 0; i < 3 && (i == 0 || MillisecondsSince(begin) < budget_ms / 4); ++i) {
    ASSIGN_OR_RETURN(std::vector<Tensor> inputs, InputsFor(p));
    const auto start = Time::now();
    ASSIGN_OR_RETURN(const std::vector<Tensor> out, RunOnce(executable, std::move(inputs)));
    each = std::min(each, MillisecondsSince(start));
    m.error = RelativeError(out, p.outputs);
  }
  const int calls = std::clamp(static_cast<int>(1 / each), 1, 20000);
  ASSIGN_OR_RETURN(std::vector<Tensor> state, InputsFor(p));
  while (static_cast<int>(m.ms.size()) < runs &&
         (m.ms.empty() || MillisecondsSince(begin) < budget_ms)) {
    const auto start = Time::now();
    for (int i = 0; i < calls; ++i) RETURN_IF_ERROR(CallAgain(executable, p, &state));
    m.ms.push_back(MillisecondsSince(start) / calls);
  }
  m.temporary_bytes = MemoryOf(executable, p);
  return m;
}

std::string Json(const Result<Measured>& m) {
  std::string out = "{";
  if (!m.ok()) {
    StrAppend(&out, "\"error\": \"");
    for (const char c : m.status().ToString().substr(0, 300)) {
      out += c == '"' || c == '\\' || static_cast<unsigned char>(c) < 32 ? '\'' : c;
    }
    return out + "\"}";
  }
  StrAppend(&out, "\"ms\": [");
  for (size_t i = 0; i < m->ms.size(); ++i) StrAppend(&out, i > 0 ? ", " : "", m->ms[i]);
  // JSON has no infinity.
  StrAppend(&out, "], \"error_of_results\": ", std::isfinite(m->error) ? m->error : 1e300,
            ", \"temporary_bytes\": ", m->temporary_bytes, "}");
  return out;
}

// What a server keeps between requests.
class Server {
 public:
  explicit Server(std::string folder) : folder_(std::move(folder)) {}

  // "cold PROGRAM ENGINE RUNS BUDGET_MS", "steady ..." the same, "package PROGRAM ENGINE PATH"
  // (writes it), "forget": one line of JSON each.
  std::string Answer(const std::string& line) {
    std::istringstream in(line);
    std::string what, name, engine_text;
    in >> what >> name >> engine_text;
    if (what == "forget") {
      executable_.reset();
      return "{}";
    }
    if (name != name_) {
      executable_.reset();
      executable_engine_.clear();
      name_.clear();
      auto p = ReadProgram(folder_, name);
      if (!p.ok()) return Json(p.status());
      program_ = *std::move(p);
      name_ = name;
    }
    const auto engine = FindEngine(engine_text);
    if (!engine.ok()) return Json(engine.status());
    if (what == "package") {
      std::string path;
      in >> path;
      return Json(WritePackage(*engine, path));
    }
    int runs = 0;
    double budget_ms = 0;
    in >> runs >> budget_ms;
    if (what == "cold") return Json(MeasureCold(*engine, program_, runs, budget_ms));
    if (what == "steady") return Json(Steady(*engine, engine_text, runs, budget_ms));
    return Json(InvalidArgument(StrCat("no request ", what)));
  }

 private:
  Result<Measured> Steady(const Engine& engine, const std::string& text, int runs,
                          double budget_ms) {
    if (executable_ == nullptr || executable_engine_ != text) {
      std::string package;
      ASSIGN_OR_RETURN(executable_, CompileAndLoad(engine, program_, &package));
      executable_engine_ = text;
    }
    return MeasureSteady(*executable_, program_, runs, budget_ms);
  }

  Result<Measured> WritePackage(const Engine& engine, const std::string& path) {
    Measured m;
    ASSIGN_OR_RETURN(const std::string package,
                     engine.backend->Compile(program_.text, OptionsFor(engine, program_), nullptr));
    std::ofstream(path, std::ios::binary) << package;
    return m;
  }

  std::string folder_, name_, executable_engine_;
  Program program_;
  std::shared_ptr<const Executable> executable_;
};

int Serve(const std::string& folder) {
  Server server(folder);
  std::string line;
  while (std::getline(std::cin, line)) {
    std::cout << server.Answer(line) << std::endl;
  }
  return 0;
}

// The package says which backend made it, but only a backend can say whether it may be run.
Result<std::shared_ptr<const Executable>> LoadAnywhere(std::string_view package) {
  Status last = NotFound("no backend");
  const auto registry = machines::AllBackends();
  for (const std::string& name : registry->Names()) {
    auto executable = (*registry->Find(name))->Load(package);
    if (executable.ok()) return executable;
    last = executable.status();
  }
  return last;
}

Result<Measured> MeasureWarm(const std::string& folder, const std::string& name,
                             const std::string& package_path) {
  ASSIGN_OR_RETURN(const Program p, ReadProgram(folder, name));
  Measured m;
  ASSIGN_OR_RETURN(std::vector<Tensor> inputs, InputsFor(p));
  const auto start = Time::now();
  ASSIGN_OR_RETURN(const std::string package, ReadFile(package_path));
  ASSIGN_OR_RETURN(const auto executable, LoadAnywhere(package));
  ASSIGN_OR_RETURN(const std::vector<Tensor> out, RunOnce(*executable, std::move(inputs)));
  m.ms.push_back(MillisecondsSince(start));
  m.error = RelativeError(out, p.outputs);
  return m;
}

int Table(const std::string& folder, const std::string& engine_text) {
  const auto engine = FindEngine(engine_text);
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
    return 2;
  }
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".mlir") names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  std::printf("%-22s %12s %12s %14s %10s\n", "program", "cold ms", "steady ms", "temporary B",
              "error");
  for (const std::string& name : names) {
    const auto row = [&]() -> Status {
      ASSIGN_OR_RETURN(const Program p, ReadProgram(folder, name));
      ASSIGN_OR_RETURN(const Measured cold, MeasureCold(*engine, p, 10, 2000));
      std::string package;
      ASSIGN_OR_RETURN(const auto executable, CompileAndLoad(*engine, p, &package));
      ASSIGN_OR_RETURN(const Measured steady, MeasureSteady(*executable, p, 20, 3000));
      std::printf("%-22s %12.4g %12.4g %14.0f %10.2g\n", name.c_str(), Median(cold.ms),
                  Median(steady.ms), steady.temporary_bytes, std::max(cold.error, steady.error));
      return OkStatus();
    };
    const Status s = row();
    if (!s.ok()) std::printf("%-22s %s\n", name.c_str(), s.ToString().c_str());
    std::fflush(stdout);
  }
  return 0;
}

int Main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs(
        "usage: cpu_bench FOLDER [BACKEND[,SETTING=VALUE]... | --serve | --warm PROGRAM "
        "PACKAGE]\n",
        stderr);
    return 2;
  }
  const std::string folder = argv[1];
  const std::string second = argc > 2 ? argv[2] : machines::AllBackends()->Names().front();
  if (second == "--serve") return Serve(folder);
  if (second == "--warm" && argc == 5) {
    std::printf("%s\n", Json(MeasureWarm(folder, argv[3], argv[4])).c_str());
    return 0;
  }
  return Table(folder, second);
}

}  // namespace
}  // namespace megalith

int main(int argc, char** argv) { return megalith::Main(argc, argv); }
