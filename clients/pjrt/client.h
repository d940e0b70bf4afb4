// The objects a host holds: a client, its devices and memories, and the topology they form.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "clients/pjrt/abi.h"
#include "clients/pjrt/engine.h"

namespace megalith::pjrt {

// Runs the programs of one device in the order they were given. Thread-safe.
class LaunchQueue {
 public:
  LaunchQueue() = default;
  ~LaunchQueue();  // finishes what was given

  // True if nothing is waiting or running: then a caller may as well run its program itself.
  bool idle() const { return pending_.load(std::memory_order_acquire) == 0; }
  // True for launches of what a launch of this queue calls: they cannot wait for its end.
  bool inside() const;
  // Blocks while `kMostPending` programs wait, so that a host cannot queue without bound.
  void Push(std::function<void()> launch);

 private:
  static constexpr int kMostPending = 32;
  void Work();

  std::atomic<int> pending_{0};
  std::mutex mu_;  // guards the rest
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool stop_ = false;
  std::thread worker_;  // started by the first Push
};

// Bytes held by the buffers of one device.
struct MemoryCount {
  std::atomic<int64_t> bytes{0}, peak{0}, allocations{0}, largest{0};
  void Add(int64_t n);
  void Remove(int64_t n) { bytes.fetch_sub(n, std::memory_order_relaxed); }
};

}  // namespace megalith::pjrt

namespace megalith::pjrt::abi {

struct DeviceDescription {
  int id = 0;
  std::string kind, to_string, debug_string;
};

struct Memory {
  Client* client = nullptr;
  Device* device = nullptr;
  int id = 0;
  int kind_id = 0;
  std::string kind, to_string;  // kind: "device" or "pinned_host"
  std::vector<Device*> devices;
};

struct Device {
  Client* client = nullptr;
  DeviceDescription* description = nullptr;
  std::vector<Memory*> memories;  // the first is the default
  std::unique_ptr<LaunchQueue> queue;
  std::shared_ptr<MemoryCount> count;  // buffers hold it too
};

// Devices by number; attributes it has none.
struct TopologyDescription {
  std::string version;
  std::vector<std::unique_ptr<DeviceDescription>> owned;
  std::vector<DeviceDescription*> devices;
};

struct Client {
  std::shared_ptr<Engine> engine;
  std::string version;
  TopologyDescription topology;
  std::vector<std::unique_ptr<Device>> owned_devices;
  std::vector<std::unique_ptr<Memory>> owned_memories;
  std::vector<Device*> devices;
  std::vector<Memory*> memories;
};

}  // namespace megalith::pjrt::abi

namespace megalith::pjrt {

inline constexpr std::string_view kPlatform = "megalith";

// A topology of `devices` virtual devices, numbered from 0.
void FillTopology(int devices, std::string version, abi::TopologyDescription* topology);
// A client of `devices` virtual devices on one engine.
std::unique_ptr<abi::Client> MakeClient(std::shared_ptr<Engine> engine, int devices);

}  // namespace megalith::pjrt
