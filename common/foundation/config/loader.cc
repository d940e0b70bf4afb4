#include "common/foundation/config/loader.h"

#include <algorithm>
#include <optional>

#include "common/foundation/base/nearest_name.h"
#include "common/foundation/base/strings.h"

extern char** environ;

namespace megalith::config {
namespace {

constexpr uint64_t kMaxConfigFileBytes = 1 << 20;
constexpr std::string_view kSecretText = "(secret)";

std::string AsciiUpper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

// "64 .. 4096", "strict, hardened" or "" for free text.
std::string Admitted(const FieldSpec& spec) {
  switch (spec.kind) {
    case FieldKind::kBool:
      return "true, false";
    case FieldKind::kInt:
    case FieldKind::kDuration:
      if (spec.max_int == std::numeric_limits<int64_t>::max()) return StrCat("from ", spec.min_int);
      return StrCat(spec.min_int, " to ", spec.max_int);
    case FieldKind::kDouble:
      return spec.max_double == std::numeric_limits<double>::max()
                 ? "a number"
                 : StrCat(spec.min_double, " to ", spec.max_double);
    case FieldKind::kEnum:
      return Join(spec.words, ", ");
    case FieldKind::kStringList:
      return "comma-separated list";
    case FieldKind::kString:
      return "text";
  }
  return "";
}

// The value of a `name = value # comment` line: text in double quotes may hold '#', '\"' and '\\'.
Result<std::string> FileValue(std::string_view text) {
  text = Trim(text);
  if (text.empty() || text.front() != '"') {
    size_t end = text.size();
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '#' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '\t')) {
        end = i;
        break;
      }
    }
    return std::string(Trim(text.substr(0, end)));
  }
  std::string out;
  size_t i = 1;
  for (; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out += text[i];
  }
  if (i >= text.size()) return InvalidArgument("text in double quotes has no closing quote");
  const std::string_view rest = Trim(text.substr(i + 1));
  if (!rest.empty() && rest.front() != '#') {
    return InvalidArgument(
        StrCat("expects nothing after the closing quote, got '", Printable(rest), "'"));
  }
  return out;
}

