// Model versions from folders of programs (tf-serving.md section 10).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/learning/serving/signature_spec.h"
#include "common/machines/runtime/backend.h"

namespace megalith::serving {

// Makes servables. Thread-safe.
class Loader {
 public:
  virtual ~Loader() = default;
  // The version in folder `path`. Errors: kNotFound  there is nothing to serve; those of its files.
  virtual Result<std::shared_ptr<const Servable>> Load(const std::string& name, int64_t version,
                                                       const std::string& path,
                                                       const Cancellation& cancellation) = 0;
};

// The text form of a SignatureFile. Errors: kInvalidArgument, with the line.
using SignatureFileParser =
    std::function<Result<std::vector<SignatureSpec>>(std::string_view text)>;

// Whether a file in a version folder can be a program, by its name.
bool MayBeProgram(const FileInfo& file);

// Reads `signatures.pbtxt` and the programs that it names. Without that file, every program in the
// folder gets a signature derived from its own types: `serving_default` if it is the only one, else
// one named after each file without its extension. A path
// that is no folder is a program by itself. `backends` and `files` outlive the loader.
std::unique_ptr<Loader> MakeFolderLoader(const runtime::BackendRegistry& backends,
                                         FileSystem& files, SignatureFileParser parser);

}  // namespace megalith::serving
