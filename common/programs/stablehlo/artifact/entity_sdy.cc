// Attributes of the sdy dialect, which say where data lies on several devices: kept as their text.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/codes.h"
#include "common/programs/stablehlo/artifact/entities.h"
#include "common/programs/stablehlo/text.h"

namespace megalith::stablehlo::artifact {
namespace {

constexpr std::string_view kShardingPrefix = "#sdy.sharding";

std::string Quoted(std::string_view name) {
  std::string out;
  stablehlo::PrintAttribute(Attr::String(name), false, &out);
  return out;
}

// The text of a child; a mesh is named by a symbol or stands there itself, a manual axis by a
// string.
std::string TextOf(const Attr& a) {
  if (a.kind() == AttrKind::kString) return Quoted(a.AsText());
  if (a.kind() == AttrKind::kOpaque) return a.AsText();
  if (a.kind() != AttrKind::kSymbol) return "";
  std::string out;
  stablehlo::PrintSymbol(a.AsText(), &out);
  return out;
}

// Factors of a sharding rule are i, j, ... z, z_1, z_2, ...
std::string FactorName(int64_t i) {
  if (i < 0) return "?";
  const int64_t letter = std::min<int64_t>(i, 'z' - 'i');
  std::string out(1, static_cast<char>('i' + letter));
  if (i > letter) StrAppend(&out, "_", i - letter);
  return out;
}

std::string FactorNames(const Dims& factors, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < factors.size(); ++i)
    StrAppend(&out, i == 0 ? "" : separator, FactorName(factors[i]));
  return out;
}

}  // namespace

Result<std::string> Entities::JoinedTexts(Cursor& in, Slot* parent) {
  ASSIGN_OR_RETURN(const uint64_t n, in.Count());
  std::string out;
  for (uint64_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(const Attr item, Child(in, parent));
    std::string text = TextOf(item);
    if (text.starts_with(kShardingPrefix)) text.erase(0, kShardingPrefix.size());
    RETURN_IF_ERROR(Charge(text.size()));
    StrAppend(&out, i == 0 ? "" : ", ", text);
  }
  return out;
}

