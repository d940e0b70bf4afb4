#include "common/learning/embedding/server/dense_store.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/crc32c.h"
#include "common/foundation/base/nearest_name.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/learning_rate.h"

namespace megalith::embedding {
namespace {

// Persistent: never change.
constexpr std::string_view kMagic = "MGLDENS1";
constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxRank = 8;
// Elements of one server's part; with state a few times as many floats.
constexpr int64_t kMaxElements = int64_t{1} << 32;

Status CheckName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || FindInvalidUtf8(name)) {
    return InvalidArgument(StrCat("a variable's name is text of 1 to ", kMaxNameBytes, " bytes"));
  }
  return OkStatus();
}

// Elements of one row, with rows and ranges checked.
Result<int64_t> RowElements(const DenseConfig& config) {
  if (config.shape.size() > kMaxRank) {
    return InvalidArgument(StrCat("the shape has ", config.shape.size(), " axes, at most ",
                                  kMaxRank, " are admitted"));
  }
  const int64_t rows = config.shape.empty() ? 1 : config.shape[0];
  if (config.row_begin < 0 || config.row_end < config.row_begin || config.row_end > rows) {
    return InvalidArgument(StrCat("rows [", config.row_begin, ", ", config.row_end,
                                  ") are no range of ", rows, " rows"));
  }
  int64_t elements = 1;
  for (size_t i = 0; i < config.shape.size(); ++i) {
    const int64_t size = config.shape[i];
    if (size < 0) return InvalidArgument(StrCat("axis ", i, " has size ", size));
    if (i == 0) continue;
    if (size != 0 && elements > kMaxElements / size) {
      return InvalidArgument(StrCat("a row has more than ", kMaxElements, " elements"));
    }
    elements *= size;
  }
  const int64_t held = config.row_end - config.row_begin;
  if (elements != 0 && held > kMaxElements / elements) {
    return ResourceExhausted(
        StrCat("the rows held have more than ", kMaxElements, " elements; use more servers"));
  }
  return elements;
}

}  // namespace

RowRange RowsOfPart(int64_t rows, int index, int parts) {
  const int64_t each = rows / parts;
  const int64_t more = rows % parts;
  const int64_t begin = each * index + std::min<int64_t>(index, more);
  return {begin, begin + each + (index < more ? 1 : 0)};
}

struct DenseStore::Entry {
  DenseConfig config;
  const OptimizerDef* optimizer = nullptr;
  Params params;
  Leveled<bool, RowStep>::Function step = nullptr;
  // Runs of elements that take a step together: rows where an element's step depends on the
  // others', else everything at once.
  int64_t runs = 0;
  int64_t run_elements = 0;
  size_t run_state = 0;  // bytes

  std::mutex mu;
  std::shared_ptr<DenseState> state;  // guarded by mu; written only while nobody else has it

  size_t elements() const { return static_cast<size_t>(runs * run_elements); }
  uint64_t bytes() const {
    return static_cast<uint64_t>(runs) *
           (static_cast<uint64_t>(run_elements) * sizeof(float) + run_state);
  }
  // The state, nobody else's. Requires mu.
  DenseState& Own() {
    if (state.use_count() > 1) {
      state = std::make_shared<DenseState>(*state);
    } else {
      // What the last reader read comes before what is written now: to give up a reference acquires
      // what others released with theirs.
      std::shared_ptr<DenseState>(state).reset();
    }
    return *state;
  }
  float LearningRate(const DenseGradient& gradient) const {
    if (gradient.has_learning_rate) return gradient.learning_rate;
    const auto field = [this](int index) { return params.d[static_cast<size_t>(index)]; };
    if (optimizer->learning_rate_field < 0) return 0;
    const int warmup = optimizer->warmup_field;
    return WarmedUp(params.f[static_cast<size_t>(optimizer->learning_rate_field)],
                    warmup < 0 ? 0 : static_cast<int64_t>(field(warmup)), gradient.global_step);
  }
};

