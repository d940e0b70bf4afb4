# megalith_proto(NAME name PROTOS file.proto... [ROOT dir] [DEPS megalith_proto_x...]) makes megalith_proto_<name>: the
# generated messages of one package. Only messages are generated; methods are called by name through common/fleet/rpc.
# PROTOS are relative to ROOT, which defaults to protos/. SERVICES are further ones, which have services and no messages:
# nothing refers to them, so the linker is told to keep what describes their methods.
function(megalith_proto)
  cmake_parse_arguments(ARG "" "NAME;ROOT" "PROTOS;SERVICES;DEPS" ${ARGN})
  if(NOT ARG_ROOT)
    set(ARG_ROOT ${PROJECT_SOURCE_DIR}/protos)
  endif()
  set(out_dir ${PROJECT_BINARY_DIR}/generated)
  set(sources)
  foreach(proto ${ARG_PROTOS} ${ARG_SERVICES})
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    add_custom_command(
      OUTPUT ${out_dir}/${stem}.pb.cc ${out_dir}/${stem}.pb.h
      COMMAND ${CMAKE_COMMAND} -E make_directory ${out_dir}
      COMMAND protobuf::protoc --cpp_out=${out_dir} -I ${ARG_ROOT} -I ${PROJECT_SOURCE_DIR}/protos
              -I ${PROJECT_SOURCE_DIR}/protos/interop
              ${ARG_ROOT}/${proto}
      DEPENDS ${ARG_ROOT}/${proto} VERBATIM)
    list(APPEND sources ${out_dir}/${stem}.pb.cc)
  endforeach()
  add_library(megalith_proto_${ARG_NAME} STATIC ${sources})
  # Generated headers are third-party code to our warnings.
  target_include_directories(megalith_proto_${ARG_NAME} SYSTEM PUBLIC ${out_dir})
  target_link_libraries(megalith_proto_${ARG_NAME} PUBLIC protobuf::libprotobuf ${ARG_DEPS})
  target_compile_options(megalith_proto_${ARG_NAME} PRIVATE -w)
  foreach(proto ${ARG_SERVICES})
    string(REPLACE "_" "_5f" symbol ${proto})
    string(REPLACE "/" "_2f" symbol ${symbol})
    string(REPLACE "." "_2e" symbol ${symbol})
    target_link_options(megalith_proto_${ARG_NAME} INTERFACE LINKER:--undefined=descriptor_table_${symbol})
  endforeach()
  if(MEGALITH_SANITIZE)
    target_compile_options(megalith_proto_${ARG_NAME} PRIVATE ${megalith_sanitize_options})
  endif()
endfunction()