Status Entities::DecodeSdy(Cursor& in, uint64_t code, Slot* out) {
  const auto set = [&](std::string text) {
    out->weight += text.size();
    out->value = Attr::Opaque(text);
    return OkStatus();
  };
  switch (code) {
    case sdy::kManualAxes: {
      ASSIGN_OR_RETURN(const std::string axes, JoinedTexts(in, out));
      return set(StrCat("#sdy<manual_axes{", axes, "}>"));
    }
    case sdy::kMeshAxis: {
      ASSIGN_OR_RETURN(const uint32_t name, in.Index(file_.strings.size(), "strings"));
      ASSIGN_OR_RETURN(const int64_t size, in.SignedVarint());
      out->devices = size < 1 ? 0 : static_cast<uint64_t>(size);
      return set(StrCat(Quoted(file_.strings[name]), "=", size));
    }
    case sdy::kMesh: {
      ASSIGN_OR_RETURN(const std::string axes, JoinedTexts(in, out));
      ASSIGN_OR_RETURN(const Dims ids, ReadDims(in));
      std::string text = StrCat("<[", axes, "]");
      if (!ids.empty()) {
        text += ", device_ids=";
        stablehlo::PrintDims(ids, &text);
      }
      return set(text + ">");
    }
    case sdy::kSubAxis: {
      ASSIGN_OR_RETURN(const int64_t before, in.SignedVarint());
      ASSIGN_OR_RETURN(const int64_t size, in.SignedVarint());
      return set(StrCat(":(", before, ")", size));
    }
    case sdy::kAxisRef: {
      ASSIGN_OR_RETURN(const uint32_t name, in.Index(file_.strings.size(), "strings"));
      ASSIGN_OR_RETURN(const Flagged part, in.FlaggedVarint());
      std::string text = Quoted(file_.strings[name]);
      if (part.flag) {
        if (part.value >= attributes_.size()) return in.Error("a part of an axis that is missing");
        ASSIGN_OR_RETURN(const Slot* slot, Resolve(static_cast<uint32_t>(part.value)));
        text += TextOf(slot->value);
      }
      return set(std::move(text));
    }
    case sdy::kDimSharding: {
      ASSIGN_OR_RETURN(const std::string axes, JoinedTexts(in, out));
      ASSIGN_OR_RETURN(const uint8_t closed, in.Byte());
      ASSIGN_OR_RETURN(const Flagged priority, in.FlaggedVarint());
      std::string text = StrCat("{", axes);
      if (closed == 0) text += axes.empty() ? "?" : ", ?";
      text += "}";
      if (priority.flag) StrAppend(&text, "p", priority.value);
      return set(std::move(text));
    }
    case sdy::kSharding:
    case sdy::kUnreducedSharding:
    case sdy::kReducingSharding: {
      ASSIGN_OR_RETURN(const Attr mesh, Child(in, out));
      std::string text = StrCat(kShardingPrefix, "<",
                                mesh.kind() == AttrKind::kSymbol ? "" : "mesh", TextOf(mesh));
      ASSIGN_OR_RETURN(const std::string dims, JoinedTexts(in, out));
      StrAppend(&text, ", [", dims, "]");
      ASSIGN_OR_RETURN(const std::string replicated, JoinedTexts(in, out));
      if (!replicated.empty()) StrAppend(&text, ", replicated={", replicated, "}");
      if (code != sdy::kSharding) {
        ASSIGN_OR_RETURN(const std::string unreduced, JoinedTexts(in, out));
        if (!unreduced.empty()) StrAppend(&text, ", unreduced={", unreduced, "}");
      }
      if (code == sdy::kReducingSharding)
        RETURN_IF_ERROR(internal::StatusOf(in.SignedVarint()));  // the reduction
      return set(text + ">");
    }
    case sdy::kShardingPerValue:
    case sdy::kUnreducedShardingPerValue: {
      ASSIGN_OR_RETURN(const std::string each, JoinedTexts(in, out));
      return set(StrCat("#sdy.sharding_per_value<[", each, "]>"));
    }
    case sdy::kDimMapping: {
      ASSIGN_OR_RETURN(const Dims factors, ReadDims(in));
      return set(FactorNames(factors, ""));
    }
    case sdy::kTensorMapping: {
      ASSIGN_OR_RETURN(const std::string dims, JoinedTexts(in, out));
      return set(StrCat("[", dims, "]"));
    }
    case sdy::kShardingRule:
      return DecodeShardingRule(in, out);
    default:  // parameters of collectives: absent, like other unknown kinds
      return internal::StatusOf(in.Raw(in.left()));
  }
}

// <([i, j])->([i]) {i=4, j=4} reduction={j}, custom>
Status Entities::DecodeShardingRule(Cursor& in, Slot* out) {
  ASSIGN_OR_RETURN(const Dims sizes, ReadDims(in));
  ASSIGN_OR_RETURN(const std::string operands, JoinedTexts(in, out));
  ASSIGN_OR_RETURN(const std::string results, JoinedTexts(in, out));
  std::string text = StrCat("#sdy.op_sharding_rule<(", operands, ")->(", results, ")");
  for (size_t i = 0; i < sizes.size(); ++i)
    StrAppend(&text, i == 0 ? " {" : ", ", FactorName(static_cast<int64_t>(i)), "=", sizes[i]);
  if (!sizes.empty()) text += "}";
  for (const std::string_view kind :
       {"reduction", "need_replication", "permutation", "blocked_propagation"}) {
    ASSIGN_OR_RETURN(const Dims factors, ReadDims(in));
    if (!factors.empty()) StrAppend(&text, " ", kind, "={", FactorNames(factors, ", "), "}");
  }
  ASSIGN_OR_RETURN(const uint8_t custom, in.Byte());
  text += custom != 0 ? ", custom>" : ">";
  out->weight += text.size();
  out->value = Attr::Opaque(text);
  return OkStatus();
}

}  // namespace megalith::stablehlo::artifact
