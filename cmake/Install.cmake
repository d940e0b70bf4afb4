# What an image or a package of the fleet holds: `cmake --build DIR --target fleet`, then
# `cmake --install DIR --component fleet`.
set(MEGALITH_FLEET_BINARIES megalith megalithctl megalith-trace megalith-cache megalith-compile megalith-execute
  megalith-parameter-server megalith-agent megalith-agent-tools)
add_custom_target(fleet DEPENDS ${MEGALITH_FLEET_BINARIES})
install(TARGETS ${MEGALITH_FLEET_BINARIES} RUNTIME DESTINATION bin COMPONENT fleet)
if(TARGET megalith_codegen_llvm)
  add_dependencies(fleet megalith_codegen_llvm)
  install(TARGETS megalith_codegen_llvm LIBRARY DESTINATION lib/megalith COMPONENT fleet)
endif()
