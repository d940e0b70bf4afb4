#include "clients/pjrt/host_callbacks.h"

#include <array>
#include <optional>
#include <type_traits>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::pjrt {

static_assert(sizeof(HostCalls::Array) == sizeof(MegalithHostArray) &&
                  std::is_standard_layout_v<HostCalls::Array> &&
                  offsetof(HostCalls::Array, num_dims) == offsetof(MegalithHostArray, num_dims),
              "arrays are handed on as they are");

// Does not hold the mutex while the host works: its functions may run programs that call others.
class HostCallbacks::Use {
 public:
  explicit Use(const HostCallbacks& owner) : owner_(owner) {
    const std::lock_guard lock(owner_.mu_);
    if (!owner_.offered_) return;
    table_ = owner_.table_;
    ++owner_.uses_;
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    if (!table_) return;
    const std::lock_guard lock(owner_.mu_);
    if (--owner_.uses_ == 0) owner_.idle_.notify_all();
  }
  // Null if the host offers nothing.
  const MegalithHostCallbacks* operator->() const { return table_ ? &*table_ : nullptr; }
  explicit operator bool() const { return table_.has_value(); }

 private:
  const HostCallbacks& owner_;
  std::optional<MegalithHostCallbacks> table_;
};

HostCallbacks::Hold::~Hold() {
  if (ids_.empty()) return;
  const Use use(*owner_);
  for (const uint64_t id : ids_) {
    if (use) use->release(id);
  }
}

void HostCallbacks::Set(const MegalithHostCallbacks* table) {
  std::unique_lock lock(mu_);
  offered_ = false;
  idle_.wait(lock, [this] { return uses_ == 0; });
  if (table == nullptr || table->struct_size < sizeof(MegalithHostCallbacks)) return;
  table_ = *table;
  offered_ = true;
}

Result<HostCallbacks::Hold> HostCallbacks::Acquire(const std::vector<uint64_t>& ids) {
  Hold hold;
  hold.owner_ = this;
  if (ids.empty()) return hold;
  const Use use(*this);
  for (const uint64_t id : ids) {
    if (!use || use->hold(id) == 0) {
      return FailedPrecondition(
          StrCat("the program calls function ", id,
                 " of the process that made it, which this one does not have; lower it again here, "
                 "with the Python package of Megalith installed"));
    }
    hold.ids_.push_back(id);
  }
  return hold;
}

Status HostCallbacks::Call(uint64_t id, std::span<const Array> in,
                           std::span<const Array> out) const {
  const Use use(*this);
  if (!use) return FailedPrecondition("the host does not offer its functions any more");
  std::array<char, 1 << 14> error{};
  const int failed = use->call(id, reinterpret_cast<const MegalithHostArray*>(in.data()), in.size(),
                               reinterpret_cast<const MegalithHostArray*>(out.data()), out.size(),
                               error.data(), error.size());
  if (failed == 0) return OkStatus();
  error.back() = '\0';
  return failed == 1 ? Internal(error.data()) : InvalidArgument(error.data());
}

HostCallbacks::Unlocked::Unlocked(const HostCallbacks& owner) {
  const Use use(owner);
  if (!use || use->has_lock() == 0) return;
  lock_ = use->lock;
  unlocked_ = use->unlock();
}
HostCallbacks::Unlocked::~Unlocked() {
  if (lock_ != nullptr) lock_(unlocked_);
}

HostCallbacks& ProcessHostCallbacks() {
  static HostCallbacks* const callbacks = new HostCallbacks();  // threads may outlive main()
  return *callbacks;
}

}  // namespace megalith::pjrt
