#include "clients/pjrt/executable.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "clients/pjrt/hlo_program.h"
#include "clients/pjrt/host_callbacks.h"
#include "common/foundation/base/strings.h"

namespace megalith::pjrt {
namespace {

constexpr std::string_view kMagic = "MGPJRTX2";

// Up to this estimate a program runs on the thread that launches it: handing it to another thread
// and back costs about as much.
constexpr double kInlineSeconds = 100e-6;

// A guess good enough to tell small from large.
double SecondsOf(const CostSummary& cost) {
  return cost.flops / 5e9 + cost.transcendentals / 3e8 + cost.bytes_accessed / 10e9;
}

abi::NamedValue Number(const char* name, double value) {
  abi::NamedValue v{};
  v.struct_size = sizeof(abi::NamedValue);
  v.name = name;
  v.name_size = std::strlen(name);
  v.type = abi::kNamedFloat;
  v.float_value = static_cast<float>(value);
  v.value_size = 1;
  return v;
}

Status WrongArgument(size_t i, const TensorSpec& found, const TensorSpec& wanted) {
  return InvalidArgument(StrCat("argument ", i, " is ", tensor::TypeText(found.dtype, found.shape),
                                "; the program was compiled for ",
                                tensor::TypeText(wanted.dtype, wanted.shape)));
}

// The arrays of which `stored` are what is stored in these orders.
std::vector<TensorSpec> LogicalSpecs(const std::vector<TensorSpec>& stored,
                                     const std::vector<Order>& orders) {
  std::vector<TensorSpec> specs = stored;
  for (size_t i = 0; i < orders.size(); ++i) specs[i].shape = Logical(specs[i].shape, orders[i]);
  return specs;
}

// One for each of `count` arrays, also of row-major ones.
std::vector<OrderPtr> SharedOrders(const std::vector<Order>& orders, size_t count) {
  std::vector<OrderPtr> shared;
  for (const Order& order : orders) shared.push_back(Shared(order));
  shared.resize(count);
  return shared;
}

bool Fit(const std::vector<Order>& orders, const std::vector<TensorSpec>& specs) {
  bool fit = orders.empty() || orders.size() == specs.size();
  for (size_t i = 0; fit && i < orders.size(); ++i) {
    fit = orders[i].empty() || orders[i].size() == specs[i].shape.size();
  }
  return fit;
}

// The values of the arguments, device by device, and which of each device's the launch may use up.
struct Arguments {
  std::vector<ValuePtr> values;
  std::vector<bool> given;
};

// Adds the arguments of one device.
Status Collect(const ProgramInfo& info, std::span<abi::Buffer* const> buffers,
               std::span<const int64_t> keep, Arguments* out) {
  const std::vector<TensorSpec>& wanted = info.inputs;
  if (buffers.size() != wanted.size()) {
    return InvalidArgument(
        StrCat("the program takes ", wanted.size(), " arguments; ", buffers.size(), " were given"));
  }
  out->given = info.program->donated();
  for (const int64_t i : keep) {
    if (i >= 0 && static_cast<size_t>(i) < wanted.size()) {
      out->given[static_cast<size_t>(i)] = false;
    }
  }
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i]->spec != wanted[i]) return WrongArgument(i, buffers[i]->spec, wanted[i]);
    ASSIGN_OR_RETURN(ValuePtr value, buffers[i]->Get());
    if (!SameOrder(buffers[i]->order, info.input_orders[i])) {
      value = InOrder(*buffers[i], value, info.input_orders[i]);
    }
    out->values.push_back(std::move(value));
  }
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (!out->given[i]) continue;
    for (size_t j = 0; j < buffers.size(); ++j) {
      if (i == j || buffers[j] != buffers[i]) continue;
      return InvalidArgument(StrCat("argument ", i, " is donated but is also argument ", j,
                                    "; pass a copy of one of them"));
    }
  }
  return OkStatus();
}

// Options of XLA's own compiler change nothing that is promised here.
bool IsOptionOfXla(std::string_view name) {
  constexpr std::string_view kEfforts[] = {"exec_time_optimization_effort", "memory_fitting_effort",
                                           "optimization_level", "memory_fitting_level"};
  return name.starts_with("xla_") || std::ranges::find(kEfforts, name) != std::end(kEfforts);
}

