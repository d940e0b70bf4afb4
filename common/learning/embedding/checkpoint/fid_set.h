// A set of fids of which many are added at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/learning/embedding/fid.h"

namespace megalith::embedding {

// Open addressing, at most three quarters full. Not thread-safe.
class FidSet {
 public:
  size_t size() const { return used_ + (has_zero_ ? 1 : 0); }
  // False if it was there.
  bool Insert(Fid fid) {
    if (fid == 0) {
      const bool fresh = !has_zero_;
      has_zero_ = true;
      return fresh;
    }
    if ((used_ + 1) * 4 > places_.size() * 3) Grow();
    Fid& place = places_[PlaceOf(fid)];
    if (place == fid) return false;
    place = fid;
    ++used_;
    return true;
  }
  bool Contains(Fid fid) const {
    if (fid == 0) return has_zero_;
    return !places_.empty() && places_[PlaceOf(fid)] == fid;
  }
  // In no particular order.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    if (has_zero_) visit(Fid{0});
    for (const Fid fid : places_) {
      if (fid != 0) visit(fid);
    }
  }

 private:
  size_t PlaceOf(Fid fid) const {
    const uint64_t mixed = static_cast<uint64_t>(fid) * 0x9e3779b97f4a7c15ULL;
    size_t place = (mixed ^ (mixed >> 32)) & (places_.size() - 1);
    while (places_[place] != 0 && places_[place] != fid) place = (place + 1) & (places_.size() - 1);
    return place;
  }
  void Grow() {
    constexpr size_t kFirst = 64;
    std::vector<Fid> old(places_.empty() ? kFirst : places_.size() * 2);
    old.swap(places_);
    for (const Fid fid : old) {
      if (fid != 0) places_[PlaceOf(fid)] = fid;
    }
  }

  std::vector<Fid> places_;  // 0: free
  size_t used_ = 0;
  bool has_zero_ = false;
};

}  // namespace megalith::embedding
