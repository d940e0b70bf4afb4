// What runs programs behind the plugin: this process (embedded_engine.h) or a fleet.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clients/pjrt/event.h"
#include "clients/pjrt/layouts.h"
#include "common/machines/runtime/executable.h"

namespace megalith::pjrt {

using runtime::CostSummary;
using runtime::Signature;
using runtime::TensorSpec;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

// Devices that a client, a topology or a program may have.
inline constexpr int64_t kMostDevices = 1024;

// An array where the engine keeps it. Immutable; thread-safe.
class Array {
 public:
  virtual ~Array() = default;
  // Calls `f` once with the elements on this machine: now if they are here, else from a thread of
  // the engine's, which must not be made to wait.
  virtual void Fetch(std::function<void(Result<Tensor>)> f) const = 0;
  // The elements if they are in this process, else null.
  virtual const Tensor* local() const = 0;
  // Null if the array exists. Else it is being made, which the event ends; it may be an input of
  // other programs meanwhile.
  virtual EventPtr ready() const { return nullptr; }
};
using ArrayPtr = std::shared_ptr<const Array>;

// One whose elements are in this process.
class LocalArray final : public Array {
 public:
  explicit LocalArray(Tensor t) : tensor_(std::move(t)) {}
  void Fetch(std::function<void(Result<Tensor>)> f) const override { f(tensor_); }
  const Tensor* local() const override { return &tensor_; }

 private:
  const Tensor tensor_;
};

// Fetch for threads that may wait; not for those of an engine.
Result<Tensor> FetchNow(const Array& array);

// A program ready to run. Immutable; thread-safe.
class LoadedProgram {
 public:
  virtual ~LoadedProgram() = default;
  virtual const std::string& name() const = 0;  // "jit_f"
  // Of arrays as they are stored (layouts.h).
  virtual const Signature& signature() const = 0;
  virtual const Orders& orders() const = 0;
  virtual const CostSummary& cost() const = 0;
  virtual const std::string& fingerprint() const = 0;  // equal programs and options: equal text
  // Per input: true if the program was compiled to be given its memory.
  virtual const std::vector<bool>& donated() const = 0;
  // Per output: true for a token, which is bool[0] in the signature.
  virtual const std::vector<bool>& token_outputs() const = 0;
  // The operations as hosts read them (hlo_program.h), and the arrays that those take and give,
  // which are whole ones also in a program of several devices.
  virtual const std::string& computations() const = 0;
  virtual const Signature& whole_signature() const { return signature(); }
  // Fields that tell hosts where inputs and outputs lie on several devices (hlo_shardings.h); empty
  // for a program of one device.
  virtual const std::string& shardings() const = 0;
  // True if running it calls functions of the host, which may take any time.
  virtual bool calls_host() const { return false; }
  // What Engine::Load takes, also in another process.
  virtual Result<std::string> Serialize() const = 0;
  // Blocks until done, unless starts_only(). `given[i]`: nobody else will use input i again. Its
  // memory may become that of a result if, besides, nobody else holds the array.
  // Programs of several devices take the inputs of all, device by device, and give results so.
  virtual Result<std::vector<ArrayPtr>> Run(int device, std::vector<ArrayPtr> inputs,
                                            const std::vector<bool>& given) const = 0;
  // Bytes of results that lie in inputs when those are given, as far as this process knows.
  virtual uint64_t donated_bytes() const { return 0; }
  // True if Run returns at once with results that are still being made.
  virtual bool starts_only() const { return false; }
};

struct ProgramOptions {
  std::map<std::string, std::string> settings;  // of the backend, by name
  int num_replicas = 1;
  int num_partitions = 1;
  // Tells the function `id` of the host where a value of a program of several devices lies, as a
  // serialized xla.OpSharding. Null: nobody can be told.
  std::function<Status(uint64_t id, std::string_view sharding)> inspect;
};

// Thread-safe.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string version() const = 0;  // "megalith 0.1 (cpu avx512)"
  // False if Compile would refuse an option of this name.
  virtual bool HasSetting(std::string_view name) const = 0;
  // True if arrays live in another process: then nobody may be given pointers to their elements.
  virtual bool remote() const { return false; }
  // `host` stays valid as long as anybody holds the array.
  virtual Result<ArrayPtr> Put(int device, Tensor host) = 0;
  // `module` is a portable artifact or MLIR text.
  virtual Result<std::shared_ptr<const LoadedProgram>> Compile(std::string_view module,
                                                               const ProgramOptions& options) = 0;
  virtual Result<std::shared_ptr<const LoadedProgram>> Load(std::string_view serialized) = 0;
};

}  // namespace megalith::pjrt
