#include "common/programs/stablehlo/donation.h"

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::stablehlo {
namespace {

Result<uint32_t> ReadIndex(std::string_view text) {
  const auto n = ParseUint(text);
  if (!n || *n >= UINT32_MAX) {
    return InvalidArgument(StrCat("setting donate holds '", Printable(text),
                                  "', wanted a list like 0:1,3 of inputs and their outputs"));
  }
  return static_cast<uint32_t>(*n);
}

}  // namespace

std::vector<DonatedInput> DonatedInputs(const Func& entry) {
  std::vector<DonatedInput> donated;
  std::vector<int64_t> outputs;
  for (uint32_t i = 0; i < entry.arg_attrs.size() && i < entry.body.args.size(); ++i) {
    DonatedInput d{i, UINT32_MAX};
    const Attr& alias = FindAttr(entry.arg_attrs[i], "tf.aliasing_output");
    if (!alias.present() && !FindAttr(entry.arg_attrs[i], "jax.buffer_donor").present()) continue;
    if (alias.kind() == AttrKind::kInt) {
      const int64_t output = alias.AsInt();
      const bool sound = output >= 0 && static_cast<size_t>(output) < entry.results.size() &&
                         std::ranges::find(outputs, output) == outputs.end();
      if (sound) {
        outputs.push_back(output);
        d.output = static_cast<uint32_t>(output);
      }
    }
    donated.push_back(d);
  }
  return donated;
}

std::string DonateText(const std::vector<DonatedInput>& donated) {
  std::string text;
  for (const DonatedInput& d : donated) {
    StrAppend(&text, text.empty() ? "" : ",", d.input);
    if (d.output != UINT32_MAX) StrAppend(&text, ":", d.output);
  }
  return text;
}

Result<std::vector<DonatedInput>> ReadDonate(std::string_view text) {
  std::vector<DonatedInput> donated;
  if (text.empty()) return donated;
  for (const std::string_view item : Split(text, ',')) {
    const size_t colon = item.find(':');
    DonatedInput d;
    ASSIGN_OR_RETURN(d.input, ReadIndex(item.substr(0, colon)));
    if (colon != std::string_view::npos) {
      ASSIGN_OR_RETURN(d.output, ReadIndex(item.substr(colon + 1)));
    }
    donated.push_back(d);
  }
  std::vector<uint32_t> inputs, outputs;
  for (const DonatedInput& d : donated) {
    inputs.push_back(d.input);
    if (d.output != UINT32_MAX) outputs.push_back(d.output);
  }
  for (auto* list : {&inputs, &outputs}) {
    std::ranges::sort(*list);
    if (std::ranges::adjacent_find(*list) != list->end()) {
      return InvalidArgument(StrCat("setting donate names an ",
                                    list == &inputs ? "input" : "output", " twice: '",
                                    Printable(text), "'"));
    }
  }
  return donated;
}

}  // namespace megalith::stablehlo
