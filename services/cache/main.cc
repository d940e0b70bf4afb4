// megalith-cache: the content-addressed store as a process.
#include "services/cache/cache_service.h"

int main(int argc, char** argv) {
  return megalith::services::RunService(argc, argv, megalith::services::CacheSpec());
}
