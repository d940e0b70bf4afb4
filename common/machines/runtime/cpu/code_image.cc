#include "common/machines/runtime/cpu/code_image.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::runtime {
namespace {

// Persistent: never change; a new layout gets a new version.
constexpr uint32_t kCodeImageVersion = 2;
// More kernels than any plan has; keeps a damaged number from becoming a huge table.
constexpr uint32_t kMaxLoops = 1 << 20;
constexpr uint64_t kMaxScratchBytes = uint64_t{1} << 32;

// In the order they are printed; the names are LLVM's. A processor without one of the first rows
// may have later ones (a hypervisor decides), so every row is asked for by itself.
struct Feature {
  std::string_view name;
  bool (*present)();
};
constexpr Feature kFeatures[] = {
    {"sse3", [] { return __builtin_cpu_supports("sse3") != 0; }},
    {"ssse3", [] { return __builtin_cpu_supports("ssse3") != 0; }},
    {"sse4.1", [] { return __builtin_cpu_supports("sse4.1") != 0; }},
    {"sse4.2", [] { return __builtin_cpu_supports("sse4.2") != 0; }},
    {"popcnt", [] { return __builtin_cpu_supports("popcnt") != 0; }},
    {"avx", [] { return __builtin_cpu_supports("avx") != 0; }},
    {"avx2", [] { return __builtin_cpu_supports("avx2") != 0; }},
    {"fma", [] { return __builtin_cpu_supports("fma") != 0; }},
    {"f16c", [] { return __builtin_cpu_supports("f16c") != 0; }},
    {"bmi", [] { return __builtin_cpu_supports("bmi") != 0; }},
    {"bmi2", [] { return __builtin_cpu_supports("bmi2") != 0; }},
    {"avx512f", [] { return __builtin_cpu_supports("avx512f") != 0; }},
    {"avx512bw", [] { return __builtin_cpu_supports("avx512bw") != 0; }},
    {"avx512cd", [] { return __builtin_cpu_supports("avx512cd") != 0; }},
    {"avx512dq", [] { return __builtin_cpu_supports("avx512dq") != 0; }},
    {"avx512vl", [] { return __builtin_cpu_supports("avx512vl") != 0; }},
    {"avx512vpopcntdq", [] { return __builtin_cpu_supports("avx512vpopcntdq") != 0; }},
    {"avx512bitalg", [] { return __builtin_cpu_supports("avx512bitalg") != 0; }},
};

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

Status CheckImage(const CodeImage& image) {
  std::vector<std::pair<CodeKind, uint32_t>> functions;
  for (const CodeImage::Entry& entry : image.entries) {
    if (entry.kind != CodeKind::kKernel && entry.kind != CodeKind::kWhile) {
      return DataLoss(
          StrCat("code has a function of unknown kind ", static_cast<uint32_t>(entry.kind)));
    }
    if (entry.offset >= image.bytes.size()) {
      return DataLoss(StrCat("code of kernel ", entry.loop, " starts at ", entry.offset, " of ",
                             image.bytes.size(), " bytes"));
    }
    if (entry.loop >= kMaxLoops || entry.scratch_bytes > kMaxScratchBytes) {
      return DataLoss(StrCat("code has kernel ", entry.loop, " with ", entry.scratch_bytes,
                             " bytes of scratch, beyond the limits"));
    }
    functions.emplace_back(entry.kind, entry.loop);
  }
  std::sort(functions.begin(), functions.end());
  const auto twice = std::adjacent_find(functions.begin(), functions.end());
  if (twice != functions.end()) {
    return DataLoss(StrCat(twice->first == CodeKind::kKernel ? "kernel " : "loop ", twice->second,
                           " has code twice"));
  }
  return OkStatus();
}

}  // namespace

std::string EncodeCodeImage(const CodeImage& image) {
  ByteWriter out;
  out.U32(kCodeImageVersion);
  out.Sized(image.target);
  out.Sized(image.compiler);
  out.U32(static_cast<uint32_t>(image.entries.size()));
  for (const CodeImage::Entry& entry : image.entries) {
    out.U32(static_cast<uint32_t>(entry.kind));
    out.U32(entry.loop);
    out.U64(entry.offset);
    out.U64(entry.scratch_bytes);
  }
  out.Sized(image.bytes);
  return out.Take();
}