// They have no effect, but what their type forbids is an error as it is with XLA.
Status CheckOptionOfXla(std::string_view name, std::string_view value) {
  constexpr std::string_view kBools[] = {
      "xla_embed_ir_in_executable",        "xla_cpu_enable_fast_math",
      "xla_cpu_enable_fast_min_max",       "xla_cpu_multi_thread_eigen",
      "xla_cpu_use_thunk_runtime",         "xla_dump_hlo_as_text",
      "xla_llvm_disable_expensive_passes", "xla_allow_excess_precision"};
  constexpr std::string_view kValues[] = {"true", "false", "True", "False", "1", "0"};
  if (std::ranges::find(kBools, name) == std::end(kBools)) return OkStatus();
  if (std::ranges::find(kValues, value) != std::end(kValues)) return OkStatus();
  return InvalidArgument(StrCat("While setting option ", name, ", '", Printable(value),
                                "' is not a valid bool value."));
}

Status InspectSharding(uint64_t id, std::string_view sharding) {
  HostCallbacks& callbacks = ProcessHostCallbacks();
  ASSIGN_OR_RETURN(const HostCallbacks::Hold hold, callbacks.Acquire({id}));
  const auto size = static_cast<int64_t>(sharding.size());
  std::string bytes(sharding);
  const HostCalls::Array array = {bytes.data(), bytes.size(), &size, 1};
  return callbacks.Call(id, {&array, 1}, {});
}

// One launch: what it reads, and where its results go.
struct Work {
  std::shared_ptr<const ProgramInfo> info;
  int device = 0;
  Arguments arguments;
  std::vector<ValuePtr> results;
  EventPtr done;

  void Run() {
    const Status s = TryRun();
    if (!s.ok()) {
      for (const ValuePtr& r : results) r->Fail(s);
    }
    arguments.values.clear();
    if (done == nullptr) return;
    if (!s.ok()) return done->Set(s);
    Done()->OnReady([done = done](const Status& end) { done->Set(end); });
  }

  // When what has been started has run: its results exist together.
  EventPtr Done() const { return results.empty() ? DoneEvent() : results.back()->ready(); }

  Status TryRun() {
    std::vector<ArrayPtr> inputs;
    inputs.reserve(arguments.values.size());
    for (const ValuePtr& v : arguments.values) {
      RETURN_IF_ERROR(v->named()->Wait());
      inputs.push_back(v->array());
    }
    arguments.values.clear();
    ASSIGN_OR_RETURN(std::vector<ArrayPtr> made,
                     info->program->Run(device, std::move(inputs), arguments.given));
    for (size_t i = 0; i < results.size(); ++i) results[i]->Set(std::move(made[i]));
    return OkStatus();
  }
};

}  // namespace

ProgramInfo::ProgramInfo(std::shared_ptr<const LoadedProgram> loaded,
                         HostCompileOptions host_options, std::string host_options_bytes)
    : program(std::move(loaded)),
      options(std::move(host_options)),
      options_bytes(std::move(host_options_bytes)) {
  static constexpr char kKind[] = "device";
  const Orders& orders = program->orders();
  inputs = LogicalSpecs(program->signature().inputs, orders.inputs);
  outputs = LogicalSpecs(program->signature().outputs, orders.outputs);
  input_orders = SharedOrders(orders.inputs, inputs.size());
  output_orders = SharedOrders(orders.outputs, outputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    input_layouts.push_back({LayoutText(orders.input(i), inputs[i].shape.size())});
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const bool token = program->token_outputs()[i];
    const Shape shape = token ? Shape() : outputs[i].shape;
    output_types.push_back(token ? abi::kToken : TypeOf(outputs[i].dtype));
    output_dims.insert(output_dims.end(), shape.begin(), shape.end());
    output_ranks.push_back(shape.size());
    output_layouts.push_back({LayoutText(orders.output(i), shape.size())});
    memory_kinds.push_back(kKind);
    memory_kind_sizes.push_back(sizeof(kKind) - 1);
  }
  for (abi::MemoryLayout& l : input_layouts) input_layout_pointers.push_back(&l);
  for (abi::MemoryLayout& l : output_layouts) output_layout_pointers.push_back(&l);
  const CostSummary& c = program->cost();
  cost = {Number("flops", c.flops), Number("transcendentals", c.transcendentals),
          Number("bytes accessed", c.bytes_accessed)};
  if (options.device_assignment.empty()) {
    int64_t next = 0;
    for (int p = 0; p < options.num_partitions; ++p) {
      std::vector<int64_t>& ids = options.device_assignment.emplace_back();
      for (int r = 0; r < options.num_replicas; ++r) ids.push_back(next++);
    }
  }
  device_assignment = EncodeDeviceAssignment(options.device_assignment);
  runs_at_once = !program->starts_only() && !program->calls_host() &&
                 SecondsOf(c) < kInlineSeconds &&
                 std::ranges::find(program->donated(), true) == program->donated().end();
}

