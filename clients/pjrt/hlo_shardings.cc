#include "clients/pjrt/hlo_shardings.h"

#include <cstdint>

#include "clients/pjrt/proto_writer.h"

namespace megalith::pjrt {
namespace {

// xla.OpSharding: the devices tile by tile, behind the tiles those of terms of a sum and of copies.
ProtoWriter Encode(const PlacedArray& array, int devices) {
  constexpr int64_t kTiled = 3, kReplicated = 0, kUnreduced = 6;
  const int64_t terms = array.sharding.Terms();
  if (array.sharding.IsReplicated() && terms == 1) return {};
  std::vector<int64_t> dims;
  int64_t cells = 1;
  for (size_t d = 0; d < array.rank; ++d) {
    dims.push_back(array.sharding.Parts(d));
    cells *= dims.back();
  }
  if (terms > 1) {
    dims.push_back(terms);
    cells *= terms;
  }
  std::vector<std::vector<int64_t>> by_cell(static_cast<size_t>(cells));
  for (int64_t device = 0; device < devices; ++device) {
    int64_t cell = 0;
    for (size_t d = 0; d < array.rank; ++d) {
      cell = cell * dims[d] + array.sharding.PartOf(d, device);
    }
    cell = cell * terms + array.sharding.TermOf(device);
    by_cell[static_cast<size_t>(cell)].push_back(device);
  }
  const bool copies = devices != cells;
  if (copies) dims.push_back(devices / cells);
  std::vector<int64_t> order;
  for (const std::vector<int64_t>& cell : by_cell) {
    order.insert(order.end(), cell.begin(), cell.end());
  }
  ProtoWriter sharding;
  sharding.Int(1, kTiled).Ints(3, dims).Ints(4, order);
  if (terms == 1) return copies ? sharding.Int(6, 1) : sharding;
  std::vector<int64_t> last = {kUnreduced};
  if (copies) last.push_back(kReplicated);
  return sharding.Ints(8, last);
}

}  // namespace

std::string EncodeSharding(const PlacedArray& array, int devices) {
  return Encode(array, devices).bytes();
}

std::string EncodeManualSharding() {
  constexpr int64_t kManual = 4;
  return ProtoWriter().Int(1, kManual).bytes();
}

std::string EncodeShardings(const std::vector<PlacedArray>& inputs,
                            const std::vector<PlacedArray>& outputs, int devices) {
  constexpr int64_t kTuple = 2;
  ProtoWriter of_outputs;
  if (outputs.size() == 1) {
    of_outputs = Encode(outputs[0], devices);
  } else if (!outputs.empty()) {
    of_outputs.Int(1, kTuple);
    for (const PlacedArray& o : outputs) of_outputs.Message(5, Encode(o, devices));
  }
  ProtoWriter fields;
  fields.Message(12, of_outputs);
  for (const PlacedArray& i : inputs) fields.Message(14, Encode(i, devices));
  return fields.bytes();
}

}  // namespace megalith::pjrt
