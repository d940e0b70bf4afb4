#include "clients/pjrt/spmd_program.h"

#include <cstring>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::pjrt {
namespace {

constexpr int64_t kMostArrays = 1 << 20;

// Copies a box of `shape` between two row-major arrays; each pointer is at the box's first element,
// each `dims` the shape of the array around it.
void CopyBox(const char* from, const Shape& from_dims, char* to, const Shape& to_dims,
             const Shape& shape, size_t width) {
  const size_t rank = shape.size();
  if (rank == 0) {
    std::memcpy(to, from, width);
    return;
  }
  for (const int64_t n : shape) {
    if (n == 0) return;
  }
  const Shape from_strides = tensor::RowMajorStrides(from_dims);
  const Shape to_strides = tensor::RowMajorStrides(to_dims);
  const size_t row = static_cast<size_t>(shape[rank - 1]) * width;
  Shape at(rank, 0);
  while (true) {
    int64_t f = 0, t = 0;
    for (size_t d = 0; d + 1 < rank; ++d) {
      f += at[d] * from_strides[d];
      t += at[d] * to_strides[d];
    }
    std::memcpy(to + static_cast<size_t>(t) * width, from + static_cast<size_t>(f) * width, row);
    size_t d = rank - 1;
    while (true) {
      if (d == 0) return;
      --d;
      if (++at[d] < shape[d]) break;
      at[d] = 0;
    }
  }
}

size_t OffsetOf(const Shape& start, const Shape& dims, size_t width) {
  const Shape strides = tensor::RowMajorStrides(dims);
  int64_t offset = 0;
  for (size_t d = 0; d < dims.size(); ++d) offset += start[d] * strides[d];
  return static_cast<size_t>(offset) * width;
}

void AppendInts(std::span<const int64_t> values, std::string* out) {
  for (const int64_t v : values) {
    for (int i = 0; i < 8; ++i) {
      out->push_back(static_cast<char>(static_cast<uint64_t>(v) >> (8 * i)));
    }
  }
}
void AppendInt(int64_t v, std::string* out) { AppendInts({&v, 1}, out); }

Result<int64_t> TakeInt(std::string_view* in, int64_t least, int64_t most) {
  if (in->size() < 8) return DataLoss("a serialized program of several devices is cut short");
  uint64_t v = 0;
  for (size_t i = 0; i < 8; ++i) {
    v |= static_cast<uint64_t>(static_cast<uint8_t>((*in)[i])) << (8 * i);
  }
  in->remove_prefix(8);
  const auto value = static_cast<int64_t>(v);
  if (value < least || value > most) {
    return DataLoss(StrCat("a serialized program of several devices holds ", value, " where ",
                           least, " to ", most, " may stand"));
  }
  return value;
}

Result<Shape> TakeShape(std::string_view* in, size_t rank) {
  Shape shape;
  for (size_t d = 0; d < rank; ++d) {
    ASSIGN_OR_RETURN(const int64_t n, TakeInt(in, 0, INT64_MAX));
    shape.push_back(n);
  }
  return shape;
}

Result<Placement> TakePlacement(std::string_view* in, int64_t devices) {
  ASSIGN_OR_RETURN(const int64_t rank, TakeInt(in, 0, 64));
  ASSIGN_OR_RETURN(const int64_t stacked, TakeInt(in, 0, rank == 0 ? 0 : 1));
  Placement p;
  p.stacked = stacked == 1;
  ASSIGN_OR_RETURN(p.whole, TakeShape(in, static_cast<size_t>(rank)));
  ASSIGN_OR_RETURN(p.part, TakeShape(in, static_cast<size_t>(rank)));
  if (p.stacked && p.part[0] != 1) {
    return DataLoss("a serialized program of several devices gives a device several terms");
  }
  for (int64_t d = 0; d < devices; ++d) {
    ASSIGN_OR_RETURN(const Shape start, TakeShape(in, static_cast<size_t>(rank)));
    for (size_t i = 0; i < start.size(); ++i) {
      if (p.part[i] > p.whole[i] || start[i] > p.whole[i] - p.part[i]) {
        return DataLoss("a serialized program of several devices places a part outside its array");
      }
    }
    p.start.push_back(start);
  }
  return p;
}

class SpmdProgram final : public LoadedProgram {
 public:
  SpmdProgram(std::shared_ptr<const LoadedProgram> whole, int devices,
              std::vector<Placement> inputs, std::vector<Placement> outputs, std::string shardings)
      : whole_(std::move(whole)),
        devices_(devices),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        shardings_(std::move(shardings)),
        signature_(whole_->signature()) {
    for (size_t i = 0; i < inputs_.size(); ++i) signature_.inputs[i].shape = inputs_[i].local();
    for (size_t i = 0; i < outputs_.size(); ++i) signature_.outputs[i].shape = outputs_[i].local();
  }

