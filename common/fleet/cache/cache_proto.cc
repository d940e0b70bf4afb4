#include "common/fleet/cache/cache_proto.h"

#include "common/foundation/base/strings.h"

namespace megalith::cache {

common::v1::KeyComponent ComponentToProto(const Component& component) {
  common::v1::KeyComponent proto;
  proto.set_name(component.name);
  proto.set_digest(component.digest.Hex());
  proto.set_text(component.text);
  return proto;
}

Result<Component> ComponentFromProto(const common::v1::KeyComponent& proto) {
  Component component{.name = proto.name(), .digest = {}, .text = proto.text()};
  ASSIGN_OR_RETURN(component.digest,
                   ParseKey(proto.digest()).Annotate(StrCat("component '", proto.name(), "'")));
  if (component.text.size() > kMaxComponentText) {
    return InvalidArgument(StrCat("component '", Printable(proto.name()), "' has ",
                                  component.text.size(), " bytes of text, the limit is ",
                                  kMaxComponentText));
  }
  if (!component.text.empty() && Sha256::Of(component.text) != component.digest) {
    return InvalidArgument(
        StrCat("text of component '", Printable(proto.name()), "' does not match its digest"));
  }
  return component;
}

Result<Key> KeyFromProto(
    const std::string& hex, const std::string& kind,
    const google::protobuf::RepeatedPtrField<common::v1::KeyComponent>& components) {
  Key key{.kind = kind, .components = {}, .digest = {}};
  ASSIGN_OR_RETURN(key.digest, ParseKey(hex));
  for (const common::v1::KeyComponent& c : components) {
    ASSIGN_OR_RETURN(Component component, ComponentFromProto(c));
    key.components.push_back(std::move(component));
  }
  ASSIGN_OR_RETURN(const Sha256Digest digest, DigestOf(key.kind, key.components));
  if (digest != key.digest)
    return InvalidArgument(StrCat("components hash to ", digest.Hex(), ", the key given is ", hex));
  return key;
}

v1::EntryInfo InfoToProto(const EntryInfo& info) {
  v1::EntryInfo proto;
  proto.set_key(info.key.Hex());
  proto.set_kind(info.key.kind);
  for (const Component& c : info.key.components) *proto.add_components() = ComponentToProto(c);
  proto.set_value_bytes(info.value_bytes);
  proto.set_created_unix_nanos(info.created_unix_nanos);
  proto.set_in_memory(info.in_memory);
  return proto;
}

Result<EntryInfo> InfoFromProto(const v1::EntryInfo& proto) {
  EntryInfo info{.key = {},
                 .created_unix_nanos = proto.created_unix_nanos(),
                 .value_bytes = proto.value_bytes(),
                 .in_memory = proto.in_memory()};
  ASSIGN_OR_RETURN(info.key, KeyFromProto(proto.key(), proto.kind(), proto.components()));
  return info;
}

v1::ComponentDifference DifferenceToProto(const Difference& difference) {
  v1::ComponentDifference proto;
  proto.set_name(difference.name);
  if (difference.left) *proto.mutable_left() = ComponentToProto(*difference.left);
  if (difference.right) *proto.mutable_right() = ComponentToProto(*difference.right);
  return proto;
}

Result<Difference> DifferenceFromProto(const v1::ComponentDifference& proto) {
  Difference difference{.name = proto.name(), .left = std::nullopt, .right = std::nullopt};
  if (proto.has_left()) {
    ASSIGN_OR_RETURN(difference.left, ComponentFromProto(proto.left()));
  }
  if (proto.has_right()) {
    ASSIGN_OR_RETURN(difference.right, ComponentFromProto(proto.right()));
  }
  return difference;
}

}  // namespace megalith::cache
