// Content keys: a digest over named components, which are kept beside the entry so that two keys
// can be explained.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/sha256.h"
#include "common/foundation/base/status.h"

namespace megalith::cache {

// One thing that a key covers.
struct Component {
  std::string name;  // "program", "options", "target", "compiler_version"
  Sha256Digest digest;
  std::string
      text;  // the component itself if it is short UTF-8 text, for people; not part of the key
  friend bool operator==(const Component&, const Component&) = default;
};

// Components longer than this keep only their digest.
inline constexpr size_t kMaxComponentText = 256;

// SHA-256 of "megalith-key-v1", the kind, and the names and digests of the components, which are
// sorted by name. Persistent: never change (docs/formats/cache-entry.md).
struct Key {
  std::string kind;  // "executable", "trace", ...
  std::vector<Component> components;
  Sha256Digest digest;

  std::string Hex() const { return digest.Hex(); }
  friend bool operator==(const Key& a, const Key& b) { return a.digest == b.digest; }
};

// Collects components in any order. A name may be given once (CHECK).
class KeyBuilder {
 public:
  explicit KeyBuilder(std::string kind) : kind_(std::move(kind)) {}
  KeyBuilder& Add(std::string_view name, std::string_view bytes);
  // For a component of which only the digest is at hand.
  KeyBuilder& AddDigest(std::string_view name, const Sha256Digest& digest);
  Key Build() const;

 private:
  std::string kind_;
  std::vector<Component> components_;
};

// The digest that `kind` and `components` give; checks that the components are sorted and unique.
// Errors: kInvalidArgument.
Result<Sha256Digest> DigestOf(std::string_view kind, const std::vector<Component>& components);

// Parses 64 lower-case hexadecimal digits. Errors: kInvalidArgument, quoting what was found.
Result<Sha256Digest> ParseKey(std::string_view hex);

// One component that is not the same in two keys.
struct Difference {
  std::string name;
  std::optional<Component> left;
  std::optional<Component> right;
};

// By name; empty exactly if the keys are equal. A difference of kinds counts as a component "kind".
std::vector<Difference> Explain(const Key& left, const Key& right);

}  // namespace megalith::cache
