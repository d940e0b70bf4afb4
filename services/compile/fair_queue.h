// Who is next: first by urgency, then clients in turn, then first come, first served.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>

namespace megalith::services {

// How much somebody waits for a compilation.
enum class Urgency : uint8_t {
  kInteractive = 0,  // a person or a request
  kBatch = 1,        // a job that has time
  kBackground = 2,   // nobody waits: what is made in advance
};
inline constexpr size_t kNumUrgencies = 3;
inline constexpr std::array<const char*, kNumUrgencies> kUrgencyNames = {"interactive", "batch",
                                                                         "background"};

// Items of type T (cheap to copy, comparable) of many clients. An item may be listed more than
// once, under several clients. Within an urgency every client with items has its turn after every
// other, however many items it has. Not thread-safe. Cost: Push is linear in the items of the
// client, Pop a map lookup, Remove linear in all.
template <typename T>
class FairQueue {
 public:
  // Does nothing if the client has listed it already.
  void Push(Urgency urgency, const std::string& client, T item) {
    Lane& lane = lanes_[static_cast<size_t>(urgency)];
    std::deque<T>& items = lane.items[client];
    if (std::find(items.begin(), items.end(), item) != items.end()) return;
    if (items.empty()) lane.turns.push_back(client);
    items.push_back(std::move(item));
  }

  // The next item among urgencies up to `least`; nullptr if there is none. Valid until the next
  // change.
  const T* Peek(Urgency least) const {
    for (size_t u = 0; u <= static_cast<size_t>(least); ++u) {
      const Lane& lane = lanes_[u];
      if (!lane.turns.empty()) return &lane.items.at(lane.turns.front()).front();
    }
    return nullptr;
  }

  // Removes what Peek gives, which must not be nullptr; its client's next turn is after all others.
  T Pop(Urgency least) {
    for (size_t u = 0; u < static_cast<size_t>(least); ++u) {
      if (!lanes_[u].turns.empty()) return PopOf(lanes_[u]);
    }
    return PopOf(lanes_[static_cast<size_t>(least)]);
  }

  // Removes the item wherever it is listed.
  void Remove(const T& item) {
    for (Lane& lane : lanes_) {
      for (auto at = lane.items.begin(); at != lane.items.end();) {
        std::erase(at->second, item);
        if (!at->second.empty()) {
          ++at;
          continue;
        }
        std::erase(lane.turns, at->first);
        at = lane.items.erase(at);
      }
    }
  }

  // The item that can wait longest: the last one of the client with most items, of the lowest
  // urgency below `urgency`. nullptr if there is none.
  const T* LeastUrgentBelow(Urgency urgency) const {
    for (size_t u = kNumUrgencies; u-- > static_cast<size_t>(urgency) + 1;) {
      const auto& items = lanes_[u].items;
      const auto most = std::max_element(
          items.begin(), items.end(),
          [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
      if (most != items.end()) return &most->second.back();
    }
    return nullptr;
  }

 private:
  struct Lane {
    std::map<std::string, std::deque<T>> items;  // none of them empty
    std::deque<std::string> turns;               // clients in `items`, each once
  };

  static T PopOf(Lane& lane) {
    const std::string client = std::move(lane.turns.front());
    lane.turns.pop_front();
    const auto at = lane.items.find(client);
    T item = std::move(at->second.front());
    at->second.pop_front();
    if (at->second.empty()) {
      lane.items.erase(at);
    } else {
      lane.turns.push_back(client);
    }
    return item;
  }

  std::array<Lane, kNumUrgencies> lanes_;
};

}  // namespace megalith::services