Result<std::shared_ptr<DenseStore::Entry>> DenseStore::MakeEntry(const DenseConfig& config,
                                                                 std::span<const float> initial,
                                                                 uint64_t room) {
  ASSIGN_OR_RETURN(const int64_t row, RowElements(config));
  auto entry = std::make_shared<Entry>();
  entry->config = config;
  ASSIGN_OR_RETURN(entry->optimizer, FindRecord(Optimizers(), config.optimizer.name, "optimizer"));
  const OptimizerDef& def = *entry->optimizer;
  if (!def.step) {
    return InvalidArgument(StrCat("optimizer '", def.name,
                                  "' needs the rows gradients came from; dense variables "
                                  "take one that stands alone"));
  }
  if (!config.optimizer.base.empty()) {
    return InvalidArgument(StrCat("optimizer '", def.name, "' wraps no other, got a base"));
  }
  ASSIGN_OR_RETURN(entry->params, BindFields(config.optimizer, def.fields));
  if (def.check != nullptr) RETURN_IF_ERROR(def.check(entry->params).Annotate(def.name));
  entry->step = def.step.Best();
  const int64_t held = config.row_end - config.row_begin;
  const bool by_row = def.whole_row || def.max_dim < row * held;
  entry->runs = by_row ? held : std::min<int64_t>(held, 1);
  entry->run_elements = by_row ? row : row * held;
  if (entry->run_elements > def.max_dim) {
    return InvalidArgument(StrCat("optimizer '", def.name, "' takes rows of ", def.max_dim,
                                  " elements at most, got ", row));
  }
  if (entry->run_elements == 0) entry->runs = 0;
  entry->run_state = StateBytes(def, entry->run_elements);
  const size_t elements = entry->elements();
  if (!initial.empty() && initial.size() != elements) {
    return InvalidArgument(
        StrCat("the rows held have ", elements, " values, got ", initial.size()));
  }
  if (!AllFinite(initial)) return InvalidArgument("an initial value is not finite");
  if (entry->bytes() > room) {
    return ResourceExhausted(
        StrCat("it needs ", entry->bytes(), " bytes, and of max_dense_bytes ", room, " are left"));
  }
  entry->state = std::make_shared<DenseState>();
  entry->state->values.assign(initial.begin(), initial.end());
  entry->state->values.resize(elements);
  entry->state->state.resize(static_cast<size_t>(entry->runs) * entry->run_state);
  for (int64_t i = 0; i < entry->runs; ++i) {
    InitState(def, entry->params, entry->run_elements,
              entry->state->state.data() + static_cast<size_t>(i) * entry->run_state);
  }
  return entry;
}

Status DenseStore::Create(const std::string& name, const DenseConfig& config,
                          std::span<const float> initial) {
  RETURN_IF_ERROR(CheckName(name));
  const std::unique_lock lock(mu_);
  if (const auto found = entries_.find(name); found != entries_.end()) {
    if (found->second->config == config) return OkStatus();
    return Status(Code::kAlreadyExists,
                  StrCat("variable '", name, "' exists with another configuration; drop it first"));
  }
  if (entries_.size() >= options_.max_variables) {
    return ResourceExhausted(
        StrCat("the server has ", options_.max_variables, " variables, which is its limit"));
  }
  ASSIGN_OR_RETURN(
      std::shared_ptr<Entry> entry,
      MakeEntry(config, initial, options_.max_bytes - std::min(bytes_, options_.max_bytes))
          .Annotate(StrCat("variable '", name, "'")));
  bytes_ += entry->bytes();
  entries_.emplace(name, std::move(entry));
  return OkStatus();
}

Status DenseStore::Drop(const std::string& name) {
  RETURN_IF_ERROR(Find(name).status());
  const std::unique_lock lock(mu_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) return NotFound(StrCat("no variable '", Printable(name), "'"));
  bytes_ -= found->second->bytes();
  entries_.erase(found);
  return OkStatus();
}

Result<std::shared_ptr<DenseStore::Entry>> DenseStore::Find(std::string_view name) const {
  const std::shared_lock lock(mu_);
  const auto found = entries_.find(name);
  if (found != entries_.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, entry] : entries_) names.push_back(known);
  const std::string_view near = NearestName(name, names);
  return NotFound(near.empty()
                      ? StrCat("no variable '", Printable(name), "'")
                      : StrCat("no variable '", Printable(name), "'; is '", near, "' meant?"));
}

Result<DenseStore::Variable> DenseStore::Get(std::string_view name) const {
  ASSIGN_OR_RETURN(const std::shared_ptr<Entry> entry, Find(name));
  const std::lock_guard<std::mutex> lock(entry->mu);
  return Variable{entry->config, entry->state};
}

std::map<std::string, DenseStore::Variable> DenseStore::Snapshot() const {
  std::map<std::string, Variable> out;
  const std::shared_lock lock(mu_);
  for (const auto& [name, entry] : entries_) {
    const std::lock_guard<std::mutex> entry_lock(entry->mu);
    out.emplace(name, Variable{entry->config, entry->state});
  }
  return out;
}

