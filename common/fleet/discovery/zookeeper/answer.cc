#include "common/fleet/discovery/zookeeper/answer.h"

#include <zookeeper/zookeeper.h>

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::discovery {
namespace {

Code CodeOf(int rc) {
  switch (rc) {
    case ZNONODE:
      return Code::kNotFound;
    case ZNODEEXISTS:
      return Code::kAlreadyExists;
    case ZNOTEMPTY:
    case ZNOCHILDRENFOREPHEMERALS:
      return Code::kFailedPrecondition;
    case ZBADVERSION:
      return Code::kAborted;
    case ZNOAUTH:
    case ZAUTHFAILED:
    case ZINVALIDACL:
    case ZSESSIONCLOSEDREQUIRESASLAUTH:
      return Code::kPermissionDenied;
    case ZBADARGUMENTS:
      return Code::kInvalidArgument;
    case ZMARSHALLINGERROR:
      return Code::kResourceExhausted;
    case ZCONNECTIONLOSS:
    case ZOPERATIONTIMEOUT:
    case ZINVALIDSTATE:
    case ZSESSIONEXPIRED:
    case ZCLOSING:
    case ZSESSIONMOVED:
    case ZNOTREADONLY:
    case ZTHROTTLEDOP:
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

template <typename F>
void Finish(Answer* answer, int code, const F& fill) {
  const std::lock_guard<std::mutex> lock(answer->mu);
  answer->rc = code;
  if (code == ZOK) fill();
  answer->done = true;
  answer->ready.notify_all();  // under the lock: the waiter destroys it as soon as it can
}

Answer* AnswerOf(const void* data) { return static_cast<Answer*>(const_cast<void*>(data)); }

void FillStat(const Stat* stat, ZkNode* node) {
  if (stat == nullptr) return;
  node->owner_session = stat->ephemeralOwner;
  node->created = stat->czxid;
  node->version = stat->version;
}

}  // namespace

Status StatusOf(int rc, std::string_view what, std::string_view path) {
  if (rc == ZOK) return OkStatus();
  return Status(CodeOf(rc),
                StrCat("zookeeper: ", what, " '", Printable(path, 200), "': ", zerror(rc)));
}

int Answer::Wait() {
  std::unique_lock<std::mutex> lock(mu);
  ready.wait(lock, [this] { return done; });
  return rc;
}

void OnData(int rc, const char* value, int length, const Stat* stat, const void* data) {
  Answer* const answer = AnswerOf(data);
  Finish(answer, rc, [&] {
    if (value != nullptr && length > 0)
      answer->node.data.assign(value, static_cast<size_t>(length));
    FillStat(stat, &answer->node);
  });
}

void OnStat(int rc, const Stat* stat, const void* data) {
  Answer* const answer = AnswerOf(data);
  Finish(answer, rc, [&] { FillStat(stat, &answer->node); });
}

void OnText(int rc, const char* value, const void* data) {
  Answer* const answer = AnswerOf(data);
  Finish(answer, rc, [&] {
    if (value != nullptr) answer->text = value;
  });
}

void OnNames(int rc, const String_vector* strings, const void* data) {
  Answer* const answer = AnswerOf(data);
  Finish(answer, rc, [&] {
    if (strings == nullptr) return;
    for (int32_t i = 0; i < strings->count; ++i) answer->names.emplace_back(strings->data[i]);
    std::sort(answer->names.begin(), answer->names.end());
  });
}

void OnVoid(int rc, const void* data) {
  Finish(AnswerOf(data), rc, [] {});
}

}  // namespace megalith::discovery
