#include "common/learning/serving/folder_loader.h"

#include "common/foundation/base/strings.h"
#include "common/learning/serving/compiled_program.h"

namespace megalith::serving {
namespace {

constexpr std::string_view kSignatureFile = "signatures.pbtxt";
constexpr uint64_t kMaxSignatureBytes = 16 << 20;
constexpr uint64_t kMaxLabelBytes = 64 << 20;
constexpr uint64_t kMaxProgramBytes = 8ull << 30;

std::string Stem(const std::string& file) { return file.substr(0, file.find('.')); }

// A name from outside that must not lead out of the folder.
Status CheckFileName(const std::string& file) {
  if (!file.empty() && file != "." && file != ".." && file.find('/') == std::string::npos)
    return OkStatus();
  return InvalidArgument(StrCat("'", Printable(file), "' is not the name of a file in the folder"));
}

class FolderLoader final : public Loader {
 public:
  FolderLoader(const runtime::BackendRegistry& backends, FileSystem& files,
               SignatureFileParser parser)
      : backends_(backends), files_(files), parser_(std::move(parser)) {}

  Result<std::shared_ptr<const Servable>> Load(const std::string& name, int64_t version,
                                               const std::string& path,
                                               const Cancellation& cancellation) override {
    auto servable = std::make_shared<Servable>();
    servable->name = name;
    servable->version = version;
    Folder folder{path, cancellation, {}};
    ASSIGN_OR_RETURN(const FileInfo info, files_.Stat(path));
    if (!info.is_directory) {
      RETURN_IF_ERROR(DeriveFromFile(path, cancellation, servable.get()));
      return std::shared_ptr<const Servable>(std::move(servable));
    }
    const Result<std::string> text =
        files_.Read(JoinPath(path, kSignatureFile), kMaxSignatureBytes);
    if (text.ok()) {
      ASSIGN_OR_RETURN(const std::vector<SignatureSpec> specs,
                       parser_(*text).Annotate(kSignatureFile));
      for (const SignatureSpec& spec : specs) {
        ASSIGN_OR_RETURN(Signature signature, MakeOne(spec, &folder).Annotate(kSignatureFile));
        if (!servable->signatures.emplace(spec.name, std::move(signature)).second) {
          return InvalidArgument(
              StrCat(kSignatureFile, ": two signatures are called '", Printable(spec.name), "'"));
        }
      }
    } else if (text.status().code() == Code::kNotFound) {
      RETURN_IF_ERROR(DeriveAll(&folder, servable.get()));
    } else {
      return text.status();
    }
    if (servable->signatures.empty())
      return InvalidArgument(StrCat(kSignatureFile, " has no signature"));
    return std::shared_ptr<const Servable>(std::move(servable));
  }

 private:
  // One version while it is loaded.
  struct Folder {
    const std::string& path;
    const Cancellation& cancellation;
    std::map<std::string, std::shared_ptr<const Program>> programs;  // by file
  };

  Result<std::shared_ptr<const Program>> ProgramOf(const std::string& file, Folder* folder) {
    RETURN_IF_ERROR(CheckFileName(file));
    std::shared_ptr<const Program>& program = folder->programs[file];
    if (program == nullptr) {
      ASSIGN_OR_RETURN(const std::string bytes,
                       files_.Read(JoinPath(folder->path, file), kMaxProgramBytes));
      ASSIGN_OR_RETURN(program, LoadProgram(bytes, backends_, folder->cancellation).Annotate(file));
    }
    return program;
  }

  Result<Signature> MakeOne(SignatureSpec spec, Folder* folder) {
    if (!spec.class_label_file.empty()) {
      if (!spec.class_labels.empty())
        return InvalidArgument("give class_label or class_label_file, not both");
      RETURN_IF_ERROR(CheckFileName(spec.class_label_file));
      ASSIGN_OR_RETURN(const std::string text,
                       files_.Read(JoinPath(folder->path, spec.class_label_file), kMaxLabelBytes));
      std::string_view lines = text;
      if (lines.ends_with('\n')) lines.remove_suffix(1);
      for (const std::string_view line : Split(lines, '\n')) spec.class_labels.emplace_back(line);
    }
    ASSIGN_OR_RETURN(std::shared_ptr<const Program> program, ProgramOf(spec.program, folder));
    return MakeSignature(spec, std::move(program));
  }

  Status DeriveFromFile(const std::string& path, const Cancellation& cancellation,
                        Servable* servable) {
    ASSIGN_OR_RETURN(const std::string bytes, files_.Read(path, kMaxProgramBytes));
    ASSIGN_OR_RETURN(std::shared_ptr<const Program> program,
                     LoadProgram(bytes, backends_, cancellation).Annotate(path));
    const std::string name(kDefaultSignature);
    ASSIGN_OR_RETURN(Signature signature, MakeSignature(DeriveSpec(name, path, *program), program));
    servable->signatures.emplace(name, std::move(signature));
    return OkStatus();
  }

  Status DeriveAll(Folder* folder, Servable* servable) {
    ASSIGN_OR_RETURN(const std::vector<FileInfo> listed, files_.List(folder->path));
    std::vector<std::string> programs;
    for (const FileInfo& file : listed)
      if (MayBeProgram(file)) programs.push_back(file.name);
    if (programs.empty()) {
      return NotFound(StrCat("there is neither a ", kSignatureFile, " nor a program in ",
                             Printable(folder->path, 400)));
    }
    for (const std::string& file : programs) {
      ASSIGN_OR_RETURN(std::shared_ptr<const Program> program, ProgramOf(file, folder));
      const std::string name = programs.size() == 1 ? std::string(kDefaultSignature) : Stem(file);
      ASSIGN_OR_RETURN(Signature signature,
                       MakeSignature(DeriveSpec(name, file, *program), program));
      if (!servable->signatures.emplace(name, std::move(signature)).second) {
        return InvalidArgument(StrCat("two programs would both be the signature '", Printable(name),
                                      "': write a ", kSignatureFile));
      }
    }
    return OkStatus();
  }

  const runtime::BackendRegistry& backends_;
  FileSystem& files_;
  const SignatureFileParser parser_;
};

}  // namespace

bool MayBeProgram(const FileInfo& file) {
  return !file.is_directory && !file.name.starts_with(".") && !file.name.ends_with(".pbtxt") &&
         !file.name.ends_with(".pb") && !file.name.ends_with(".txt") &&
         !file.name.ends_with(".json") && !file.name.ends_with(".md");
}

std::unique_ptr<Loader> MakeFolderLoader(const runtime::BackendRegistry& backends,
                                         FileSystem& files, SignatureFileParser parser) {
  return std::make_unique<FolderLoader>(backends, files, std::move(parser));
}

}  // namespace megalith::serving