Status DenseStore::Check(const std::string& name, const DenseGradient& gradient) const {
  ASSIGN_OR_RETURN(const std::shared_ptr<Entry> entry, Find(name));
  if (gradient.values.size() != entry->elements()) {
    return InvalidArgument(StrCat("variable '", name, "' has ", entry->elements(),
                                  " values here, got ", gradient.values.size(), " gradients"));
  }
  if (gradient.global_step < 0) return InvalidArgument("global_step is negative");
  if (gradient.has_learning_rate && !std::isfinite(gradient.learning_rate)) {
    return InvalidArgument("the learning rate is not finite");
  }
  if (gradient.non_finite == NonFinite::kReject && !AllFinite(gradient.values)) {
    return InvalidArgument(StrCat("variable '", name, "': gradient ",
                                  FirstNonFinite(gradient.values), " is not finite"));
  }
  return OkStatus();
}

Result<DenseStore::StepReport> DenseStore::Apply(const std::string& name,
                                                 const DenseGradient& gradient) {
  RETURN_IF_ERROR(Check(name, gradient));
  ASSIGN_OR_RETURN(const std::shared_ptr<Entry> entry, Find(name));
  StepReport report;
  std::vector<float> clipped;
  std::span<const float> values = gradient.values;
  const bool finite = AllFinite(values);
  if (!finite && gradient.non_finite == NonFinite::kClip) {
    for (const float v : values) {
      report.non_finite += std::isfinite(v) ? 0 : 1;
      clipped.push_back(std::isnan(v) ? 0.0F
                                      : std::clamp(v, std::numeric_limits<float>::lowest(),
                                                   std::numeric_limits<float>::max()));
    }
    values = clipped;
  }
  const float rate = entry->LearningRate(gradient);
  const std::lock_guard<std::mutex> lock(entry->mu);
  if (!finite && gradient.non_finite == NonFinite::kSkip) {
    report.non_finite = 1;
    report.updates = entry->state->updates;
    return report;
  }
  DenseState& own = entry->Own();
  for (int64_t i = 0; i < entry->runs; ++i) {
    const auto at = static_cast<size_t>(i * entry->run_elements);
    report.guarded |=
        entry->step({.weights = own.values.data() + at,
                     .gradient = values.data() + at,
                     .state = own.state.data() + static_cast<size_t>(i) * entry->run_state,
                     .dim = entry->run_elements,
                     .learning_rate = rate,
                     .global_step = gradient.global_step,
                     .monolith = entry->config.compatibility == Compatibility::kMonolith,
                     .params = &entry->params});
  }
  report.updates = ++own.updates;
  return report;
}

Status DenseStore::Assign(const std::string& name, std::span<const float> values) {
  RETURN_IF_ERROR(Check(name, {.values = values}));
  ASSIGN_OR_RETURN(const std::shared_ptr<Entry> entry, Find(name));
  const std::lock_guard<std::mutex> lock(entry->mu);
  DenseState& own = entry->Own();
  std::copy(values.begin(), values.end(), own.values.begin());
  ++own.updates;
  return OkStatus();
}

uint64_t DenseStore::bytes() const {
  const std::shared_lock lock(mu_);
  return bytes_;
}

// --- bytes ---

std::string DenseStore::Encode(const std::map<std::string, Variable>& variables) {
  ByteWriter out;
  out.Raw(kMagic);
  out.U64(variables.size());
  for (const auto& [name, variable] : variables) {
    const DenseConfig& config = variable.config;
    out.Sized(name);
    out.U64(config.shape.size());
    for (const int64_t size : config.shape) out.I64(size);
    out.I64(config.row_begin);
    out.I64(config.row_end);
    out.U8(config.compatibility == Compatibility::kMonolith ? 1 : 0);
    out.Sized(config.optimizer.name);
    out.U64(config.optimizer.fields.size());
    for (const auto& [field, value] : config.optimizer.fields) {
      out.Sized(field);
      out.U64(std::bit_cast<uint64_t>(value));
    }
    const DenseState& state = *variable.state;
    out.I64(state.updates);
    out.Sized(
        {reinterpret_cast<const char*>(state.values.data()), state.values.size() * sizeof(float)});
    out.Sized({reinterpret_cast<const char*>(state.state.data()), state.state.size()});
  }
  out.U32(MaskCrc32c(Crc32c(out.data())));
  return out.Take();
}

