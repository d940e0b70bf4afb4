// Which updates a server has applied, so that one that is sent again is not applied again.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/status.h"

namespace megalith::embedding {

// Every client numbers its updates from 1. For each client the newest number applied is kept and,
// for the `window` numbers up to it, which were. A number below the window is neither applied nor
// called applied: the caller is told that it is too old.
//
// Threads: every method may be called concurrently. Memory: window / 8 bytes and the name per
// client.
class AppliedSequences {
 public:
  struct Options {
    size_t max_clients = 4096;
    uint64_t window = 4096;  // a multiple of 64
    // A client that sent nothing for this long makes room for a new one when all places are taken.
    std::chrono::seconds idle{24 * 3600};
  };
  static constexpr size_t kMaxClientBytes = 64;

  explicit AppliedSequences(Options options, const Clock& clock = RealClock());

  // The right to apply one update. Ends it as not applied unless Commit was called.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept { *this = std::move(other); }
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(client_, other.client_);
      std::swap(sequence_, other.sequence_);
      std::swap(epoch_, other.epoch_);
      return *this;
    }
    ~Ticket();
    // Marks the update as applied. Called where a snapshot sees the change and its mark together.
    void Commit();
    // The update had been applied before; there is nothing to do.
    bool already_applied() const { return owner_ == nullptr; }

   private:
    friend class AppliedSequences;
    AppliedSequences* owner_ = nullptr;
    std::string client_;
    uint64_t sequence_ = 0;
    uint64_t epoch_ = 0;
  };

  // Waits while the same update is being applied by another thread.
  // Errors: kInvalidArgument    sequence 0, or a client name of no or too many bytes;
  //         kOutOfRange         below the client's window;
  //         kResourceExhausted  max_clients are active;
  //         kCancelled, kDeadlineExceeded  of the wait.
  Result<Ticket> Begin(const std::string& client, uint64_t sequence,
                       const Cancellation& cancellation);

  // Whether the update is still to be applied: a Restore since Begin may have brought its mark.
  // Asked where no Restore can come between the answer and the change. Cost: an atomic load.
  // Errors: kOutOfRange  as Begin.
  Result<bool> IsNew(const Ticket& ticket) const;

  // Marks an update as applied without a ticket: replay of a log.
  void Record(const std::string& client, uint64_t sequence);

  // All marks (docs/formats/table-marks.md). Short enough for a snapshot's moment.
  std::string Snapshot() const;
  // Replaces all marks. Errors: kDataLoss  these are no marks; nothing has changed then.
  Status Restore(std::string_view bytes);
  // The two halves of Restore: all that can fail, and the replacement, which takes microseconds.
  Result<std::function<void()>> PrepareRestore(std::string_view bytes);

  size_t clients() const;

 private:
  struct Client {
    uint64_t newest = 0;
    std::vector<uint64_t> bits;  // ring of `window` bits
    int64_t last_used_nanos = 0;
  };
  enum class Mark : uint8_t { kNew, kApplied, kTooOld };

  static Status TooOld(const std::string& client, uint64_t sequence, uint64_t newest,
                       uint64_t window);
  Mark MarkOf(const Client& client, uint64_t sequence) const;
  void Set(Client& client, uint64_t sequence);
  Result<Client*> ClientOf(const std::string& name);

  const Options options_;
  const Clock& clock_;
  mutable std::mutex mu_;
  std::condition_variable ended_;
  std::atomic<uint64_t> epoch_{0};                      // restores so far
  std::map<std::string, Client> clients_;               // guarded by mu_
  std::set<std::pair<std::string, uint64_t>> running_;  // guarded by mu_
};

}  // namespace megalith::embedding
