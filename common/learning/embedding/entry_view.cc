#include "common/learning/embedding/entry_view.h"

#include <algorithm>
#include <span>

#include "common/learning/embedding/optimizers/optimizer.h"
#include "common/learning/records/wire.h"

namespace megalith::embedding {
namespace {

using records::WireField;
using records::WireReader;
using records::WireType;

const OptimizerDef* FindOptimizer(uint32_t dump_number) {
  for (const OptimizerDef* optimizer : Optimizers()) {
    // Wrappers have the number of what they wrap, which comes by its own name.
    if (optimizer->dump_number == static_cast<int>(dump_number) && !optimizer->compensate)
      return optimizer;
  }
  return nullptr;
}

Status AppendState(const StateDef& def, const WireField& field, NamedState::Array* out) {
  if (def.kind == StateKind::kInt64) {
    RETURN_IF_ERROR(ExpectType(field, WireType::kVarint));
    out->values.push_back(static_cast<double>(static_cast<int64_t>(field.value)));
    return OkStatus();
  }
  std::vector<float> floats;
  RETURN_IF_ERROR(AppendFloats(field, &floats));
  out->values.insert(out->values.end(), floats.begin(), floats.end());
  return OkStatus();
}

// SingleOptimizerDump: one member, named by its number.
Status ReadSingle(std::string_view bytes, std::vector<NamedState>* out) {
  WireReader in(bytes);
  while (in.Next()) {
    RETURN_IF_ERROR(ExpectType(in.field(), WireType::kBytes));
    const OptimizerDef* optimizer = FindOptimizer(in.field().number);
    NamedState& state = out->emplace_back();
    state.optimizer = optimizer == nullptr ? "unknown" : optimizer->name;
    if (optimizer == nullptr) continue;
    for (const StateDef& def : optimizer->state) state.arrays.push_back({def.name, {}});
    WireReader fields(in.field().bytes);
    while (fields.Next()) {
      for (size_t i = 0; i < optimizer->state.size(); ++i) {
        const StateDef& def = optimizer->state[i];
        if (def.number == static_cast<int>(fields.field().number))
          RETURN_IF_ERROR(AppendState(def, fields.field(), &state.arrays[i]));
      }
    }
    RETURN_IF_ERROR(fields.status());
  }
  return in.status();
}

}  // namespace

Result<EntryView> ViewEntry(std::string_view dump) {
  EntryView out;
  WireReader in(dump);
  while (in.Next()) {
    const WireField& field = in.field();
    if (field.number == 1) {
      RETURN_IF_ERROR(ExpectType(field, WireType::kFixed64));
      out.fid = static_cast<Fid>(field.value);
    } else if (field.number == 2) {
      RETURN_IF_ERROR(AppendFloats(field, &out.values));
    } else if (field.number == 3) {
      RETURN_IF_ERROR(ExpectType(field, WireType::kBytes));
      WireReader list(field.bytes);
      while (list.Next()) {
        if (list.field().number != 1) continue;
        RETURN_IF_ERROR(ExpectType(list.field(), WireType::kBytes));
        RETURN_IF_ERROR(ReadSingle(list.field().bytes, &out.state));
      }
      RETURN_IF_ERROR(list.status());
    } else if (field.number == 4) {
      RETURN_IF_ERROR(ExpectType(field, WireType::kVarint));
      out.timestamp = static_cast<int64_t>(field.value);
    }
  }
  RETURN_IF_ERROR(in.status());
  return out;
}

}  // namespace megalith::embedding