namespace {

struct Decoded {
  std::string name;
  DenseConfig config;
  DenseState state;
};

Result<Decoded> DecodeOne(ByteReader& in) {
  Decoded out;
  ASSIGN_OR_RETURN(out.name, in.Sized());
  ASSIGN_OR_RETURN(const uint64_t rank, in.U64());
  if (rank > kMaxRank) return DataLoss(StrCat("a variable has ", rank, " axes"));
  for (uint64_t i = 0; i < rank; ++i) {
    ASSIGN_OR_RETURN(const uint64_t size, in.U64());
    out.config.shape.push_back(static_cast<int64_t>(size));
  }
  ASSIGN_OR_RETURN(const uint64_t begin, in.U64());
  ASSIGN_OR_RETURN(const uint64_t end, in.U64());
  ASSIGN_OR_RETURN(const uint8_t monolith, in.U8());
  out.config.row_begin = static_cast<int64_t>(begin);
  out.config.row_end = static_cast<int64_t>(end);
  out.config.compatibility = monolith != 0 ? Compatibility::kMonolith : Compatibility::kCorrected;
  ASSIGN_OR_RETURN(out.config.optimizer.name, in.Sized());
  ASSIGN_OR_RETURN(const uint64_t fields, in.U64());
  for (uint64_t i = 0; i < fields; ++i) {
    ASSIGN_OR_RETURN(const std::string_view field, in.Sized());
    ASSIGN_OR_RETURN(const uint64_t value, in.U64());
    out.config.optimizer.fields.emplace_back(field, std::bit_cast<double>(value));
  }
  ASSIGN_OR_RETURN(const uint64_t updates, in.U64());
  out.state.updates = static_cast<int64_t>(updates);
  ASSIGN_OR_RETURN(const std::string_view values, in.Sized());
  if (values.size() % sizeof(float) != 0) return DataLoss("values are no whole floats");
  out.state.values.resize(values.size() / sizeof(float));
  std::memcpy(out.state.values.data(), values.data(), values.size());
  ASSIGN_OR_RETURN(const std::string_view state, in.Sized());
  out.state.state.resize(state.size());
  std::memcpy(out.state.state.data(), state.data(), state.size());
  return out;
}

}  // namespace

Status DenseStore::Restore(std::string_view bytes) {
  ASSIGN_OR_RETURN(const std::function<void()> replace, PrepareRestore(bytes));
  replace();
  return OkStatus();
}

Result<std::function<void()>> DenseStore::PrepareRestore(std::string_view bytes) {
  constexpr size_t kCrcBytes = 4;
  if (bytes.size() < kMagic.size() + kCrcBytes || !bytes.starts_with(kMagic)) {
    return DataLoss("these bytes are no dense variables");
  }
  const std::string_view body = bytes.substr(0, bytes.size() - kCrcBytes);
  ByteReader crc(bytes.substr(body.size()));
  ASSIGN_OR_RETURN(const uint32_t masked, crc.U32());
  if (UnmaskCrc32c(masked) != Crc32c(body)) {
    return DataLoss("the dense variables fail their checksum");
  }
  ByteReader in(body.substr(kMagic.size()));
  ASSIGN_OR_RETURN(const uint64_t count, in.U64());
  const auto restored =
      std::make_shared<std::map<std::string, std::shared_ptr<Entry>, std::less<>>>();
  uint64_t total = 0;
  for (uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(Decoded decoded, DecodeOne(in));
    ASSIGN_OR_RETURN(std::shared_ptr<Entry> entry,
                     MakeEntry(decoded.config, decoded.state.values, options_.max_bytes - total)
                         .Annotate(StrCat("variable '", Printable(decoded.name), "'")));
    if (decoded.state.state.size() != entry->state->state.size() ||
        decoded.state.values.size() != entry->state->values.size()) {
      return DataLoss(StrCat("variable '", Printable(decoded.name), "' has values or state of ",
                             "another size than its shape"));
    }
    total += entry->bytes();
    entry->state = std::make_shared<DenseState>(std::move(decoded.state));
    restored->emplace(std::move(decoded.name), std::move(entry));
  }
  if (in.left() != 0) return DataLoss("the dense variables have bytes after their end");
  return std::function<void()>([this, restored, total] {
    const std::unique_lock lock(mu_);
    entries_.swap(*restored);
    bytes_ = total;
  });
}

}  // namespace megalith::embedding
