// What one request to ZooKeeper waits for, the client library's completions that fill it in, and
// its error codes as ours. For client.cc only.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/fleet/discovery/zookeeper/client.h"

struct Stat;           // the library's
struct String_vector;  // the library's

namespace megalith::discovery {

// A return code of the library; OK for ZOK. The message says what was done to which path.
Status StatusOf(int rc, std::string_view what, std::string_view path);

// The library calls exactly one completion for every request it took, on its own thread.
struct Answer {
  std::mutex mu;
  std::condition_variable ready;
  bool done = false;  // guarded by mu, as all below
  int rc = 0;
  std::string text;  // path
  ZkNode node;
  std::vector<std::string> names;  // sorted

  // Returns the request's return code.
  int Wait();
};

// Completions; `data` is the Answer.
void OnData(int rc, const char* value, int length, const Stat* stat, const void* data);
void OnStat(int rc, const Stat* stat, const void* data);
void OnText(int rc, const char* value, const void* data);
void OnNames(int rc, const String_vector* strings, const void* data);
void OnVoid(int rc, const void* data);

}  // namespace megalith::discovery
