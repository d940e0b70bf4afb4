// Modules as bytes: the versioned encoding that canonical bytes use
// (docs/formats/canonical-stablehlo.md).
#pragma once

#include <string>
#include <string_view>

#include "common/programs/stablehlo/module.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::stablehlo {

// First bytes of an encoded module, and the version of what follows (persistent: never change; a
// new layout gets a new version).
inline constexpr std::string_view kCodecMagic = "MGSTBHLO";
inline constexpr uint64_t kCodecVersion = 1;

// Everything that has a meaning: functions, types, operations, regions, attributes. Not the
// module's name and attributes, function attributes, declarations and line numbers. Equal modules
// give equal bytes.
std::string EncodeModule(const Module& module);

// The module that was encoded, verified. Errors: kDataLoss (not an encoded module, or damaged; the
// message names the offset), kFailedPrecondition (another version), kUnimplemented (an op this
// build does not know), kResourceExhausted (a limit), kInvalidArgument (well-formed, but not a
// valid program).
Result<Module> DecodeModule(std::string_view bytes, const Limits& limits = {});

// One attribute in the same encoding; equal attributes give equal bytes.
void EncodeAttr(const Attr& attr, std::string* out);
void EncodeDict(const AttrDict& dict, std::string* out);
void EncodeType(const TensorType& type, std::string* out);
// Little-endian base-128.
void EncodeVarint(uint64_t v, std::string* out);

}  // namespace megalith::stablehlo
