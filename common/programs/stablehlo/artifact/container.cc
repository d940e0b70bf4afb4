#include "common/programs/stablehlo/artifact/container.h"

#include <array>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/artifact/raw_ops.h"

namespace megalith::stablehlo::artifact {
namespace {

// Persistent: never change.
enum SectionId : uint8_t {
  kStrings = 0,
  kDialects = 1,
  kData = 2,
  kOffsets = 3,
  kIr = 4,
  kResources = 5,
  kResourceOffsets = 6,
  kDialectVersions = 7,
  kProperties = 8,
  kNumSections = 9,
};
constexpr std::string_view kSectionNames[] = {
    "strings",   "dialects",         "attribute data",   "attribute offsets", "operations",
    "resources", "resource offsets", "dialect versions", "properties"};

struct Section {
  uint8_t id = 0;
  Cursor payload{""};
};

Result<Section> ReadSection(Cursor& in) {
  ASSIGN_OR_RETURN(const uint8_t head, in.Byte());
  Section out;
  out.id = head & 0x7F;
  if (out.id >= kNumSections) return in.Error(StrCat("unknown section ", int{out.id}));
  ASSIGN_OR_RETURN(const uint64_t length, in.Varint());
  if ((head & 0x80) != 0) {
    ASSIGN_OR_RETURN(const uint64_t alignment, in.Varint());
    if (alignment == 0 || (alignment & (alignment - 1)) != 0)
      return in.Error(StrCat("alignment ", alignment, " is no power of two"));
    while (in.offset() % alignment != 0) {
      ASSIGN_OR_RETURN(const uint8_t padding, in.Byte());
      if (padding != 0xCB) return in.Error("padding that is not 0xCB");
    }
  }
  ASSIGN_OR_RETURN(out.payload, in.Part(length));
  return out;
}

class ContainerReader {
 public:
  ContainerReader(std::string_view bytes, const stablehlo::Limits& limits)
      : in_(bytes), limits_(limits) {}

  Result<Container> Run() {
    RETURN_IF_ERROR(ReadHeader());
    RETURN_IF_ERROR(ReadSections());
    RETURN_IF_ERROR(ReadStrings());
    RETURN_IF_ERROR(ReadDialects());
    RETURN_IF_ERROR(ReadEntries());
    RETURN_IF_ERROR(ReadProperties());
    RETURN_IF_ERROR(ReadRawOps(*Find(kIr), limits_, &file_));
    return std::move(file_);
  }

 private:
  Status ReadHeader() {
    const auto magic = in_.Raw(kBytecodeMagic.size());
    if (!magic.ok() || *magic != kBytecodeMagic)
      return InvalidArgument("not MLIR bytecode: wrong magic");
    ASSIGN_OR_RETURN(file_.version, in_.Varint());
    if (file_.version > kNewestBytecode) {
      return FailedPrecondition(StrCat("MLIR bytecode version ", file_.version,
                                       ", this build reads 0 to ", kNewestBytecode));
    }
    ASSIGN_OR_RETURN(file_.producer, in_.CString());
    return OkStatus();
  }

  Status ReadSections() {
    while (!in_.done()) {
      ASSIGN_OR_RETURN(const Section section, ReadSection(in_));
      std::optional<Cursor>& slot = sections_[section.id];
      if (slot) return in_.Error(StrCat("a second section of ", kSectionNames[section.id]));
      slot = section.payload;
    }
    for (const SectionId id : {kStrings, kDialects, kData, kOffsets, kIr}) {
      if (!sections_[id]) return in_.Error(StrCat("no section of ", kSectionNames[id]));
    }
    return OkStatus();
  }

  Cursor* Find(SectionId id) { return sections_[id] ? &*sections_[id] : nullptr; }

  Status ReadStrings() {
    Cursor& in = *Find(kStrings);
    ASSIGN_OR_RETURN(const uint64_t n, in.Count(2));  // a size and a final zero each
    std::vector<uint64_t> sizes(n);
    for (uint64_t i = n; i-- > 0;) {  // the last string's size comes first
      ASSIGN_OR_RETURN(sizes[i], in.Varint());
      if (sizes[i] == 0) return in.Error("a string without its final zero");
    }
    file_.strings.reserve(n);
    for (const uint64_t size : sizes) {
      ASSIGN_OR_RETURN(const std::string_view s, in.Raw(size));
      if (s.back() != '\0') return in.Error("a string without its final zero");
      file_.strings.push_back(s.substr(0, s.size() - 1));
    }
    return in.ExpectEnd("the strings");
  }

