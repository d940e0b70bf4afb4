#include "common/machines/codegen/cpu/object_link.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "common/foundation/base/strings.h"

namespace megalith::codegen {
namespace {

constexpr uint64_t kNotPlaced = UINT64_MAX;
// No instruction asks for more, though LLVM gives wide constants more.
constexpr uint64_t kAlignment = 64;

// Reads structures of an ELF file, refusing what lies outside of it.
class ElfFile {
 public:
  explicit ElfFile(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  Result<T> At(uint64_t offset) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) {
      return Internal(StrCat("object ends before offset ", offset + sizeof(T)));
    }
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }
  Result<std::string_view> Bytes(uint64_t offset, uint64_t size) const {
    if (offset > bytes_.size() || bytes_.size() - offset < size) {
      return Internal(StrCat("object ends before offset ", offset + size));
    }
    return bytes_.substr(offset, size);
  }
  Result<std::string_view> Name(const Elf64_Shdr& strings, uint64_t at) const {
    ASSIGN_OR_RETURN(const std::string_view table, Bytes(strings.sh_offset, strings.sh_size));
    if (at >= table.size()) return Internal("object has a name outside its table");
    const std::string_view rest = table.substr(at);
    return rest.substr(0, rest.find('\0'));
  }

 private:
  std::string_view bytes_;
};

struct Layout {
  std::vector<Elf64_Shdr> sections;
  std::vector<uint64_t> places;  // of each section in the image
  std::string bytes;
};

Result<Layout> PlaceSections(const ElfFile& elf) {
  ASSIGN_OR_RETURN(const Elf64_Ehdr header, elf.At<Elf64_Ehdr>(0));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_type != ET_REL ||
      header.e_machine != EM_X86_64 || header.e_shentsize != sizeof(Elf64_Shdr)) {
    return Internal("the code generator did not write an x86-64 object");
  }
  Layout layout;
  for (uint32_t i = 0; i < header.e_shnum; ++i) {
    ASSIGN_OR_RETURN(const Elf64_Shdr section,
                     elf.At<Elf64_Shdr>(header.e_shoff + i * sizeof(Elf64_Shdr)));
    layout.sections.push_back(section);
  }
  layout.places.assign(layout.sections.size(), kNotPlaced);
  for (const bool code : {true, false}) {
    for (size_t i = 0; i < layout.sections.size(); ++i) {
      const Elf64_Shdr& section = layout.sections[i];
      const bool loaded = section.sh_type == SHT_PROGBITS && (section.sh_flags & SHF_ALLOC) != 0;
      if (!loaded || ((section.sh_flags & SHF_EXECINSTR) != 0) != code) continue;
      if ((section.sh_flags & SHF_WRITE) != 0 && section.sh_size != 0) {
        return Internal("generated code wants writable memory");
      }
      ASSIGN_OR_RETURN(const std::string_view content,
                       elf.Bytes(section.sh_offset, section.sh_size));
      layout.bytes.resize((layout.bytes.size() + kAlignment - 1) / kAlignment * kAlignment);
      layout.places[i] = layout.bytes.size();
      layout.bytes += content;
    }
  }
  return layout;
}

// Where a symbol lies in the image.
Result<uint64_t> AddressOf(const ElfFile& elf, const Layout& layout, const Elf64_Shdr& table,
                           const Elf64_Sym& symbol) {
  if (symbol.st_shndx >= layout.places.size() || layout.places[symbol.st_shndx] == kNotPlaced) {
    std::string_view name = "?";
    if (table.sh_link < layout.sections.size()) {
      ASSIGN_OR_RETURN(name, elf.Name(layout.sections[table.sh_link], symbol.st_name));
    }
    return Internal(StrCat("generated code refers to '", name, "', which it does not contain"));
  }
  return layout.places[symbol.st_shndx] + symbol.st_value;
}

Status Relocate(const ElfFile& elf, Layout* layout, const Elf64_Shdr& relocations) {
  if (relocations.sh_info >= layout->places.size() ||
      relocations.sh_link >= layout->sections.size()) {
    return Internal("object has relocations of no section");
  }
  const uint64_t place = layout->places[relocations.sh_info];
  if (place == kNotPlaced) return OkStatus();  // of sections that are not loaded
  const uint64_t size = layout->sections[relocations.sh_info].sh_size;
  const Elf64_Shdr& table = layout->sections[relocations.sh_link];
  for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= relocations.sh_size; at += sizeof(Elf64_Rela)) {
    ASSIGN_OR_RETURN(const Elf64_Rela rela, elf.At<Elf64_Rela>(relocations.sh_offset + at));
    const uint64_t type = ELF64_R_TYPE(rela.r_info);
    if (type != R_X86_64_PC32 && type != R_X86_64_PLT32) {
      return Internal(StrCat("generated code has a relocation of type ", type));
    }
    if (rela.r_offset > size || size - rela.r_offset < 4) {
      return Internal("object has a relocation outside its section");
    }
    ASSIGN_OR_RETURN(
        const Elf64_Sym symbol,
        elf.At<Elf64_Sym>(table.sh_offset + ELF64_R_SYM(rela.r_info) * sizeof(Elf64_Sym)));
    ASSIGN_OR_RETURN(const uint64_t target, AddressOf(elf, *layout, table, symbol));
    const auto value =
        static_cast<int64_t>(target) + rela.r_addend - static_cast<int64_t>(place + rela.r_offset);
    if (value != static_cast<int32_t>(value)) return Internal("generated code is too large");
    const auto field = static_cast<int32_t>(value);
    std::memcpy(layout->bytes.data() + place + rela.r_offset, &field, sizeof(field));
  }
  return OkStatus();
}

// Where the named functions start, in the order of the names.
Result<std::vector<uint64_t>> FindFunctions(const ElfFile& elf, const Layout& layout,
                                            std::span<const std::string> names) {
  std::vector<uint64_t> found(names.size(), kNotPlaced);
  for (const Elf64_Shdr& section : layout.sections) {
    if (section.sh_type != SHT_SYMTAB || section.sh_link >= layout.sections.size()) continue;
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
      ASSIGN_OR_RETURN(const Elf64_Sym symbol, elf.At<Elf64_Sym>(section.sh_offset + at));
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
      ASSIGN_OR_RETURN(const std::string_view name,
                       elf.Name(layout.sections[section.sh_link], symbol.st_name));
      const auto wanted = std::find(names.begin(), names.end(), name);
      if (wanted == names.end()) continue;
      ASSIGN_OR_RETURN(found[wanted - names.begin()], AddressOf(elf, layout, section, symbol));
    }
  }
  const auto missing = std::find(found.begin(), found.end(), kNotPlaced);
  if (missing == found.end()) return found;
  return Internal(StrCat("object has no function '", names[missing - found.begin()], "'"));
}

}  // namespace

Result<LinkedObject> LinkObject(std::string_view object,
                                std::span<const std::string> entry_symbols) {
  const ElfFile elf(object);
  ASSIGN_OR_RETURN(Layout layout, PlaceSections(elf));
  for (const Elf64_Shdr& section : layout.sections) {
    if (section.sh_type == SHT_REL) return Internal("object has relocations without addends");
    if (section.sh_type == SHT_RELA) RETURN_IF_ERROR(Relocate(elf, &layout, section));
  }
  LinkedObject out;
  ASSIGN_OR_RETURN(out.entries, FindFunctions(elf, layout, entry_symbols));
  out.bytes = std::move(layout.bytes);
  return out;
}

}  // namespace megalith::codegen
