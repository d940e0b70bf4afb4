#include "tests/support/faulty_files.h"

#include "common/foundation/base/strings.h"

namespace megalith::testing {
namespace {

Status Gone() { return Unavailable("the machine has crashed"); }

}  // namespace

bool FaultyFiles::Admit(bool* dying) {
  const int64_t left = left_.fetch_sub(1);
  *dying = left == 0;
  return left > 0;
}

template <typename Operation>
Status FaultyFiles::Change(const Operation& operation) {
  bool dying = false;
  if (Admit(&dying)) return operation();
  if (dying && crash_ == Crash::kAfter) (void)operation();
  return Gone();
}

Status FaultyFiles::WriteAtomically(const std::string& path, std::string_view bytes) {
  bool dying = false;
  if (Admit(&dying)) return real_.WriteAtomically(path, bytes);
  if (dying && crash_ == Crash::kAfter) (void)real_.WriteAtomically(path, bytes);
  if (dying && crash_ == Crash::kTorn)
    (void)real_.WriteAtomically(StrCat(path, ".tmp.1.1"), bytes.substr(0, bytes.size() / 2));
  return Gone();
}

Status FaultyFiles::WritePrivately(const std::string& path, std::string_view bytes) {
  return Change([&] { return real_.WritePrivately(path, bytes); });
}
Status FaultyFiles::Truncate(const std::string& path, uint64_t size) {
  return Change([&] { return real_.Truncate(path, size); });
}
Status FaultyFiles::Rename(const std::string& from, const std::string& to) {
  return Change([&] { return real_.Rename(from, to); });
}
Status FaultyFiles::Remove(const std::string& path) {
  return Change([&] { return real_.Remove(path); });
}
Status FaultyFiles::MakeDirectory(const std::string& path) {
  return Change([&] { return real_.MakeDirectory(path); });
}
Status FaultyFiles::RemoveTree(const std::string& path) {
  return Change([&] { return real_.RemoveTree(path); });
}

}  // namespace megalith::testing
