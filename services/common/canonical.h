// Messages as bytes that are equal for equal messages.
#pragma once

#include <string>

namespace google::protobuf {
class Message;
}

namespace megalith::services {

// Serialized with maps in order of their keys. Good within one process and version, not a storage
// format.
std::string CanonicalBytes(const google::protobuf::Message& message);

}  // namespace megalith::services
