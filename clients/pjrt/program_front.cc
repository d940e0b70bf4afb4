#include "clients/pjrt/program_front.h"

#include <utility>

#include "clients/pjrt/hlo_program.h"
#include "clients/pjrt/hlo_shardings.h"
#include "clients/pjrt/spmd_program.h"
#include "common/foundation/base/strings.h"
#include "common/programs/spmd/unroll.h"
#include "common/programs/stablehlo/artifact/artifact.h"
#include "common/programs/stablehlo/donation.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::pjrt {
namespace {

std::string FlagBytes(const std::vector<bool>& flags) {
  std::string bytes;
  for (const bool f : flags) bytes.push_back(f ? '\1' : '\0');
  return bytes;
}

std::vector<bool> FlagsOf(std::string_view bytes, size_t count) {
  std::vector<bool> flags;
  for (const char c : bytes) flags.push_back(c != 0);
  flags.resize(count, false);
  return flags;
}

void AppendSized(std::string_view bytes, std::string* out) {
  const auto size = static_cast<uint32_t>(bytes.size());
  for (int i = 0; i < 4; ++i) out->push_back(static_cast<char>(size >> (8 * i)));
  out->append(bytes);
}

Result<std::string_view> TakeSized(std::string_view* bytes) {
  if (bytes->size() < 4) return DataLoss("a serialized program is cut short");
  uint32_t size = 0;
  for (size_t i = 0; i < 4; ++i) {
    size |= static_cast<uint32_t>(static_cast<uint8_t>((*bytes)[i])) << (8 * i);
  }
  bytes->remove_prefix(4);
  if (size > bytes->size()) return DataLoss("a serialized program is cut short");
  const std::string_view out = bytes->substr(0, size);
  bytes->remove_prefix(size);
  return out;
}

std::string OrderBytes(const std::vector<Order>& orders) {
  std::string bytes;
  for (const Order& order : orders) {
    std::string dims;
    for (const int64_t d : order) dims.push_back(static_cast<char>(d));
    AppendSized(dims, &bytes);
  }
  return bytes;
}

Result<std::vector<Order>> OrdersOf(std::string_view bytes) {
  std::vector<Order> orders;
  while (!bytes.empty()) {
    ASSIGN_OR_RETURN(const std::string_view dims, TakeSized(&bytes));
    Order order;
    for (const char d : dims) order.push_back(static_cast<uint8_t>(d));
    if (!OrderOf(order, order.size()).ok()) {
      return DataLoss("a serialized program holds a layout that is none");
    }
    orders.push_back(std::move(order));
  }
  return orders;
}

// Inputs whose memory the program may use.
std::vector<bool> DonatedFlags(const stablehlo::Func& entry) {
  std::vector<bool> donated(entry.body.args.size(), false);
  for (const stablehlo::DonatedInput& d : stablehlo::DonatedInputs(entry)) donated[d.input] = true;
  return donated;
}

std::vector<bool> TokenOutputs(const stablehlo::Func& entry) {
  std::vector<bool> tokens;
  for (const stablehlo::TensorType& t : entry.results) tokens.push_back(t.is_token);
  return tokens;
}

// Where the parts of arrays of these types lie that are stored in these orders.
Result<std::vector<Placement>> PlacementsOf(const std::vector<stablehlo::TensorType>& types,
                                            const std::vector<spmd::Sharding>& shardings,
                                            const std::vector<Order>& orders, int devices) {
  std::vector<Placement> out;
  for (size_t i = 0; i < types.size(); ++i) {
    Placement p;
    p.whole = p.part = types[i].is_token ? Shape{0} : types[i].shape;
    for (int64_t d = 0; d < devices; ++d) {
      ASSIGN_OR_RETURN(spmd::Part part, spmd::PartOf(shardings[i], p.whole, d));
      if (shardings[i].Terms() > 1) {
        part.shape.insert(0, 1);
        part.start.insert(0, shardings[i].TermOf(d));
      }
      p.part = std::move(part.shape);
      p.start.push_back(std::move(part.start));
    }
    p.stacked = shardings[i].Terms() > 1;
    if (p.stacked) p.whole.insert(0, shardings[i].Terms());
    if (i < orders.size()) {
      p.whole = Stored(p.whole, orders[i]);
      p.part = Stored(p.part, orders[i]);
      for (Shape& start : p.start) start = Stored(start, orders[i]);
    }
    out.push_back(std::move(p));
  }
  return out;
}

std::vector<PlacedArray> Placed(const std::vector<stablehlo::TensorType>& types,
                                const std::vector<spmd::Sharding>& shardings) {
  std::vector<PlacedArray> out;
  for (size_t i = 0; i < types.size(); ++i) out.push_back({shardings[i], types[i].rank()});
  return out;
}

// Stores the arrays of the program of all devices in their orders, which it returns; `parts` are
// those that the arrays of devices have: an array of terms is one more dimension around them.
Result<Orders> StoreWhole(LayoutModes modes, spmd::Unrolled* unrolled, Orders* parts) {
  const auto stack = [](const std::vector<spmd::Sharding>& shardings, std::vector<Order>* orders) {
    for (size_t i = 0; i < orders->size(); ++i) {
      if (shardings[i].Terms() > 1) (*orders)[i] = Stacked((*orders)[i]);
    }
  };
  for (size_t i = 0; i < modes.free_outputs.size(); ++i) {
    if (unrolled->stored[i].Terms() > 1) modes.free_outputs[i] = false;
  }
  *parts = ChooseOrders(unrolled->module, modes);
  Orders whole = *parts;
  stack(unrolled->inputs, &whole.inputs);
  stack(unrolled->stored, &whole.outputs);
  if (!whole.empty()) RETURN_IF_ERROR(StoreInOrders(whole, &unrolled->module));
  return whole;
}

Status TellShardings(const std::vector<spmd::Inspection>& inspections,
                     const ProgramOptions& options) {
  for (const spmd::Inspection& i : inspections) {
    if (!options.inspect) {
      return Unimplemented("nobody can be told where a value lies (inspect_array_sharding)");
    }
    RETURN_IF_ERROR(options.inspect(
        i.id, i.manual ? EncodeManualSharding()
                       : EncodeSharding({i.sharding, i.rank}, options.num_partitions)));
  }
  return OkStatus();
}

}  // namespace