  const std::string& name() const override { return whole_->name(); }
  const Signature& signature() const override { return signature_; }
  const Orders& orders() const override { return whole_->orders(); }
  const std::string& computations() const override { return whole_->computations(); }
  const Signature& whole_signature() const override { return whole_->signature(); }
  const CostSummary& cost() const override { return whole_->cost(); }
  const std::string& fingerprint() const override { return whole_->fingerprint(); }
  const std::vector<bool>& donated() const override { return whole_->donated(); }
  const std::vector<bool>& token_outputs() const override { return whole_->token_outputs(); }
  const std::string& shardings() const override { return shardings_; }

  bool calls_host() const override { return whole_->calls_host(); }

  Result<std::string> Serialize() const override {
    std::string out(kSpmdMagic);
    AppendInt(devices_, &out);
    AppendInt(static_cast<int64_t>(shardings_.size()), &out);
    out += shardings_;
    for (const std::vector<Placement>* list : {&inputs_, &outputs_}) {
      AppendInt(static_cast<int64_t>(list->size()), &out);
      for (const Placement& p : *list) {
        AppendInt(static_cast<int64_t>(p.whole.size()), &out);
        AppendInt(p.stacked ? 1 : 0, &out);
        AppendInts(p.whole, &out);
        AppendInts(p.part, &out);
        for (const Shape& start : p.start) AppendInts(start, &out);
      }
    }
    ASSIGN_OR_RETURN(const std::string rest, whole_->Serialize());
    return out + rest;
  }

  uint64_t donated_bytes() const override { return whole_->donated_bytes(); }

  Result<std::vector<ArrayPtr>> Run(int device, std::vector<ArrayPtr> inputs,
                                    const std::vector<bool>&) const override {
    const size_t n = inputs_.size();
    std::vector<ArrayPtr> gathered(n);
    for (size_t i = 0; i < n; ++i) {
      ASSIGN_OR_RETURN(gathered[i], Gather(i, inputs));
    }
    inputs.clear();
    ASSIGN_OR_RETURN(const std::vector<ArrayPtr> results,
                     whole_->Run(device, std::move(gathered), std::vector<bool>(n, false)));
    std::vector<ArrayPtr> out;
    out.reserve(results.size() * static_cast<size_t>(devices_));
    for (size_t d = 0; d < static_cast<size_t>(devices_); ++d) {
      for (size_t i = 0; i < results.size(); ++i) {
        ASSIGN_OR_RETURN(ArrayPtr part, Cut(outputs_[i], results[i], d));
        out.push_back(std::move(part));
      }
    }
    return out;
  }

 private:
  Result<ArrayPtr> Gather(size_t i, std::span<const ArrayPtr> inputs) const {
    const Placement& p = inputs_[i];
    if (!p.split()) return inputs[i];
    ASSIGN_OR_RETURN(Tensor whole,
                     Tensor::CreateUninitialized(signature_.inputs[i].dtype, p.whole));
    const auto width = static_cast<size_t>(tensor::ByteWidth(whole.dtype()));
    for (size_t d = 0; d < static_cast<size_t>(devices_); ++d) {
      ASSIGN_OR_RETURN(const Tensor part, FetchNow(*inputs[d * inputs_.size() + i]));
      CopyBox(static_cast<const char*>(part.data()), p.part,
              static_cast<char*>(whole.mutable_data()) + OffsetOf(p.start[d], p.whole, width),
              p.whole, p.part, width);
    }
    return std::make_shared<const LocalArray>(std::move(whole));
  }