Result<CodeImage> DecodeCodeImage(std::string_view bytes) {
  ByteReader in(bytes);
  CodeImage image;
  ASSIGN_OR_RETURN(const uint32_t version, in.U32());
  if (version != kCodeImageVersion) {
    return DataLoss(StrCat("code image has version ", version, ", wanted ", kCodeImageVersion));
  }
  ASSIGN_OR_RETURN(const std::string_view target, in.Sized());
  ASSIGN_OR_RETURN(const std::string_view compiler, in.Sized());
  image.target = target;
  image.compiler = compiler;
  ASSIGN_OR_RETURN(const uint32_t count, in.U32());
  for (uint32_t i = 0; i < count; ++i) {
    CodeImage::Entry entry;
    ASSIGN_OR_RETURN(const uint32_t kind, in.U32());
    entry.kind = static_cast<CodeKind>(kind);
    ASSIGN_OR_RETURN(entry.loop, in.U32());
    ASSIGN_OR_RETURN(entry.offset, in.U64());
    ASSIGN_OR_RETURN(entry.scratch_bytes, in.U64());
    image.entries.push_back(entry);
  }
  ASSIGN_OR_RETURN(const std::string_view code, in.Sized());
  if (in.left() != 0) return DataLoss(StrCat("code image is followed by ", in.left(), " bytes"));
  image.bytes = code;
  RETURN_IF_ERROR(CheckImage(image));
  return image;
}

Result<std::shared_ptr<const LoadedCode>> LoadedCode::Load(const CodeImage& image) {
  RETURN_IF_ERROR(CheckImage(image));
  const std::string have = ProcessorTarget();
  if (!TargetSuffices(have, image.target)) {
    return FailedPrecondition(
        StrCat("the code is for '", image.target, "', this processor is '", have, "'"));
  }
  std::shared_ptr<LoadedCode> code(new LoadedCode);
  if (image.bytes.empty()) return std::shared_ptr<const LoadedCode>(std::move(code));
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t mapped = (image.bytes.size() + page - 1) / page * page;
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return ResourceExhausted(StrCat("no memory for ", mapped, " bytes of code: ", strerror(errno)));
  }
  code->memory_ = memory;
  code->mapped_bytes_ = mapped;
  std::memcpy(memory, image.bytes.data(), image.bytes.size());
  if (mprotect(memory, mapped, PROT_READ | PROT_EXEC) != 0) {
    return ResourceExhausted(StrCat("memory cannot be made executable: ", strerror(errno)));
  }
  for (const CodeImage::Entry& entry : image.entries) {
    void* const start = static_cast<char*>(memory) + entry.offset;
    if (entry.kind == CodeKind::kWhile) {
      if (entry.loop >= code->loops_.size()) code->loops_.resize(entry.loop + 1);
      code->loops_[entry.loop] = {reinterpret_cast<WhileFn>(start), entry.scratch_bytes};
      continue;
    }
    if (entry.loop >= code->functions_.size()) code->functions_.resize(entry.loop + 1);
    code->functions_[entry.loop] = {reinterpret_cast<LoopFn>(start), entry.scratch_bytes};
  }
  return std::shared_ptr<const LoadedCode>(std::move(code));
}

LoadedCode::~LoadedCode() {
  if (memory_ != nullptr) munmap(memory_, mapped_bytes_);
}

LoadedCode::Function LoadedCode::Find(uint32_t loop) const {
  return loop < functions_.size() ? functions_[loop] : Function{};
}

LoadedCode::Loop LoadedCode::FindWhile(uint32_t index) const {
  return index < loops_.size() ? loops_[index] : Loop{};
}

std::string ProcessorTarget() {
  __builtin_cpu_init();
  std::string target = "x86-64";
  for (const Feature& feature : kFeatures) {
    if (feature.present()) target += StrCat(" ", feature.name);
  }
  return target;
}

bool TargetSuffices(std::string_view have, std::string_view wanted) {
  const std::vector<std::string_view> present = Words(have);
  const std::vector<std::string_view> needed = Words(wanted);
  return std::all_of(needed.begin(), needed.end(), [&](std::string_view word) {
    return std::find(present.begin(), present.end(), word) != present.end();
  });
}

}  // namespace megalith::runtime
