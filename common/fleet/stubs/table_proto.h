// What the clients of parameter servers say alike in megalith.table.v1.
#pragma once

#include "common/learning/embedding/gradients.h"

namespace megalith::table::v1 {
enum NonFinitePolicy : int;
}

namespace megalith::stubs {

table::v1::NonFinitePolicy PolicyOf(embedding::NonFinite policy);

}  // namespace megalith::stubs
