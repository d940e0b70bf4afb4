// Fills configuration structs from flags, the environment, a file and defaults, in this order of
// precedence, and tells afterwards where each value came from. The same tables print --help and
// docs/config.md.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/foundation/config/field.h"

namespace megalith::config {

enum class Source : uint8_t { kDefault, kFile, kEnvironment, kFlag };
std::string_view SourceName(Source source);

struct EffectiveValue {
  std::string name;
  std::string value;  // "(secret)" for a secret that is set
  Source source = Source::kDefault;
};

// Environment as pairs; tests pass their own, main() passes ProcessEnvironment().
using Environment = std::map<std::string, std::string>;
Environment ProcessEnvironment();

// Joins the tables of one program. Not thread-safe; the structs given to Add must outlive the
// Loader.
//
//   TraceConfig config;
//   Loader loader("trace", "Traces and transforms programs.");
//   loader.Add<TraceConfig>(kTraceFields, &config);
//   RETURN_IF_ERROR(loader.Load(arguments, ProcessEnvironment(), RealFileSystem()));
class Loader {
 public:
  // `service` is the word in MEGALITH_<SERVICE>_<FIELD>, in lower case.
  Loader(std::string service, std::string description);

  // Adds a table whose rows write into `target`; every name gets `prefix`. A name may occur once
  // (CHECK). The values in `target` at this moment are the defaults.
  template <typename S>
  void Add(std::span<const ConfigField<S>> fields, S* target, std::string_view prefix = "") {
    for (const ConfigField<S>& f : fields) {
      Bind(
          f.spec, prefix,
          [f, target](std::string_view text) { return f.set(*target, f.spec, text); },
          [f, target] { return f.get(*target); });
    }
  }

  // Reads all sources. `arguments` is argv without the program's name: `--name=value` or `--name
  // value`, `--name` for a true bool, and `--config=FILE` or `--config FILE` (also MEGALITH_<SERVICE>_CONFIG). --help only sets
  // help_requested(). Errors: kInvalidArgument  unknown name (with the nearest known one), value
  // that does not parse or is out of range,
  //   name given twice, argument that is no flag; the message says which source and, in a file,
  //   which line. kNotFound, kPermissionDenied  the file.
  Status Load(std::span<const std::string> arguments, const Environment& environment,
              FileSystem& files);

  bool help_requested() const { return help_requested_; }
  const std::string& service() const { return service_; }

  // After Load; sorted by name.
  std::vector<EffectiveValue> Effective() const;

  // For a terminal, 100 columns.
  std::string Help() const;
  // A markdown section: one table row per field with flag, environment variable, default, admitted
  // values and help.
  std::string Markdown() const;

 private:
  struct Bound {
    FieldSpec spec;
    std::string name;
    std::string default_text;
    std::function<Status(std::string_view)> set;
    std::function<std::string()> get;
    Source source = Source::kDefault;
  };

  void Bind(const FieldSpec& spec, std::string_view prefix,
            std::function<Status(std::string_view)> set, std::function<std::string()> get);
  Bound* Find(std::string_view name);
  // kInvalidArgument naming `name` and the nearest known name.
  Status Unknown(std::string_view what, std::string_view name) const;
  Status LoadFile(const std::string& path, FileSystem& files);
  Status LoadEnvironment(const Environment& environment);
  struct Flags {
    std::map<std::string, std::string> values;
    std::string config_path;
  };
  Result<Flags> SplitFlags(std::span<const std::string> arguments);
  std::string EnvironmentName(std::string_view field) const;

  const std::string service_;
  const std::string description_;
  std::vector<Bound> fields_;
  bool help_requested_ = false;
};

}  // namespace megalith::config
