#include "common/programs/ir/doc.h"

namespace megalith::ir {

DocArena::Doc DocArena::Add(Node node) {
  nodes_.push_back(node);
  text_bytes_ += node.text.size();
  return static_cast<Doc>(nodes_.size() - 1);
}

DocArena::Doc DocArena::Text(std::string text) {
  owned_.push_back(std::make_unique<std::string>(std::move(text)));
  return View(*owned_.back());
}

DocArena::Doc DocArena::View(std::string_view text) {
  return Add({.kind = Kind::kText, .flat_width = static_cast<int64_t>(text.size()), .text = text});
}

DocArena::Doc DocArena::Break(std::string_view flat) {
  return Add({.kind = Kind::kBreak, .flat_width = static_cast<int64_t>(flat.size()), .text = flat});
}

DocArena::Doc DocArena::Concat(std::vector<Doc> parts) {
  Node node{.kind = Kind::kConcat,
            .first = static_cast<uint32_t>(children_.size()),
            .count = static_cast<uint32_t>(parts.size())};
  for (const Doc d : parts) node.flat_width += nodes_[d].flat_width;
  children_.insert(children_.end(), parts.begin(), parts.end());
  return Add(node);
}

DocArena::Doc DocArena::Group(Doc d) {
  return Add({.kind = Kind::kGroup, .flat_width = nodes_[d].flat_width, .first = d, .count = 1});
}

DocArena::Doc DocArena::Nest(int indent, Doc d) {
  return Add({.kind = Kind::kNest,
              .indent = indent,
              .flat_width = nodes_[d].flat_width,
              .first = d,
              .count = 1});
}

std::string DocArena::Render(Doc root, int64_t width, uint64_t max_bytes) const {
  struct Item {
    Doc doc;
    int32_t indent;
    bool flat;
  };
  std::string out;
  int64_t column = 0;
  std::vector<Item> agenda = {{root, 0, false}};
  while (!agenda.empty() && out.size() <= max_bytes) {
    const Item item = agenda.back();
    agenda.pop_back();
    const Node& node = nodes_[item.doc];
    switch (node.kind) {
      case Kind::kText:
        out += node.text;
        column += static_cast<int64_t>(node.text.size());
        break;
      case Kind::kBreak:
        if (item.flat) {
          out += node.text;
          column += static_cast<int64_t>(node.text.size());
        } else {
          out += '\n';
          out.append(static_cast<size_t>(item.indent), ' ');
          column = item.indent;
        }
        break;
      case Kind::kConcat:
        for (uint32_t i = node.count; i-- > 0;) {
          agenda.push_back({children_[node.first + i], item.indent, item.flat});
        }
        break;
      case Kind::kGroup:
        agenda.push_back({node.first, item.indent, node.flat_width <= width - column});
        break;
      case Kind::kNest:
        agenda.push_back({node.first, item.indent + node.indent, item.flat});
        break;
    }
  }
  return out;
}

}  // namespace megalith::ir
