// How long parsing and transforming take, in process, for every record of an oracle file: parse
// and check the text (pipeline::Load), apply the stack (pipeline::Apply). Nothing is kept between
// runs. Prints the median of 20 runs per record in microseconds.
//
//   bench/trace_bench [records, default conformance/fixtures/jax/programs.jsonl] [runs]
//
// With --serve it answers lines on stdin instead, so that a driver can interleave these runs with
// those of another tracer in one session: "list" prints the ids, "run ID" makes one run and prints
// the seconds of parse and apply, "text ID" prints the length of the result and then the result.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "clients/cli/conformance/record.h"
#include "common/foundation/base/strings.h"
#include "common/programs/ir/print.h"
#include "common/programs/pipeline/pipeline.h"
#include "services/trace/trace_convert.h"

namespace megalith {
namespace {

struct Case {
  std::string id;
  pipeline::Source source;
  std::vector<pipeline::Transform> stack;
  pipeline::TraceOptions options;
};

struct Seconds {
  double parse = 0;
  double apply = 0;
};

Result<Case> ReadCase(std::string_view line) {
  ASSIGN_OR_RETURN(const conformance::Record record, conformance::ReadRecord(line));
  Case out;
  out.id = record.id;
  out.options.x64 = record.source.x64();
  ASSIGN_OR_RETURN(out.source, services::SourceFromProto(record.source, out.options.parse_limits));
  ASSIGN_OR_RETURN(out.stack, services::StackFromProto(record.stack));
  if (record.has_inputs) {
    out.options.arg_avals.emplace();
    for (size_t i = 0; i < record.inputs.size(); ++i) {
      const bool weak = i < record.input_weak.size() && record.input_weak[i];
      out.options.arg_avals->push_back({record.inputs[i].dtype(), weak, record.inputs[i].shape()});
    }
  }
  return out;
}

Result<std::vector<Case>> ReadCases(const std::string& path) {
  std::ifstream in(path);
  if (!in) return NotFound(StrCat("cannot read '", path, "'"));
  std::vector<Case> out;
  for (std::string line; std::getline(in, line);) {
    ASSIGN_OR_RETURN(Case c, ReadCase(line).Annotate(StrCat("line ", out.size() + 1)));
    out.push_back(std::move(c));
  }
  return out;
}

double Since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Result<pipeline::Traced> Trace(const Case& c, Seconds* seconds) {
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const ir::Program program, pipeline::Load(c.source, c.options));
  seconds->parse = Since(start);
  const auto parsed = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(pipeline::Traced traced, pipeline::Apply(program, c.stack, c.options));
  seconds->apply = Since(parsed);
  return traced;
}

double Median(std::vector<double> values) {
  const size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle),
                   values.end());
  return values[middle];
}

int PrintTable(const std::vector<Case>& cases, int runs) {
  std::printf("%-36s %10s %10s %10s\n", "record", "parse us", "apply us", "total us");
  for (const Case& c : cases) {
    std::vector<double> parse;
    std::vector<double> apply;
    std::vector<double> total;
    for (int i = 0; i < runs; ++i) {
      Seconds seconds;
      const auto traced = Trace(c, &seconds);
      if (!traced.ok()) {
        std::fprintf(stderr, "%s: %s\n", c.id.c_str(), traced.status().ToString().c_str());
        return 1;
      }
      parse.push_back(seconds.parse);
      apply.push_back(seconds.apply);
      total.push_back(seconds.parse + seconds.apply);
    }
    std::printf("%-36s %10.1f %10.1f %10.1f\n", c.id.c_str(), Median(parse) * 1e6,
                Median(apply) * 1e6, Median(total) * 1e6);
  }
  return 0;
}

// One line in, one answer out, until stdin ends.
int Serve(const std::vector<Case>& cases) {
  std::map<std::string, const Case*> by_id;
  for (const Case& c : cases) by_id[c.id] = &c;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "list") {
      for (const Case& c : cases) std::cout << c.id << ' ';
      std::cout << std::endl;
      continue;
    }
    const size_t space = std::min(line.find(' '), line.size());
    const auto at = by_id.find(line.substr(std::min(space + 1, line.size())));
    if (at == by_id.end()) {
      std::cout << "error unknown record" << std::endl;
      continue;
    }
    Seconds seconds;
    const auto traced = Trace(*at->second, &seconds);
    if (!traced.ok()) {
      std::cout << "error " << Printable(traced.status().ToString()) << std::endl;
    } else if (line.starts_with("text ")) {
      const std::string text = ir::Print(traced->program.closed.jaxpr);
      std::cout << text.size() << '\n' << text << std::flush;
    } else {
      std::printf("%.9f %.9f\n", seconds.parse, seconds.apply);
      std::fflush(stdout);
    }
  }
  return 0;
}

int Main(std::vector<std::string> arguments) {
  const bool serve = std::erase(arguments, "--serve") > 0;
  const auto cases =
      ReadCases(arguments.empty() ? "conformance/fixtures/jax/programs.jsonl" : arguments[0]);
  if (!cases.ok()) {
    std::fprintf(stderr, "%s\n", cases.status().ToString().c_str());
    return 1;
  }
  if (serve) return Serve(*cases);
  const int64_t runs = arguments.size() > 1 ? ParseInt(arguments[1]).value_or(20) : 20;
  return PrintTable(*cases, static_cast<int>(std::clamp<int64_t>(runs, 1, 1'000'000)));
}

}  // namespace
}  // namespace megalith

int main(int argc, char** argv) {
  return megalith::Main(std::vector<std::string>(argv + 1, argv + argc));
}
