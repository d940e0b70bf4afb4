// megalith: the whole fleet in one process.
#include "services/allinone/engines.h"

int main(int argc, char** argv) {
  return megalith::services::RunService(
      argc, argv, megalith::services::AllInOneSpec(megalith::services::RealEngines()));
}
