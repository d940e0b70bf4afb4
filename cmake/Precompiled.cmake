# Precompiled headers: a third of the time of a build from nothing. One per kind of file (of a library, a
# program or a test; with or without gRPC), shared by all targets of that kind, which therefore have the same compiler
# flags; a source with flags of its own has the property SKIP_PRECOMPILE_HEADERS.
if(MEGALITH_SANITIZE OR MEGALITH_FUZZERS OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(precompile OFF)  # so that a file that forgets an include is found
else()
  set(precompile ON)
endif()
option(MEGALITH_PRECOMPILE "Compile common headers once" ${precompile})
# Directories whose files speak gRPC or JSON.
set(MEGALITH_FLEET_DIRECTORIES "^${PROJECT_SOURCE_DIR}/(common/fleet|services|clients|tests/(docs|faults|golden|support))(/|$)")

# megalith_precompiled_headers(group use): makes the target whose headers the files of a group (standard, fleet) share that
# are used in a library, a program or a test.
function(megalith_precompiled_headers group use)
  set(target megalith_precompiled_${group}_${use})
  set(source ${PROJECT_BINARY_DIR}/precompiled/${group}_${use}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "int main() {}\n")
  if(use STREQUAL "library")
    add_library(${target} OBJECT EXCLUDE_FROM_ALL ${source})
  else()  # compiled with -fPIE
    add_executable(${target} EXCLUDE_FROM_ALL ${source})
  endif()
  target_link_libraries(${target} PRIVATE megalith_flags)
  if(group STREQUAL "fleet")
    target_link_libraries(${target} PRIVATE gRPC::grpc++ protobuf::libprotobuf nlohmann_json::nlohmann_json)
  endif()
  set(header ${group}.h)
  if(use STREQUAL "test")
    target_link_libraries(${target} PRIVATE GTest::gtest GTest::gmock)
    set(header ${group}_test.h)
  endif()
  target_precompile_headers(${target} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled/${header})
endfunction()

# megalith_precompile(target use): target shares the headers of its directory's group; use is library, program or test.
function(megalith_precompile target use)
  if(NOT MEGALITH_PRECOMPILE)
    return()
  endif()
  if(CMAKE_CURRENT_SOURCE_DIR MATCHES "${MEGALITH_FLEET_DIRECTORIES}")
    target_precompile_headers(${target} REUSE_FROM megalith_precompiled_fleet_${use})
  else()
    target_precompile_headers(${target} REUSE_FROM megalith_precompiled_standard_${use})
  endif()
endfunction()

if(MEGALITH_PRECOMPILE)
  foreach(use library program test)
    if(MEGALITH_TESTS OR NOT use STREQUAL "test")
      megalith_precompiled_headers(standard ${use})
      if(MEGALITH_FLEET)
        megalith_precompiled_headers(fleet ${use})
      endif()
    endif()
  endforeach()
endif()
