// The models that the answers in conformance/fixtures/tf-serving were made with, written as
// functions of values.
#pragma once

#include <memory>
#include <string>

#include "common/learning/serving/folder_loader.h"

namespace megalith::testing {

// Loads half_plus_two, two_inputs or text, whichever the model is called, in any version and from
// any folder. Errors: kNotFound  another name.
std::unique_ptr<serving::Loader> MakeToyLoader();

}  // namespace megalith::testing
