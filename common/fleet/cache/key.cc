#include "common/fleet/cache/key.h"

#include <algorithm>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::cache {
namespace {

constexpr std::string_view kKeyTag = "megalith-key-v1";
constexpr size_t kMaxComponents = 64;
constexpr size_t kMaxName = 64;

std::string_view Raw(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

Component TextComponent(std::string name, const std::string& text) {
  return {.name = std::move(name), .digest = Sha256::Of(text), .text = text};
}

}  // namespace

KeyBuilder& KeyBuilder::Add(std::string_view name, std::string_view bytes) {
  AddDigest(name, Sha256::Of(bytes));
  if (bytes.size() <= kMaxComponentText && !FindInvalidUtf8(bytes))
    components_.back().text = std::string(bytes);
  return *this;
}

KeyBuilder& KeyBuilder::AddDigest(std::string_view name, const Sha256Digest& digest) {
  for (const Component& c : components_) CHECK(c.name != name);
  components_.push_back({.name = std::string(name), .digest = digest, .text = ""});
  return *this;
}

Key KeyBuilder::Build() const {
  Key key{.kind = kind_, .components = components_, .digest = {}};
  std::sort(key.components.begin(), key.components.end(),
            [](const Component& a, const Component& b) { return a.name < b.name; });
  const Result<Sha256Digest> digest = DigestOf(key.kind, key.components);
  CHECK(digest.ok());
  key.digest = *digest;
  return key;
}

Result<Sha256Digest> DigestOf(std::string_view kind, const std::vector<Component>& components) {
  if (kind.empty() || kind.size() > kMaxName)
    return InvalidArgument(
        StrCat("key kind has ", kind.size(), " bytes, expected 1 to ", kMaxName));
  if (components.size() > kMaxComponents) {
    return InvalidArgument(
        StrCat("key has ", components.size(), " components, the limit is ", kMaxComponents));
  }
  ByteWriter w;
  w.Raw(kKeyTag);
  w.Sized(kind);
  w.U64(components.size());
  std::string_view last;
  for (const Component& c : components) {
    if (c.name.empty() || c.name.size() > kMaxName)
      return InvalidArgument("key component has an empty or overlong name");
    if (c.name <= last)
      return InvalidArgument(StrCat("key components are not sorted: '", Printable(c.name),
                                    "' follows '", Printable(last), "'"));
    last = c.name;
    w.Sized(c.name);
    w.Raw(Raw(c.digest));
  }
  return Sha256::Of(w.data());
}

Result<Sha256Digest> ParseKey(std::string_view hex) {
  const auto bytes = HexDecode(hex);
  if (hex.size() != 64 || !bytes) {
    return InvalidArgument(
        StrCat("expects a key of 64 lower-case hexadecimal digits, got '", Printable(hex), "'"));
  }
  Sha256Digest digest;
  std::copy(bytes->begin(), bytes->end(), digest.bytes.begin());
  return digest;
}

std::vector<Difference> Explain(const Key& left, const Key& right) {
  std::vector<Difference> out;
  if (left.kind != right.kind) {
    out.push_back({.name = "kind",
                   .left = TextComponent("kind", left.kind),
                   .right = TextComponent("kind", right.kind)});
  }
  auto l = left.components.begin();
  auto r = right.components.begin();
  while (l != left.components.end() || r != right.components.end()) {
    if (r == right.components.end() || (l != left.components.end() && l->name < r->name)) {
      out.push_back({.name = l->name, .left = *l, .right = std::nullopt});
      ++l;
    } else if (l == left.components.end() || r->name < l->name) {
      out.push_back({.name = r->name, .left = std::nullopt, .right = *r});
      ++r;
    } else {
      if (l->digest != r->digest) out.push_back({.name = l->name, .left = *l, .right = *r});
      ++l;
      ++r;
    }
  }
  return out;
}

}  // namespace megalith::cache
