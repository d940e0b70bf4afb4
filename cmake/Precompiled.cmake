# Precompiled headers: a third of the time of a build from nothing. One per kind of file (of a library, a program or a
# test), shared by all targets of that kind, which therefore have the same compiler flags; a source with flags of its own
# has the property SKIP_PRECOMPILE_HEADERS. Those of gRPC, Protobuf and JSON are not among them: to load them costs files
# without them as much as it saves the others.
if(MEGALITH_SANITIZE OR MEGALITH_FUZZERS OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(precompile OFF)  # so that a file that forgets an include is found
else()
  set(precompile ON)
endif()
option(MEGALITH_PRECOMPILE "Compile common headers once" ${precompile})

# megalith_precompiled_headers(use): makes the target whose headers the files of a use (library, program, test) share.
function(megalith_precompiled_headers use)
  set(target megalith_precompiled_${use})
  set(source ${PROJECT_BINARY_DIR}/precompiled/${use}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "int main() {}\n")
  if(use STREQUAL "library")
    add_library(${target} OBJECT EXCLUDE_FROM_ALL ${source})
  else()  # compiled with -fPIE
    add_executable(${target} EXCLUDE_FROM_ALL ${source})
  endif()
  target_link_libraries(${target} PRIVATE megalith_flags)
  set(header standard.h)
  if(use STREQUAL "test")
    target_link_libraries(${target} PRIVATE GTest::gtest GTest::gmock)
    set(header test.h)
  endif()
  target_precompile_headers(${target} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled/${header})
endfunction()

# megalith_precompile(target use): target shares the headers of its use: library, program or test.
function(megalith_precompile target use)
  if(MEGALITH_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM megalith_precompiled_${use})
  endif()
endfunction()

if(MEGALITH_PRECOMPILE)
  megalith_precompiled_headers(library)
  megalith_precompiled_headers(program)
  if(MEGALITH_TESTS)
    megalith_precompiled_headers(test)
  endif()
endif()
