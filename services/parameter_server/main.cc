// megalith-parameter-server: embedding tables as a process.
#include "services/parameter_server/table_service.h"

int main(int argc, char** argv) {
  return megalith::services::RunService(argc, argv, megalith::services::ParameterServerSpec());
}
