// Messages from their text form, as people write it into files.
#pragma once

#include <google/protobuf/message.h>

#include <string_view>

#include "common/foundation/base/status.h"

namespace megalith::serving {

// Errors: kInvalidArgument  with line and column; kResourceExhausted  2 GiB or more. Messages may
// be nested 100 deep.
Status ParseTextMessage(std::string_view text, google::protobuf::Message* out);

}  // namespace megalith::serving
