#include "common/machines/codegen/passes/passes.h"

#include <chrono>

#include "common/machines/codegen/passes/pass.h"
#include "common/programs/stablehlo/printer.h"

namespace megalith::codegen {
namespace {

struct PassRow {
  std::string_view name;
  Status (*run)(PassContext& context);
};

constexpr PassRow kPasses[] = {
    {"simplify", Simplify},
    {"merge-equal", MergeEqual},
    {"fold-constants", FoldConstants},
    {"loops", OptimizeLoops},
    {"unroll", UnrollLoops},
    {"narrow-ranges", NarrowRanges},
    {"expand", ExpandUnsupported},
    {"layout", ImproveLayout},
    {"loop-products", BatchLoopProducts},
    {"loops-again", OptimizeLoops},
    {"merge-equal-again", MergeEqual},
    {"strength", ReduceStrength},
};

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string TextOf(const Graph& graph) {
  stablehlo::Module module;
  const auto added = module.AddFunc(graph.Copy());
  return added.ok() ? stablehlo::PrintModule(module) : "";
}

Status RunOn(Graph& graph, const PassOptions& options, std::vector<PassRecord>* records) {
  PassContext context{graph, options, options.fold_budget_bytes, options.fold_budget_elements};
  size_t index = 0;
  for (const PassRow& pass : kPasses) {
    if (records->size() <= index) records->push_back({.name = pass.name});
    PassRecord& record = (*records)[index++];
    RETURN_IF_ERROR(context.Poll());
    const double start = Seconds();
    const uint64_t rewrites = graph.rewrites;
    record.ops_before += graph.live();
    RETURN_IF_ERROR(pass.run(context));
    record.ops_after += graph.live();
    record.rewrites += graph.rewrites - rewrites;
    record.seconds += Seconds() - start;
    if (options.record_text && graph.rewrites != rewrites) record.text_after += TextOf(graph);
  }
  return OkStatus();
}

}  // namespace

Result<std::vector<PassRecord>> RunPasses(stablehlo::Module* module, const PassOptions& options) {
  std::vector<PassRecord> records;
  for (stablehlo::Func& func : module->mutable_funcs()) {
    Graph graph(&func);
    const Status status = RunOn(graph, options, &records);
    graph.Export();
    RETURN_IF_ERROR(status);
  }
  return records;
}

}  // namespace megalith::codegen