const std::string& ProgramInfo::Hlo() const {
  std::call_once(hlo_once_, [this] {
    HloProgram hlo{program->name(),       {}, {}, program->computations(), program->shardings(),
                   options.num_partitions};
    const auto add = [](const std::vector<TensorSpec>& specs, const std::vector<TensorSpec>& whole,
                        const std::vector<OrderPtr>& orders, std::vector<HloArray>* out) {
      for (size_t i = 0; i < specs.size(); ++i) {
        out->push_back({specs[i], whole[i], orders[i] == nullptr ? Order() : *orders[i], false});
      }
    };
    const Signature& whole = program->whole_signature();
    add(inputs, whole.inputs, input_orders, &hlo.inputs);
    add(outputs, whole.outputs, output_orders, &hlo.outputs);
    for (size_t i = 0; i < outputs.size(); ++i) hlo.outputs[i].token = program->token_outputs()[i];
    hlo_ = EncodeHloProgram(hlo);
  });
  return hlo_;
}

Result<std::shared_ptr<const ProgramInfo>> CompileProgram(abi::Client* client,
                                                          std::string_view module,
                                                          std::string_view options) {
  ASSIGN_OR_RETURN(HostCompileOptions parsed, ParseCompileOptions(options));
  ProgramOptions program_options;
  program_options.num_replicas = parsed.num_replicas;
  program_options.num_partitions = parsed.num_partitions;
  for (const auto& [name, value] : parsed.overrides) {
    if (IsOptionOfXla(name)) {
      RETURN_IF_ERROR(CheckOptionOfXla(name, value));
    } else if (client->engine->HasSetting(name)) {
      program_options.settings[name] = value;
    } else {
      return InvalidArgument(StrCat("No such compile option: '", Printable(name), "'"));
    }
  }
  program_options.inspect = InspectSharding;
  ASSIGN_OR_RETURN(std::shared_ptr<const LoadedProgram> loaded,
                   client->engine->Compile(module, program_options));
  return std::make_shared<const ProgramInfo>(std::move(loaded), std::move(parsed),
                                             std::string(options));
}

// Layout: magic, u64 size of the options, the options, what the engine made.
Result<std::string> SerializeProgram(const ProgramInfo& info) {
  ASSIGN_OR_RETURN(const std::string program, info.program->Serialize());
  std::string out(kMagic);
  const uint64_t size = info.options_bytes.size();
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(size >> (8 * i)));
  return out + info.options_bytes + program;
}

Result<std::shared_ptr<const ProgramInfo>> DeserializeProgram(abi::Client* client,
                                                              std::string_view bytes) {
  if (!bytes.starts_with(kMagic) || bytes.size() < kMagic.size() + 8) {
    return InvalidArgument("these bytes are no executable that this plugin serialized");
  }
  bytes.remove_prefix(kMagic.size());
  uint64_t size = 0;
  for (size_t i = 0; i < 8; ++i) {
    size |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
  }
  bytes.remove_prefix(8);
  if (size > bytes.size()) return DataLoss("a serialized executable is cut short");
  ASSIGN_OR_RETURN(HostCompileOptions options, ParseCompileOptions(bytes.substr(0, size)));
  ASSIGN_OR_RETURN(std::shared_ptr<const LoadedProgram> loaded,
                   client->engine->Load(bytes.substr(size)));
  if (!Fit(loaded->orders().inputs, loaded->signature().inputs) ||
      !Fit(loaded->orders().outputs, loaded->signature().outputs)) {
    return DataLoss("a serialized executable holds layouts that do not fit its arrays");
  }
  return std::make_shared<const ProgramInfo>(std::move(loaded), std::move(options),
                                             std::string(bytes.substr(0, size)));
}

