#include "clients/pjrt/engine.h"

#include <utility>

namespace megalith::pjrt {

Result<Tensor> FetchNow(const Array& array) {
  if (const Tensor* here = array.local(); here != nullptr) return *here;
  const auto fetched = std::make_shared<EventState>();
  const auto out = std::make_shared<Tensor>();
  array.Fetch([fetched, out](Result<Tensor> t) {
    if (t.ok()) *out = *std::move(t);
    fetched->Set(t.status());
  });
  RETURN_IF_ERROR(fetched->Wait());
  return *out;
}

}  // namespace megalith::pjrt
