// Objects laid out by hand, linked into images.
#include "common/machines/codegen/cpu/object_link.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace megalith::codegen {
namespace {

template <typename T>
void Append(std::string* out, const T& value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

Elf64_Shdr Section(uint32_t type, uint64_t flags, uint64_t offset, uint64_t size) {
  Elf64_Shdr section = {};
  section.sh_type = type;
  section.sh_flags = flags;
  section.sh_offset = offset;
  section.sh_size = size;
  return section;
}

// Eight bytes of code with a relocation at offset 2 to a constant, or to a symbol nobody defines.
std::string Object(bool undefined) {
  std::string out(sizeof(Elf64_Ehdr), '\0');
  const uint64_t code = out.size();
  out += std::string("\x8b\x05\0\0\0\0\xc3\xcc", 8);
  const uint64_t constant = out.size();
  out += "abcd";
  const uint64_t names = out.size();
  out += std::string("\0kernel0\0value\0", 15);
  const uint64_t symbols = out.size();
  Append(&out, Elf64_Sym{});
  Append(&out, Elf64_Sym{1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, 0, 8});
  Append(&out, Elf64_Sym{9, 0, 0, static_cast<uint16_t>(undefined ? 0 : 2), 0, 4});
  const uint64_t relocations = out.size();
  Append(&out, Elf64_Rela{2, ELF64_R_INFO(2, R_X86_64_PC32), -4});
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_type = ET_REL;
  header.e_machine = EM_X86_64;
  header.e_shoff = out.size();
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 6;
  std::memcpy(out.data(), &header, sizeof(header));
  Append(&out, Elf64_Shdr{});
  Append(&out, Section(SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, code, 8));
  Append(&out, Section(SHT_PROGBITS, SHF_ALLOC, constant, 4));
  Append(&out, Section(SHT_STRTAB, 0, names, 15));
  Elf64_Shdr table = Section(SHT_SYMTAB, 0, symbols, 3 * sizeof(Elf64_Sym));
  table.sh_link = 3;
  Append(&out, table);
  Elf64_Shdr rela = Section(SHT_RELA, 0, relocations, sizeof(Elf64_Rela));
  rela.sh_link = 4;
  rela.sh_info = 1;
  Append(&out, rela);
  return out;
}

const std::vector<std::string> kNames = {"kernel0"};

TEST(LinkObjectTest, LaysOutSectionsAndAppliesRelocations) {
  const auto linked = LinkObject(Object(false), kNames);
  ASSERT_TRUE(linked.ok()) << linked.status().ToString();
  EXPECT_EQ(linked->entries, std::vector<uint64_t>{0});
  ASSERT_EQ(linked->bytes.size(), 68u);
  EXPECT_EQ(linked->bytes.substr(64), "abcd");
  int32_t distance = 0;
  std::memcpy(&distance, linked->bytes.data() + 2, 4);
  EXPECT_EQ(distance, 64 - 6);  // from the end of the field
}

TEST(LinkObjectTest, RefusesSymbolsItDoesNotContain) {
  const auto linked = LinkObject(Object(true), kNames);
  EXPECT_EQ(linked.status().code(), Code::kInternal);
  EXPECT_NE(linked.status().message().find("'value'"), std::string::npos);
  const std::vector<std::string> other = {"kernel1"};
  EXPECT_EQ(LinkObject(Object(false), other).status().code(), Code::kInternal);
}

TEST(LinkObjectTest, SurvivesDamage) {
  const std::string object = Object(false);
  std::mt19937_64 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = object;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    if (random() % 4 == 0) damaged.resize(random() % damaged.size());
    const auto linked = LinkObject(damaged, kNames);
    EXPECT_TRUE(!linked.ok() || linked->entries[0] < linked->bytes.size());
  }
}

}  // namespace
}  // namespace megalith::codegen
