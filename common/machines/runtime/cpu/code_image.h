// Machine code of a package, and how it gets into memory.
//
// The code generator links everything when it compiles: an image is one run of bytes, independent
// of its address, without symbols of others. So loading copies, checks and protects; it needs no
// linker and no LLVM. Layout: docs/formats/code-image.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/machines/runtime/loop_tiles.h"

namespace megalith::runtime {

// What a function of an image computes. Persistent: never change, append only.
enum class CodeKind : uint32_t {
  kKernel = 0,  // points of Plan::loops[number]: a LoopFn
  kWhile = 1,   // all turns of Plan::whiles[number]: a WhileFn
};

// All turns of a loop. `buffers` are the addresses of all buffers of the plan. Every millisecond or
// so `stop(argument)` is asked; once it answers true the function returns false at once, and what
// the loop writes is not specified. Otherwise it returns true when the loop has ended. `scratch` is
// memory of the calling thread, of the size the image asks for, aligned to 64.
using WhileFn = bool (*)(void* const* buffers, bool (*stop)(void* argument), void* argument,
                         void* scratch);

struct CodeImage {
  // Where a function starts, and the scratch each thread needs for it.
  struct Entry {
    uint32_t loop = 0;  // number in Plan::loops or Plan::whiles
    uint64_t offset = 0;
    uint64_t scratch_bytes = 0;
    CodeKind kind = CodeKind::kKernel;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  std::string bytes;  // instructions and constants, position-independent
  std::vector<Entry> entries;
  std::string target;    // "x86-64 avx512f ...": features the code uses
  std::string compiler;  // "LLVM 19.1.7": only shown
  friend bool operator==(const CodeImage&, const CodeImage&) = default;
};

std::string EncodeCodeImage(const CodeImage& image);
// kDataLoss unless offsets are inside the code and entries are distinct.
Result<CodeImage> DecodeCodeImage(std::string_view bytes);

// Code in executable memory; unmapped when the last reference goes. Thread-safe.
class LoadedCode {
 public:
  // kResourceExhausted if no executable memory can be had (hardened kernels refuse it: the caller
  // stays on tier 0), kFailedPrecondition if this processor lacks a feature of `image.target`.
  static Result<std::shared_ptr<const LoadedCode>> Load(const CodeImage& image);
  ~LoadedCode();

  struct Function {
    LoopFn run = nullptr;
    uint64_t scratch_bytes = 0;
  };
  // run is null if the image has no code for that kernel.
  Function Find(uint32_t loop) const;

  struct Loop {
    WhileFn run = nullptr;
    uint64_t scratch_bytes = 0;
  };
  // The same of Plan::whiles[index].
  Loop FindWhile(uint32_t index) const;

 private:
  LoadedCode() = default;
  void* memory_ = nullptr;
  size_t mapped_bytes_ = 0;
  std::vector<Function> functions_;
  std::vector<Loop> loops_;
};

// Features of this processor that generated code and ready-made kernels distinguish, in a fixed
// order: "x86-64 sse4.2 avx2 fma avx512f ...".
std::string ProcessorTarget();
// True if a machine of ProcessorTarget() `have` can run code made for `wanted`.
bool TargetSuffices(std::string_view have, std::string_view wanted);

}  // namespace megalith::runtime
