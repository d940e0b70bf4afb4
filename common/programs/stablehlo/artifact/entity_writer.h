// Collects the strings, types, attributes, operation names and properties of an artifact, each
// once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/artifact/sink.h"
#include "common/programs/stablehlo/artifact/vhlo_table.h"
#include "common/programs/stablehlo/attr.h"

namespace megalith::stablehlo::artifact {

enum class Dialect : uint8_t { kBuiltin = 0, kVhlo = 1 };

// Bytes, each string once, in the order of first use.
class Interner {
 public:
  uint32_t Add(std::string bytes);
  const std::vector<std::string>& items() const { return items_; }

 private:
  std::vector<std::string> items_;
  std::unordered_map<std::string, uint32_t> index_;
};

// One per artifact; not thread-safe. Methods give the index of what they add.
class EntityWriter {
 public:
  explicit EntityWriter(Version version) : version_(version) {}

  // Errors: kUnimplemented (a type or value that artifacts do not have), kFailedPrecondition (one
  // that this version does not have).
  Result<uint32_t> Type(const stablehlo::TensorType& type);
  Result<uint32_t> Function(const stablehlo::FuncType& type);
  Result<uint32_t> Attribute(const stablehlo::Attr& attr);
  // The attribute of custom calls that is a number elsewhere.
  uint32_t ApiVersion(int64_t version);
  // A builtin dictionary: of vhlo attributes, or of builtin ones as modules have. What artifacts
  // cannot hold (text of other dialects) is left out.
  Result<uint32_t> Dictionary(const stablehlo::AttrDict& dict, Dialect values);
  // The same of values that are added already.
  uint32_t DictionaryOf(const std::vector<std::pair<std::string, uint32_t>>& entries);
  uint32_t BuiltinString(std::string_view text);
  uint32_t UnknownLocation();

  uint32_t OpName(Dialect dialect, std::string_view name);
  uint32_t Properties(std::string bytes) { return properties_.Add(std::move(bytes)); }

  // Payloads of the sections, in bytecode of `version`.
  std::string StringSection() const;
  std::string DialectSection(uint64_t version);
  std::string OffsetSection() const;
  std::string DataSection() const;
  std::string PropertySection() const;

 private:
  uint32_t String(std::string_view s) { return strings_.Add(std::string(s)); }
  uint32_t AddAttr(Dialect dialect, const Sink& bytes);
  uint32_t AddType(Dialect dialect, const Sink& bytes);
  Result<uint32_t> Element(stablehlo::DType dtype);
  uint32_t TypeCode(uint64_t code);
  uint32_t BuiltinInteger(int width, bool is_unsigned);
  Result<uint32_t> Builtin(const stablehlo::Attr& attr);
  Status DenseBytes(const stablehlo::Dense& dense, Sink* out);
  Status Number(const stablehlo::Attr& attr, Sink* out);
  Status EncodeTypeAttr(const stablehlo::Attr& attr, Sink* out);
  Status EncodeList(const std::vector<stablehlo::Attr>& items, Sink* out);
  Status Encode(const stablehlo::Attr& attr, Sink* out);
  Status Require(Version since, std::string_view what) const;

  Version version_;
  // Attributes, types and names carry their dialect in a first byte.
  Interner strings_, attributes_, types_, op_names_, properties_;
};

}  // namespace megalith::stablehlo::artifact
