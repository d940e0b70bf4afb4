// Documents that lay themselves out: text, breaks, groups and nesting after Wadler and Lindig.
//
// Source: spec/jaxpr.md section 3. A group prints flat if its own flat length fits into the rest of
// the line; what follows the group is not looked at.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace megalith::ir {

// An arena of document nodes; handles are indices into it. Not thread-safe.
class DocArena {
 public:
  using Doc = uint32_t;

  Doc Text(std::string text);
  // A text that outlives the arena.
  Doc View(std::string_view text);
  // `flat` when its group is flat, otherwise a newline and the indentation.
  Doc Break(std::string_view flat);
  Doc Concat(std::vector<Doc> parts);
  Doc Group(Doc d);
  Doc Nest(int indent, Doc d);

  // Ends early, somewhere, once the text has more than `max_bytes`.
  std::string Render(Doc root, int64_t width, uint64_t max_bytes = UINT64_MAX) const;

  // Bytes of all texts and flat breaks so far.
  uint64_t text_bytes() const { return text_bytes_; }

 private:
  enum class Kind : uint8_t { kText, kBreak, kConcat, kGroup, kNest };
  struct Node {
    Kind kind;
    int32_t indent = 0;
    int64_t flat_width = 0;
    std::string_view text;  // kText, kBreak
    uint32_t first = 0;     // kConcat: run in children_; kGroup, kNest: the child
    uint32_t count = 0;
  };
  Doc Add(Node node);

  std::vector<Node> nodes_;
  std::vector<Doc> children_;
  std::vector<std::unique_ptr<std::string>> owned_;
  uint64_t text_bytes_ = 0;
};

}  // namespace megalith::ir
