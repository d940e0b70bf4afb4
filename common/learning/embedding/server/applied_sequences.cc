#include "common/learning/embedding/server/applied_sequences.h"

#include <algorithm>
#include <memory>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/crc32c.h"
#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

// Persistent: never change.
constexpr std::string_view kMagic = "MGLMARK1";
// How soon a waiting caller notices that it is cancelled.
constexpr std::chrono::milliseconds kPollInterval{20};

}  // namespace

AppliedSequences::AppliedSequences(Options options, const Clock& clock)
    : options_(std::move(options)), clock_(clock) {
  CHECK(options_.window > 0 && options_.window % 64 == 0);
}

AppliedSequences::Ticket::~Ticket() {
  if (owner_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(owner_->mu_);
  owner_->running_.erase({client_, sequence_});
  owner_->ended_.notify_all();
}

void AppliedSequences::Ticket::Commit() { owner_->Record(client_, sequence_); }

AppliedSequences::Mark AppliedSequences::MarkOf(const Client& client, uint64_t sequence) const {
  if (sequence > client.newest) return Mark::kNew;
  if (client.newest - sequence >= options_.window) return Mark::kTooOld;
  const uint64_t at = sequence % options_.window;
  return (client.bits[at / 64] >> (at % 64) & 1U) != 0 ? Mark::kApplied : Mark::kNew;
}

void AppliedSequences::Set(Client& client, uint64_t sequence) {
  const uint64_t window = options_.window;
  if (sequence > client.newest) {
    const uint64_t gone = std::min(sequence - client.newest, window);
    for (uint64_t i = 0; i < gone; ++i) {
      const uint64_t at = (sequence - i) % window;
      client.bits[at / 64] &= ~(uint64_t{1} << (at % 64));
    }
    client.newest = sequence;
  }
  if (client.newest - sequence >= window) return;
  const uint64_t at = sequence % window;
  client.bits[at / 64] |= uint64_t{1} << (at % 64);
}

Result<AppliedSequences::Client*> AppliedSequences::ClientOf(const std::string& name) {
  const int64_t now = clock_.Monotonic().count();
  const auto found = clients_.find(name);
  if (found != clients_.end()) {
    found->second.last_used_nanos = now;
    return &found->second;
  }
  if (clients_.size() >= options_.max_clients) {
    const auto oldest =
        std::min_element(clients_.begin(), clients_.end(), [](const auto& a, const auto& b) {
          return a.second.last_used_nanos < b.second.last_used_nanos;
        });
    const auto idle = std::chrono::nanoseconds(now - oldest->second.last_used_nanos);
    if (idle < options_.idle) {
      return ResourceExhausted(
          StrCat("updates of ", options_.max_clients,
                 " clients are being told apart, which is max_clients; keep one client for a "
                 "process instead of one for a call"));
    }
    clients_.erase(oldest);
  }
  Client& client = clients_[name];
  client.bits.assign(options_.window / 64, 0);
  client.last_used_nanos = now;
  return &client;
}

Result<AppliedSequences::Ticket> AppliedSequences::Begin(const std::string& client,
                                                         uint64_t sequence,
                                                         const Cancellation& cancellation) {
  if (client.empty() || client.size() > kMaxClientBytes) {
    return InvalidArgument(
        StrCat("a client's name has 1 to ", kMaxClientBytes, " bytes, got ", client.size()));
  }
  if (sequence == 0) return InvalidArgument("sequences count from 1, got 0");
  std::unique_lock<std::mutex> lock(mu_);
  while (running_.contains({client, sequence})) {
    RETURN_IF_ERROR(cancellation.Check());
    ended_.wait_for(lock, kPollInterval);
  }
  ASSIGN_OR_RETURN(const Client* known, ClientOf(client));
  Ticket ticket;
  switch (MarkOf(*known, sequence)) {
    case Mark::kApplied:
      return ticket;
    case Mark::kTooOld:
      return TooOld(client, sequence, known->newest, options_.window);
    case Mark::kNew:
      break;
  }
  running_.insert({client, sequence});
  ticket.owner_ = this;
  ticket.client_ = client;
  ticket.sequence_ = sequence;
  ticket.epoch_ = epoch_.load(std::memory_order_relaxed);
  return ticket;
}

Status AppliedSequences::TooOld(const std::string& client, uint64_t sequence, uint64_t newest,
                                uint64_t window) {
  return Status(Code::kOutOfRange,
                StrCat("update ", sequence, " of client '", Printable(client), "' lies ",
                       newest - sequence, " behind its newest and the window is ", window,
                       ": whether it was applied is no longer known, and it is not applied"));
}

Result<bool> AppliedSequences::IsNew(const Ticket& ticket) const {
  if (ticket.epoch_ == epoch_.load(std::memory_order_acquire)) return true;
  const std::lock_guard<std::mutex> lock(mu_);
  const auto known = clients_.find(ticket.client_);
  if (known == clients_.end()) return true;
  const Mark mark = MarkOf(known->second, ticket.sequence_);
  if (mark == Mark::kTooOld) {
    return TooOld(ticket.client_, ticket.sequence_, known->second.newest, options_.window);
  }
  return mark == Mark::kNew;
}

void AppliedSequences::Record(const std::string& client, uint64_t sequence) {
  const std::lock_guard<std::mutex> lock(mu_);
  Client& known = clients_[client];
  if (known.bits.empty()) {
    known.bits.assign(options_.window / 64, 0);
    known.last_used_nanos = clock_.Monotonic().count();
  }
  Set(known, sequence);
}

std::string AppliedSequences::Snapshot() const {
  const std::lock_guard<std::mutex> lock(mu_);
  ByteWriter out;
  out.Raw(kMagic);
  out.U64(options_.window);
  out.U64(clients_.size());
  for (const auto& [name, client] : clients_) {
    out.Sized(name);
    out.U64(client.newest);
    for (const uint64_t word : client.bits) out.U64(word);
  }
  out.U32(MaskCrc32c(Crc32c(out.data())));
  return out.Take();
}

Status AppliedSequences::Restore(std::string_view bytes) {
  ASSIGN_OR_RETURN(const std::function<void()> replace, PrepareRestore(bytes));
  replace();
  return OkStatus();
}

Result<std::function<void()>> AppliedSequences::PrepareRestore(std::string_view bytes) {
  constexpr size_t kCrcBytes = 4;
  if (bytes.size() < kMagic.size() + kCrcBytes || !bytes.starts_with(kMagic)) {
    return DataLoss("these bytes are no marks of applied updates");
  }
  const std::string_view body = bytes.substr(0, bytes.size() - kCrcBytes);
  ByteReader crc_reader(bytes.substr(body.size()));
  ASSIGN_OR_RETURN(const uint32_t crc, crc_reader.U32());
  if (UnmaskCrc32c(crc) != Crc32c(body)) {
    return DataLoss("the marks of applied updates fail their checksum");
  }
  ByteReader in(body);
  RETURN_IF_ERROR(in.Raw(kMagic.size()).status());
  ASSIGN_OR_RETURN(const uint64_t window, in.U64());
  ASSIGN_OR_RETURN(const uint64_t count, in.U64());
  if (window == 0 || window % 64 != 0) {
    return DataLoss(StrCat("the marks have a window of ", window));
  }
  const auto restored = std::make_shared<std::map<std::string, Client>>();
  std::map<std::string, Client>& clients = *restored;
  for (uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const std::string_view name, in.Sized());
    ASSIGN_OR_RETURN(const uint64_t newest, in.U64());
    ASSIGN_OR_RETURN(const std::string_view words, in.Raw(window / 8));
    Client& client = clients[std::string(name)];
    client.bits.assign(options_.window / 64, 0);
    client.last_used_nanos = clock_.Monotonic().count();
    client.newest = newest;
    // Bits by number, since the windows may differ.
    const uint64_t kept = std::min({window, options_.window, newest});
    for (uint64_t back = 0; back < kept; ++back) {
      const uint64_t at = (newest - back) % window;
      if ((static_cast<uint8_t>(words[at / 8]) >> (at % 8) & 1U) != 0) Set(client, newest - back);
    }
  }
  if (in.left() != 0) return DataLoss("the marks have bytes after their end");
  return std::function<void()>([this, restored] {
    const std::lock_guard<std::mutex> lock(mu_);
    clients_ = std::move(*restored);
    epoch_.fetch_add(1, std::memory_order_release);
  });
}

size_t AppliedSequences::clients() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return clients_.size();
}

}  // namespace megalith::embedding
