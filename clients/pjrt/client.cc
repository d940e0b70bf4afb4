#include "clients/pjrt/client.h"

#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::pjrt {

namespace {
thread_local const LaunchQueue* working_for = nullptr;
}  // namespace

bool LaunchQueue::inside() const { return working_for == this; }

LaunchQueue::~LaunchQueue() {
  {
    const std::lock_guard lock(mu_);
    stop_ = true;
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
}

void LaunchQueue::Push(std::function<void()> launch) {
  pending_.fetch_add(1, std::memory_order_acq_rel);
  {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [this] { return queue_.size() < kMostPending; });
    queue_.push_back(std::move(launch));
    if (!worker_.joinable()) worker_ = std::thread([this] { Work(); });
  }
  changed_.notify_all();
}

void LaunchQueue::Work() {
  working_for = this;
  std::unique_lock lock(mu_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::function<void()> launch = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    changed_.notify_all();
    launch();
    launch = nullptr;
    pending_.fetch_sub(1, std::memory_order_acq_rel);
    lock.lock();
  }
}

void MemoryCount::Add(int64_t n) {
  const int64_t now = bytes.fetch_add(n, std::memory_order_relaxed) + n;
  allocations.fetch_add(1, std::memory_order_relaxed);
  const auto raise = [](std::atomic<int64_t>* most, int64_t v) {
    int64_t seen = most->load(std::memory_order_relaxed);
    while (seen < v && !most->compare_exchange_weak(seen, v, std::memory_order_relaxed)) {
    }
  };
  raise(&peak, now);
  raise(&largest, n);
}

void FillTopology(int devices, std::string version, abi::TopologyDescription* topology) {
  topology->version = std::move(version);
  for (int i = 0; i < devices; ++i) {
    auto d = std::make_unique<abi::DeviceDescription>();
    d->id = i;
    d->kind = kPlatform;
    d->to_string = StrCat("MegalithDevice(id=", i, ")");
    d->debug_string = StrCat("MEGALITH_", i);
    topology->devices.push_back(d.get());
    topology->owned.push_back(std::move(d));
  }
}

std::unique_ptr<abi::Client> MakeClient(std::shared_ptr<Engine> engine, int devices) {
  auto client = std::make_unique<abi::Client>();
  client->version = engine->version();
  client->engine = std::move(engine);
  FillTopology(devices, client->version, &client->topology);
  constexpr std::string_view kKinds[] = {"device", "pinned_host"};
  for (int i = 0; i < devices; ++i) {
    auto device = std::make_unique<abi::Device>();
    device->client = client.get();
    device->description = client->topology.devices[static_cast<size_t>(i)];
    device->queue = std::make_unique<LaunchQueue>();
    device->count = std::make_shared<MemoryCount>();
    for (int k = 0; k < 2; ++k) {
      auto memory = std::make_unique<abi::Memory>();
      memory->client = client.get();
      memory->device = device.get();
      memory->id = 2 * i + k;
      memory->kind_id = k;
      memory->kind = kKinds[k];
      memory->to_string = StrCat("MegalithMemory(", memory->kind, ", device ", i, ")");
      memory->devices = {device.get()};
      device->memories.push_back(memory.get());
      client->memories.push_back(memory.get());
      client->owned_memories.push_back(std::move(memory));
    }
    client->devices.push_back(device.get());
    client->owned_devices.push_back(std::move(device));
  }
  return client;
}

}  // namespace megalith::pjrt