  Result<ArrayPtr> Cut(const Placement& p, const ArrayPtr& array, size_t device) const {
    ASSIGN_OR_RETURN(const Tensor whole, FetchNow(*array));
    if (!p.split()) {  // memory of its own on every device
      if (device == 0) return array;
      ASSIGN_OR_RETURN(Tensor copy, Tensor::FromBytes(whole.dtype(), whole.shape(), whole.bytes()));
      return std::make_shared<const LocalArray>(std::move(copy));
    }
    ASSIGN_OR_RETURN(Tensor part, Tensor::CreateUninitialized(whole.dtype(), p.local()));
    const auto width = static_cast<size_t>(tensor::ByteWidth(whole.dtype()));
    CopyBox(static_cast<const char*>(whole.data()) + OffsetOf(p.start[device], p.whole, width),
            p.whole, static_cast<char*>(part.mutable_data()), p.part, p.part, width);
    return std::make_shared<const LocalArray>(std::move(part));
  }

  const std::shared_ptr<const LoadedProgram> whole_;
  const int devices_;
  const std::vector<Placement> inputs_, outputs_;
  const std::string shardings_;
  Signature signature_;
};

}  // namespace

std::shared_ptr<const LoadedProgram> MakeSpmdProgram(std::shared_ptr<const LoadedProgram> whole,
                                                     int devices, std::vector<Placement> inputs,
                                                     std::vector<Placement> outputs,
                                                     std::string shardings) {
  return std::make_shared<const SpmdProgram>(std::move(whole), devices, std::move(inputs),
                                             std::move(outputs), std::move(shardings));
}

Result<std::shared_ptr<const LoadedProgram>> LoadSpmdProgram(
    std::string_view serialized,
    const std::function<Result<std::shared_ptr<const LoadedProgram>>(std::string_view)>& load) {
  serialized.remove_prefix(kSpmdMagic.size());
  ASSIGN_OR_RETURN(const int64_t devices, TakeInt(&serialized, 1, kMostDevices));
  ASSIGN_OR_RETURN(const int64_t text_size,
                   TakeInt(&serialized, 0, static_cast<int64_t>(serialized.size())));
  if (static_cast<size_t>(text_size) > serialized.size()) {
    return DataLoss("a serialized program of several devices is cut short");
  }
  std::string shardings(serialized.substr(0, static_cast<size_t>(text_size)));
  serialized.remove_prefix(static_cast<size_t>(text_size));
  std::vector<Placement> lists[2];
  for (std::vector<Placement>& list : lists) {
    ASSIGN_OR_RETURN(const int64_t count, TakeInt(&serialized, 0, kMostArrays));
    for (int64_t i = 0; i < count; ++i) {
      ASSIGN_OR_RETURN(Placement p, TakePlacement(&serialized, devices));
      list.push_back(std::move(p));
    }
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const LoadedProgram> whole, load(serialized));
  const Signature& s = whole->signature();
  bool fits = s.inputs.size() == lists[0].size() && s.outputs.size() == lists[1].size();
  for (size_t i = 0; fits && i < lists[0].size(); ++i)
    fits = s.inputs[i].shape == lists[0][i].whole;
  for (size_t i = 0; fits && i < lists[1].size(); ++i) {
    fits = s.outputs[i].shape == lists[1][i].whole;
  }
  if (!fits) return DataLoss("a serialized program of several devices does not fit its parts");
  return MakeSpmdProgram(std::move(whole), static_cast<int>(devices), std::move(lists[0]),
                         std::move(lists[1]), std::move(shardings));
}

}  // namespace megalith::pjrt