// Breaks `text` into lines of at most `width` bytes, each after `indent` blanks.
std::string Wrap(std::string_view text, size_t indent, size_t width) {
  const std::string margin(indent, ' ');
  std::string out = margin;
  size_t column = indent;
  for (const std::string_view word : Split(text, ' ')) {
    if (column > indent && column + 1 + word.size() > width) {
      StrAppend(&out, "\n", margin);
      column = indent;
    }
    if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

std::string MarkdownCell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string_view SourceName(Source source) {
  constexpr std::string_view kNames[] = {"default", "file", "environment", "flag"};
  return kNames[static_cast<size_t>(source)];
}

Environment ProcessEnvironment() {
  Environment out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

Loader::Loader(std::string service, std::string description)
    : service_(std::move(service)), description_(std::move(description)) {}

void Loader::Bind(const FieldSpec& spec, std::string_view prefix,
                  std::function<Status(std::string_view)> set, std::function<std::string()> get) {
  Bound bound{.spec = spec,
              .name = StrCat(prefix, spec.name),
              .set = std::move(set),
              .get = std::move(get)};
  bound.default_text = bound.get();
  CHECK(Find(bound.name) == nullptr && bound.name != "config" && bound.name != "help");
  const auto at =
      std::lower_bound(fields_.begin(), fields_.end(), bound.name,
                       [](const Bound& b, const std::string& name) { return b.name < name; });
  fields_.insert(at, std::move(bound));
}

Loader::Bound* Loader::Find(std::string_view name) {
  const auto at = std::lower_bound(fields_.begin(), fields_.end(), name,
                                   [](const Bound& b, std::string_view n) { return b.name < n; });
  return at != fields_.end() && at->name == name ? &*at : nullptr;
}

Status Loader::Unknown(std::string_view what, std::string_view name) const {
  std::vector<std::string> known = {"config", "help"};
  for (const Bound& b : fields_) known.push_back(b.name);
  const std::string_view nearest = NearestName(name, known);
  std::string message = StrCat("unknown ", what, " '", Printable(name), "'");
  if (!nearest.empty()) StrAppend(&message, "; did you mean '", nearest, "'?");
  return InvalidArgument(std::move(message));
}

std::string Loader::EnvironmentName(std::string_view field) const {
  return StrCat("MEGALITH_", AsciiUpper(service_), "_", AsciiUpper(field));
}

Result<Loader::Flags> Loader::SplitFlags(std::span<const std::string> arguments) {
  Flags flags;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string_view text = arguments[i];
    if (!text.starts_with("--")) {
      return InvalidArgument(
          StrCat("argument '", Printable(text), "' is no flag; flags are --name=value"));
    }
    text.remove_prefix(2);
    const size_t equals = text.find('=');
    const std::string name(text.substr(0, equals));
    std::optional<std::string> value;
    if (equals != std::string_view::npos) value = std::string(text.substr(equals + 1));
    if (name == "help") {
      help_requested_ = true;
      continue;
    }
    if (name == "config") {
      if (!value && i + 1 < arguments.size()) value = arguments[++i];
      if (!value) return InvalidArgument("flag --config expects a file name");
      flags.config_path = *value;
      continue;
    }
    const Bound* field = Find(name);
    if (field == nullptr) return Unknown("flag", name);
    if (!value && field->spec.kind == FieldKind::kBool) value = "true";
    if (!value && i + 1 < arguments.size() && !arguments[i + 1].starts_with("--")) {
      value = arguments[++i];
    }
    if (!value) {
      return InvalidArgument(StrCat("flag --", name, " expects a value: --", name, "=..."));
    }
    if (!flags.values.emplace(name, *value).second) {
      return InvalidArgument(StrCat("flag --", name, " is given twice"));
    }
  }
  return flags;
}

Status Loader::LoadFile(const std::string& path, FileSystem& files) {
  ASSIGN_OR_RETURN(const std::string text, files.Read(path, kMaxConfigFileBytes));
  std::map<std::string, int> seen;
  int line_number = 0;
  for (const std::string_view raw : Split(text, '\n')) {
    ++line_number;
    const std::string where = StrCat("config file '", Printable(path, 200), "' line ", line_number);
    const std::string_view line = Trim(raw);
    if (line.empty() || line.front() == '#') continue;
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      return InvalidArgument(
          StrCat(where, ": expects 'name = value', got '", Printable(line), "'"));
    }
    const std::string name(Trim(line.substr(0, equals)));
    Bound* field = Find(name);
    if (field == nullptr) return Unknown("name", name).Annotate(where);
    if (const auto [at, fresh] = seen.emplace(name, line_number); !fresh) {
      return InvalidArgument(
          StrCat(where, ": '", name, "' was given before, on line ", at->second));
    }
    ASSIGN_OR_RETURN(const std::string value,
                     FileValue(line.substr(equals + 1)).Annotate(StrCat(where, ": ", name)));
    RETURN_IF_ERROR(field->set(value).Annotate(StrCat(where, ": ", name)));
    field->source = Source::kFile;
  }
  return OkStatus();
}

Status Loader::LoadEnvironment(const Environment& environment) {
  const std::string prefix = EnvironmentName("");
  for (auto it = environment.lower_bound(prefix); it != environment.end(); ++it) {
    if (!it->first.starts_with(prefix)) break;
    const std::string name = AsciiLower(std::string_view(it->first).substr(prefix.size()));
    if (name == "config") continue;
    Bound* field = Find(name);
    if (field == nullptr) {
      return Unknown("field", name).Annotate(StrCat("environment variable ", Printable(it->first)));
    }
    RETURN_IF_ERROR(field->set(it->second).Annotate(StrCat("environment variable ", it->first)));
    field->source = Source::kEnvironment;
  }
  return OkStatus();
}

Status Loader::Load(std::span<const std::string> arguments, const Environment& environment,
                    FileSystem& files) {
  ASSIGN_OR_RETURN(Flags flags, SplitFlags(arguments));
  if (help_requested_) return OkStatus();
  if (flags.config_path.empty()) {
    const auto at = environment.find(EnvironmentName("config"));
    if (at != environment.end()) flags.config_path = at->second;
  }
  if (!flags.config_path.empty()) RETURN_IF_ERROR(LoadFile(flags.config_path, files));
  RETURN_IF_ERROR(LoadEnvironment(environment));
  for (const auto& [name, value] : flags.values) {
    Bound* field = Find(name);
    RETURN_IF_ERROR(field->set(value).Annotate(StrCat("flag --", name)));
    field->source = Source::kFlag;
  }
  return OkStatus();
}

std::vector<EffectiveValue> Loader::Effective() const {
  std::vector<EffectiveValue> out;
  for (const Bound& b : fields_) {
    std::string value = b.get();
    if (b.spec.secret && !value.empty()) value = kSecretText;
    out.push_back({.name = b.name, .value = std::move(value), .source = b.source});
  }
  return out;
}

std::string Loader::Help() const {
  std::string out = StrCat(description_, "\n\nFlags (each also as ", EnvironmentName("<NAME>"),
                           ", or as 'name = value' in the file given by --config):\n");
  for (const Bound& b : fields_) {
    StrAppend(&out, "  --", b.name, "=",
              b.spec.secret && !b.default_text.empty() ? kSecretText : b.default_text, "\n",
              Wrap(StrCat(b.spec.help, " (", Admitted(b.spec), ")"), 6, 100), "\n");
  }
  StrAppend(
      &out,
      "  --config=FILE\n      read fields from FILE\n  --help\n      print this text and exit\n");
  return out;
}

std::string Loader::Markdown() const {
  std::string out =
      StrCat("## ", service_, "\n\n", description_, " Environment: `", EnvironmentName("<NAME>"),
             "`.\n\n| name | default | admitted | meaning |\n|---|---|---|---|\n");
  for (const Bound& b : fields_) {
    StrAppend(&out, "| `", b.name, "` | ",
              b.default_text.empty() ? "" : StrCat("`", MarkdownCell(b.default_text), "`"), " | ",
              MarkdownCell(Admitted(b.spec)), " | ", MarkdownCell(b.spec.help),
              b.spec.secret ? " (secret)" : "", " |\n");
  }
  return out;
}

}  // namespace megalith::config
