// What tests of files that speak gRPC or JSON include; see standard.h.
#pragma once

#include "cmake/precompiled/fleet.h"
#include "cmake/precompiled/standard_test.h"
