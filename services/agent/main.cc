// megalith-agent: who serves what, registered in ZooKeeper, as a process.
#include "services/agent/agent_service.h"

int main(int argc, char** argv) {
  return megalith::services::RunService(argc, argv, megalith::services::AgentSpec());
}
