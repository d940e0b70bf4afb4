#include "common/fleet/stubs/table_proto.h"

#include "megalith/table/v1/table.pb.h"

namespace megalith::stubs {

table::v1::NonFinitePolicy PolicyOf(embedding::NonFinite policy) {
  switch (policy) {
    case embedding::NonFinite::kReject:
      return table::v1::NON_FINITE_REJECT;
    case embedding::NonFinite::kSkip:
      return table::v1::NON_FINITE_SKIP;
    case embedding::NonFinite::kClip:
      return table::v1::NON_FINITE_CLIP;
  }
  return table::v1::NON_FINITE_UNSPECIFIED;
}

}  // namespace megalith::stubs