void AppendDescription(const Description& description, std::string* out) {
  AppendSized(description.name, out);
  AppendSized(FlagBytes(description.donated), out);
  AppendSized(FlagBytes(description.token_outputs), out);
  AppendSized(OrderBytes(description.orders.inputs), out);
  AppendSized(OrderBytes(description.orders.outputs), out);
  AppendSized(description.computations, out);
}

Result<Description> TakeDescription(std::string_view* serialized) {
  ASSIGN_OR_RETURN(const std::string_view name, TakeSized(serialized));
  ASSIGN_OR_RETURN(const std::string_view donated, TakeSized(serialized));
  ASSIGN_OR_RETURN(const std::string_view tokens, TakeSized(serialized));
  ASSIGN_OR_RETURN(const std::string_view inputs, TakeSized(serialized));
  ASSIGN_OR_RETURN(const std::string_view outputs, TakeSized(serialized));
  ASSIGN_OR_RETURN(const std::string_view computations, TakeSized(serialized));
  Description description{std::string(name),
                          FlagsOf(donated, donated.size()),
                          FlagsOf(tokens, tokens.size()),
                          {},
                          std::string(computations)};
  ASSIGN_OR_RETURN(description.orders.inputs, OrdersOf(inputs));
  ASSIGN_OR_RETURN(description.orders.outputs, OrdersOf(outputs));
  return description;
}

std::string DonationSetting(const stablehlo::Module& module) {
  const Result<const stablehlo::Func*> entry = module.Entry();
  return entry.ok() ? stablehlo::DonateText(stablehlo::DonatedInputs(**entry)) : "";
}

Result<std::shared_ptr<const LoadedProgram>> CompileFront(std::string_view module,
                                                          const ProgramOptions& options,
                                                          const CompileWhole& compile_whole) {
  if (options.num_replicas != 1) {
    return Unimplemented(StrCat("a program of ", options.num_replicas,
                                " replicas; several devices are partitions here (shard_map)"));
  }
  const bool text = !stablehlo::artifact::LooksLikeArtifact(module);
  ASSIGN_OR_RETURN(stablehlo::Module parsed, text ? stablehlo::ParseModule(module)
                                                  : stablehlo::artifact::ReadArtifact(module));
  ASSIGN_OR_RETURN(const stablehlo::Func* const entry, parsed.Entry());
  Description description{parsed.name, DonatedFlags(*entry), TokenOutputs(*entry), {}, {}};
  ASSIGN_OR_RETURN(const LayoutModes modes, LayoutModesOf(*entry));
  if (options.num_partitions == 1) {
    description.orders = ChooseOrders(parsed, modes);
    const bool same = description.orders.empty();
    if (!same) RETURN_IF_ERROR(StoreInOrders(description.orders, &parsed));
    description.computations = HloComputations(parsed);
    return compile_whole(parsed, same ? module : std::string_view(), std::move(description));
  }
  const std::vector<stablehlo::TensorType> input_types = entry->input_types();
  const std::vector<stablehlo::TensorType> output_types = entry->results;
  ASSIGN_OR_RETURN(spmd::Unrolled unrolled, spmd::Unroll(parsed, options.num_partitions));
  RETURN_IF_ERROR(TellShardings(unrolled.inspections, options));
  ASSIGN_OR_RETURN(const Orders orders, StoreWhole(modes, &unrolled, &description.orders));
  ASSIGN_OR_RETURN(
      std::vector<Placement> inputs,
      PlacementsOf(input_types, unrolled.inputs, orders.inputs, options.num_partitions));
  ASSIGN_OR_RETURN(
      std::vector<Placement> outputs,
      PlacementsOf(output_types, unrolled.stored, orders.outputs, options.num_partitions));
  description.computations = HloComputations(unrolled.module);
  ASSIGN_OR_RETURN(std::shared_ptr<const LoadedProgram> whole,
                   compile_whole(unrolled.module, {}, std::move(description)));
  std::string shardings =
      EncodeShardings(Placed(input_types, unrolled.inputs), Placed(output_types, unrolled.outputs),
                      options.num_partitions);
  return MakeSpmdProgram(std::move(whole), options.num_partitions, std::move(inputs),
                         std::move(outputs), std::move(shardings));
}

}  // namespace megalith::pjrt
