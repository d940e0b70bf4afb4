#include "common/learning/embedding/segment.h"

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/row_layout.h"

namespace megalith::embedding {
namespace {

template <typename Def>
Result<Params> BindRecord(const Def& def, const RuleConfig& config) {
  ASSIGN_OR_RETURN(const Params params, BindFields(config, def.fields));
  if (def.check != nullptr) RETURN_IF_ERROR(def.check(params).Annotate(def.name));
  return params;
}

Status BindOptimizer(const RuleConfig& config, Segment* segment) {
  ASSIGN_OR_RETURN(const OptimizerDef* def, FindRecord(Optimizers(), config.name, "optimizer"));
  const RuleConfig* inner = &config;
  if (def->compensate) {
    if (config.base.size() != 1) {
      return InvalidArgument(StrCat("optimizer '", def->name, "' wraps one other, its base; got ",
                                    config.base.size()));
    }
    segment->wrapper = def;
    ASSIGN_OR_RETURN(segment->wrapper_params, BindRecord(*def, config));
    inner = &config.base[0];
    ASSIGN_OR_RETURN(def, FindRecord(Optimizers(), inner->name, "optimizer"));
    if (def->compensate) {
      return InvalidArgument(StrCat("optimizer '", config.name, "' cannot wrap '", def->name, "'"));
    }
  }
  if (!inner->base.empty()) {
    return InvalidArgument(StrCat("optimizer '", def->name, "' wraps no other, got a base"));
  }
  if (segment->dim > def->max_dim) {
    return InvalidArgument(StrCat("optimizer '", def->name, "' takes segments of dim ",
                                  def->max_dim, " at most, got ", segment->dim));
  }
  segment->optimizer = def;
  segment->step = def->step.Best();
  ASSIGN_OR_RETURN(segment->optimizer_params, BindRecord(*def, *inner));
  return OkStatus();
}

Status CheckNoBase(const RuleConfig& config, std::string_view what) {
  if (config.base.empty()) return OkStatus();
  return InvalidArgument(StrCat(what, " '", config.name, "' wraps no other, got a base"));
}

Result<Segment> BindSegment(const SegmentConfig& config) {
  Segment out;
  if (config.dim < 1 || config.dim > RowLayout::kMaxDim) {
    return InvalidArgument(StrCat("dim is ", config.dim, ", wanted 1 to ", RowLayout::kMaxDim));
  }
  out.dim = config.dim;
  out.rounds_to_half = config.stochastic_rounding_float16;
  RETURN_IF_ERROR(BindOptimizer(config.optimizer, &out));
  RETURN_IF_ERROR(CheckNoBase(config.initializer, "initializer"));
  ASSIGN_OR_RETURN(out.initializer,
                   FindRecord(Initializers(), config.initializer.name, "initializer"));
  ASSIGN_OR_RETURN(out.initializer_params, BindRecord(*out.initializer, config.initializer));
  RETURN_IF_ERROR(CheckNoBase(config.compressor, "compressor"));
  ASSIGN_OR_RETURN(out.compressor, FindRecord(Compressors(), config.compressor.name, "compressor"));
  ASSIGN_OR_RETURN(out.compressor_params, BindFields(config.compressor, out.compressor->fields));
  return out;
}

}  // namespace

Result<std::vector<Segment>> BindSegments(const TableConfig& config) {
  if (config.segments.empty()) {
    return InvalidArgument("a table needs at least one segment, got none");
  }
  std::vector<Segment> out;
  int64_t dim = 0;
  size_t stored = 0;
  for (size_t i = 0; i < config.segments.size(); ++i) {
    Result<Segment> segment = BindSegment(config.segments[i]);
    if (!segment.ok()) return segment.status().Annotate(StrCat("segment ", i));
    segment->offset = dim;
    segment->stored_offset = stored;
    dim += segment->dim;
    if (dim > RowLayout::kMaxDim) {
      return InvalidArgument(StrCat("the segments' dims sum to more than ", RowLayout::kMaxDim));
    }
    stored += segment->compressor->bytes(segment->dim);
    out.push_back(*std::move(segment));
  }
  size_t state = static_cast<size_t>(dim) * sizeof(float);
  for (Segment& segment : out) {
    segment.state_offset = state;
    state += StateBytes(*segment.optimizer, segment.dim);
  }
  return out;
}

}  // namespace megalith::embedding