  Status ReadDialects() {
    Cursor& in = *Find(kDialects);
    ASSIGN_OR_RETURN(const uint64_t n, in.Count());
    for (uint64_t i = 0; i < n; ++i) {
      ASSIGN_OR_RETURN(Flagged name, VersionedName(in, 1));
      if (name.flag) {
        ASSIGN_OR_RETURN(const Section version, ReadSection(in));
        if (version.id != kDialectVersions) return in.Error("no version of a dialect");
      }
      dialects_.push_back(file_.strings[name.value]);
    }
    if (file_.version >= 4) RETURN_IF_ERROR(internal::StatusOf(in.Varint()));  // op names in all
    while (!in.done()) {
      ASSIGN_OR_RETURN(const uint32_t dialect, in.Index(dialects_.size(), "dialects"));
      ASSIGN_OR_RETURN(const uint64_t k, in.Count());
      for (uint64_t i = 0; i < k; ++i) {
        ASSIGN_OR_RETURN(const Flagged name, VersionedName(in, kFirstWithProperties));
        file_.op_names.push_back({dialects_[dialect], file_.strings[name.value]});
      }
    }
    return OkStatus();
  }

  // A string index, with a flag from version `flag_since` on.
  Result<Flagged> VersionedName(Cursor& in, uint64_t flag_since) {
    Flagged name;
    if (file_.version >= flag_since) {
      ASSIGN_OR_RETURN(name, in.FlaggedVarint());
    } else {
      ASSIGN_OR_RETURN(name.value, in.Varint());
    }
    if (name.value >= file_.strings.size())
      return in.Error(StrCat("index ", name.value, " into ", file_.strings.size(), " strings"));
    return name;
  }

  Status ReadEntries() {
    Cursor& in = *Find(kOffsets);
    Cursor& data = *Find(kData);
    ASSIGN_OR_RETURN(const uint64_t attributes, in.Count());
    ASSIGN_OR_RETURN(const uint64_t types, in.Count());
    RETURN_IF_ERROR(ReadGroups(in, data, attributes, &file_.attributes));
    RETURN_IF_ERROR(ReadGroups(in, data, types, &file_.types));
    RETURN_IF_ERROR(in.ExpectEnd("the attribute offsets"));
    return data.ExpectEnd("the attribute data");
  }

  Status ReadGroups(Cursor& in, Cursor& data, uint64_t wanted, std::vector<Entry>* out) {
    out->reserve(wanted);
    while (out->size() < wanted) {
      ASSIGN_OR_RETURN(const uint32_t dialect, in.Index(dialects_.size(), "dialects"));
      ASSIGN_OR_RETURN(const uint64_t k, in.Count());
      if (k > wanted - out->size()) return in.Error("a group of more entries than were announced");
      for (uint64_t i = 0; i < k; ++i) {
        ASSIGN_OR_RETURN(const Flagged size, in.FlaggedVarint());
        Entry entry{.dialect = dialects_[dialect],
                    .bytes = {},
                    .offset = data.offset(),
                    .encoded = size.flag};
        ASSIGN_OR_RETURN(entry.bytes, data.Raw(size.value));
        out->push_back(entry);
      }
    }
    return OkStatus();
  }

  Status ReadProperties() {
    Cursor* in = Find(kProperties);
    if (in == nullptr) return OkStatus();
    ASSIGN_OR_RETURN(const uint64_t n, in->Count());
    for (uint64_t i = 0; i < n; ++i) {
      Entry entry;
      ASSIGN_OR_RETURN(const uint64_t size, in->Varint());
      entry.offset = in->offset();
      ASSIGN_OR_RETURN(entry.bytes, in->Raw(size));
      file_.properties.push_back(entry);
    }
    return in->ExpectEnd("the properties");
  }

  Cursor in_;
  const stablehlo::Limits& limits_;
  std::array<std::optional<Cursor>, kNumSections> sections_;
  std::vector<std::string_view> dialects_;
  Container file_;
};

}  // namespace

Result<Container> ReadContainer(std::string_view bytes, const stablehlo::Limits& limits) {
  return ContainerReader(bytes, limits).Run();
}

}  // namespace megalith::stablehlo::artifact