Result<abi::LoadedExecutable*> NewLoadedExecutable(abi::Client* client,
                                                   std::shared_ptr<const ProgramInfo> info) {
  auto made = std::make_unique<abi::LoadedExecutable>();
  made->client = client;
  for (const std::vector<int64_t>& replicas : info->options.device_assignment) {
    for (const int64_t id : replicas) {
      if (id < 0 || static_cast<size_t>(id) >= client->devices.size()) {
        return InvalidArgument(StrCat("the program is for device ", id, "; this client has ",
                                      client->devices.size(), " devices (option num_devices)"));
      }
      made->devices.push_back(client->devices[static_cast<size_t>(id)]);
    }
  }
  made->info = std::move(info);
  return made.release();
}

EventPtr LaunchNow(const abi::LoadedExecutable& executable, abi::Device* device,
                   std::span<abi::Buffer* const> arguments, abi::Buffer** outputs) {
  const ProgramInfo& info = *executable.info;
  const LoadedProgram& program = *info.program;
  if (!info.runs_at_once || !device->queue->idle()) return nullptr;
  if (arguments.size() != info.inputs.size()) return nullptr;
  std::vector<ArrayPtr> inputs(arguments.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (arguments[i]->spec != info.inputs[i]) return nullptr;
    if (!SameOrder(arguments[i]->order, info.input_orders[i])) return nullptr;
    inputs[i] = arguments[i]->IfExists();
    if (inputs[i] == nullptr) return nullptr;
  }
  auto made = program.Run(device->description->id, std::move(inputs), program.donated());
  for (size_t i = 0; i < info.outputs.size(); ++i) {
    const TensorSpec& spec = info.outputs[i];
    ValuePtr value =
        made.ok() ? std::make_shared<Value>(std::move((*made)[i])) : std::make_shared<Value>();
    if (!made.ok()) value->Fail(made.status());
    value->Count(device->count,
                 tensor::NumElements(spec.shape).value_or(0) * ByteWidth(spec.dtype));
    outputs[i] = NewBuffer(device->memories[0], spec, std::move(value), program.token_outputs()[i],
                           info.output_orders[i]);
  }
  if (made.ok()) return DoneEvent();
  auto failed = std::make_shared<EventState>();
  failed->Set(made.status());
  return failed;
}

Result<EventPtr> Launch(const abi::LoadedExecutable& executable,
                        std::span<abi::Device* const> devices,
                        std::span<const std::span<abi::Buffer* const>> arguments,
                        std::span<const int64_t> keep,
                        std::vector<std::vector<abi::Buffer*>>* outputs) {
  const LoadedProgram& program = *executable.info->program;
  Arguments collected;
  for (const std::span<abi::Buffer* const>& list : arguments) {
    RETURN_IF_ERROR(Collect(*executable.info, list, keep, &collected));
  }
  abi::Device* const first = devices[0];
  bool ready = first->queue->idle();
  for (const ValuePtr& v : collected.values) ready = ready && v->named()->ready();
  for (const std::span<abi::Buffer* const>& list : arguments) {
    for (size_t i = 0; i < list.size(); ++i) {
      if (!collected.given[i]) continue;
      if (const ValuePtr value = list[i]->Take(); value != nullptr) value->CountNoMore();
    }
  }
  Work work{executable.info, first->description->id, std::move(collected), {}, nullptr};
  const std::vector<TensorSpec>& specs = executable.info->outputs;
  work.results.reserve(specs.size() * devices.size());
  for (abi::Device* device : devices) {
    std::vector<abi::Buffer*>& made = outputs->emplace_back();
    for (size_t i = 0; i < specs.size(); ++i) {
      auto value = std::make_shared<Value>(program.starts_only());
      value->Count(device->count,
                   tensor::NumElements(specs[i].shape).value_or(0) * ByteWidth(specs[i].dtype));
      made.push_back(NewBuffer(device->memories[0], specs[i], value, program.token_outputs()[i],
                               executable.info->output_orders[i]));
      work.results.push_back(std::move(value));
    }
  }
  const bool quick = program.starts_only() ||
                     (SecondsOf(program.cost()) < kInlineSeconds && !program.calls_host());
  if (first->queue->inside() || (ready && quick)) {
    const Status s = work.TryRun();
    if (s.ok()) return work.Done();
    for (const ValuePtr& r : work.results) r->Fail(s);
    auto failed = std::make_shared<EventState>();
    failed->Set(s);
    return failed;
  }
  work.done = std::make_shared<EventState>();
  EventPtr done = work.done;
  auto shared = std::make_shared<Work>(std::move(work));
  first->queue->Push([shared] { shared->Run(); });
  return done;
}

}  // namespace megalith::pjrt
