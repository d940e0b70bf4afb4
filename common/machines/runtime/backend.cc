#include "common/machines/runtime/backend.h"

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"

namespace megalith::runtime {

std::string KeyOf(std::string_view canonical_program, const CompileOptions& options,
                  const Backend& backend) {
  ByteWriter w;
  w.Sized("megalith executable key 1");  // persistent: never change
  w.Sized(backend.name());
  w.Sized(backend.version());
  w.Sized(backend.target());
  w.U64(options.settings.size());
  for (const auto& [name, value] : options.settings) {
    w.Sized(name);
    w.Sized(value);
  }
  w.Sized(canonical_program);
  return Sha256::Of(w.data()).Hex();
}

Status BackendRegistry::Add(std::shared_ptr<const Backend> backend) {
  for (const auto& b : backends_) {
    if (b->name() == backend->name()) {
      return Status(Code::kAlreadyExists,
                    StrCat("backend '", backend->name(), "' is registered twice"));
    }
  }
  backends_.push_back(std::move(backend));
  return OkStatus();
}

Result<std::shared_ptr<const Backend>> BackendRegistry::Find(std::string_view name) const {
  for (const auto& b : backends_) {
    if (b->name() == name) return b;
  }
  return NotFound(
      StrCat("no backend '", Printable(name, 40), "'; there are: ", Join(Names(), ", ")));
}

std::vector<std::string> BackendRegistry::Names() const {
  std::vector<std::string> names;
  for (const auto& b : backends_) names.emplace_back(b->name());
  return names;
}

}  // namespace megalith::runtime
