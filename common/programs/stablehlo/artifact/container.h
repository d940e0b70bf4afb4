// The outer layers of an MLIR bytecode file: sections, strings, names of dialects and operations,
// where attributes, types and properties lie, and the tree of operations. Knows no dialect.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/artifact/cursor.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::stablehlo::artifact {

// First bytes of MLIR bytecode, and the newest version of it that is read.
inline constexpr std::string_view kBytecodeMagic = "ML\xefR";
inline constexpr uint64_t kNewestBytecode = 6;
// From this version on, attributes that an operation defines are properties.
inline constexpr uint64_t kFirstWithProperties = 5;

struct OpName {
  std::string_view dialect;
  std::string_view name;  // without the dialect
};

// One attribute or type: its dialect and its bytes.
struct Entry {
  std::string_view dialect;
  std::string_view bytes;
  uint64_t offset = 0;   // in the file
  bool encoded = false;  // false: assembly text
};

struct RawOp;

// One region; `blocks` is 0 or 1 (more are refused).
struct RawRegion {
  bool has_block = false;
  std::vector<uint32_t> arg_types;
  uint32_t first_arg = 0;
  std::vector<RawOp> ops;
};

// Values are numbered over the whole file, each once, whatever scope it is in.
struct RawOp {
  uint32_t name = 0;
  uint32_t location = 0;
  uint64_t offset = 0;
  std::optional<uint32_t> dictionary, properties;
  std::vector<uint32_t> result_types;
  uint32_t first_result = 0;
  std::vector<uint32_t> operands;
  std::vector<RawRegion> regions;
};

// Views of the bytes, which must outlive it.
struct Container {
  uint64_t version = 0;
  std::string_view producer;
  std::vector<std::string_view> strings;
  std::vector<OpName> op_names;
  std::vector<Entry> attributes, types;
  std::vector<Entry> properties;  // without a dialect
  RawRegion top;
  uint32_t num_values = 0;
};

// Reads a whole file except for the contents of attributes, types and properties. Memory: linear in
// bytes.size(). Errors: kInvalidArgument (not MLIR bytecode, or damaged; names the offset),
// kFailedPrecondition (a newer version), kUnimplemented (several blocks in a region, successors),
// kResourceExhausted (a limit).
Result<Container> ReadContainer(std::string_view bytes, const stablehlo::Limits& limits);

}  // namespace megalith::stablehlo::artifact
