#include "common/machines/kernels/copy_kernels.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/parallel.h"
#include "common/machines/kernels/params.h"
#include "common/machines/kernels/strided.h"

namespace megalith::kernels {
namespace {

// --- strided_copy ---

struct CopyState {
  struct Piece {
    StridedCopy copy;
    int64_t to = 0, from = 0;  // bytes
  };
  std::vector<Piece> pieces;
  bool fills = false;
  int64_t elements = 0;
  int width = 1;
};

Status RunCopy(const void* state, const KernelCall& call) {
  const CopyState& s = *static_cast<const CopyState*>(state);
  char* out = static_cast<char*>(call.out[0]);
  if (s.fills) FillElements(out, call.in[s.pieces.size()], s.elements, s.width, call.pool);
  for (size_t i = 0; i < s.pieces.size(); ++i) {
    RETURN_IF_ERROR(call.Poll());
    const CopyState::Piece& p = s.pieces[i];
    if (p.copy.bytes() == 0) continue;
    p.copy.Run(out + p.to, static_cast<const char*>(call.in[i]) + p.from, call.pool);
  }
  return OkStatus();
}

// Reads the start and the strides of one side, in elements, and gives bytes. kInvalidArgument if a
// place is outside [0, elements).
Status ReadSide(ParamReader* reader, std::string_view what, const Dims& sizes, int64_t elements,
                int width, int64_t* start, Dims* strides) {
  ASSIGN_OR_RETURN(*start, reader->Next(what, 0, INT64_MAX));
  const auto rank = static_cast<int64_t>(sizes.size());
  ASSIGN_OR_RETURN(*strides, reader->NextList(what, rank, INT64_MIN, INT64_MAX));
  if (strides->size() != sizes.size())
    return InvalidArgument(StrCat("strided_copy: ", what, " has the wrong number of strides"));
  if (Elements(sizes) == 0) {
    *start = 0;
    return OkStatus();
  }
  __int128 low = *start;
  __int128 high = *start;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const __int128 reach = static_cast<__int128>(sizes[i] - 1) * (*strides)[i];
    (reach < 0 ? low : high) += reach;
    if (sizes[i] == 1) (*strides)[i] = 0;
  }
  if (low < 0 || high >= elements)
    return InvalidArgument(StrCat("strided_copy: ", what, " reaches outside the array"));
  *start *= width;
  for (int64_t& s : *strides) s *= width;
  return OkStatus();
}

Result<PreparedKernel> PrepareCopy(std::string_view params, std::span<const ArraySpec> in,
                                   std::span<const ArraySpec> out) {
  RETURN_IF_ERROR(CheckArrays("strided_copy", in, in.size(), out, 1));
  ASSIGN_OR_RETURN(ParamReader reader, ParamReader::Create("strided_copy", params));
  ASSIGN_OR_RETURN(const int64_t fills, reader.Next("fills", 0, 1));
  auto s = std::make_shared<CopyState>();
  s->fills = fills != 0;
  s->elements = Elements(out[0]);
  s->width = tensor::ByteWidth(out[0].dtype);
  for (const ArraySpec& a : in) {
    if (a.dtype != out[0].dtype) return InvalidArgument("strided_copy: types differ");
  }
  if (s->fills && (in.empty() || Elements(in.back()) != 1))
    return InvalidArgument("strided_copy: wanted one element to fill with");
  for (size_t i = 0; i < in.size() - (s->fills ? 1 : 0); ++i) {
    ASSIGN_OR_RETURN(const Dims sizes,
                     reader.NextList("sizes", static_cast<int64_t>(kMaxRank), 0, INT64_MAX));
    // The product of the sizes must make sense before strides are looked at.
    RETURN_IF_ERROR(
        CheckArrays("strided_copy: piece", {}, 0, std::array{ArraySpec{out[0].dtype, sizes}}, 1));
    CopyState::Piece piece;
    Dims to, from;
    RETURN_IF_ERROR(ReadSide(&reader, "the result", sizes, s->elements, s->width, &piece.to, &to));
    RETURN_IF_ERROR(
        ReadSide(&reader, "an operand", sizes, Elements(in[i]), s->width, &piece.from, &from));
    piece.copy = StridedCopy(sizes, to, from, s->width);
    s->pieces.push_back(std::move(piece));
  }
  RETURN_IF_ERROR(reader.Done());
  PreparedKernel kernel;
  kernel.state = std::move(s);
  kernel.run = RunCopy;
  return kernel;
}

// --- fill ---

struct FillState {
  int64_t elements;
  int width;
};

Status RunFill(const void* state, const KernelCall& call) {
  const FillState& s = *static_cast<const FillState*>(state);
  FillElements(call.out[0], call.in[0], s.elements, s.width, call.pool);
  return OkStatus();
}

Result<PreparedKernel> PrepareFill(std::string_view params, std::span<const ArraySpec> in,
                                   std::span<const ArraySpec> out) {
  RETURN_IF_ERROR(CheckArrays("fill", in, 1, out, 1));
  if (!params.empty()) return InvalidArgument("fill: wanted no parameters");
  if (in[0].dtype != out[0].dtype || Elements(in[0]) != 1)
    return InvalidArgument("fill: wanted one element of the result's type");
  PreparedKernel kernel;
  kernel.state =
      std::make_shared<FillState>(FillState{Elements(out[0]), tensor::ByteWidth(out[0].dtype)});
  kernel.run = RunFill;
  return kernel;
}

// --- dynamic_slice and dynamic_update_slice ---

struct SliceState {
  struct Start {
    DType dtype;
    int64_t limit;   // the greatest that fits
    int64_t stride;  // bytes
  };
  std::vector<Start> starts;
  StridedCopy copy;
  int64_t operand_bytes = 0;
  size_t first_start = 1;  // operand number

  int64_t Offset(const KernelCall& call) const;
};

template <typename T>
int64_t Clamped(const void* p, int64_t limit) {
  T v;
  std::memcpy(&v, p, sizeof(T));
  if (v < 0) return 0;
  return static_cast<uint64_t>(v) > static_cast<uint64_t>(limit) ? limit : static_cast<int64_t>(v);
}

int64_t ClampedStart(DType dtype, const void* p, int64_t limit) {
  switch (dtype) {
    case DType::kI8:
      return Clamped<int8_t>(p, limit);
    case DType::kI16:
      return Clamped<int16_t>(p, limit);
    case DType::kI32:
      return Clamped<int32_t>(p, limit);
    case DType::kI64:
      return Clamped<int64_t>(p, limit);
    case DType::kU8:
      return Clamped<uint8_t>(p, limit);
    case DType::kU16:
      return Clamped<uint16_t>(p, limit);
    case DType::kU32:
      return Clamped<uint32_t>(p, limit);
    default:
      return Clamped<uint64_t>(p, limit);
  }
}

int64_t SliceState::Offset(const KernelCall& call) const {
  int64_t offset = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const Start& s = starts[i];
    offset += ClampedStart(s.dtype, call.in[first_start + i], s.limit) * s.stride;
  }
  return offset;
}

Status RunSlice(const void* state, const KernelCall& call) {
  const SliceState& s = *static_cast<const SliceState*>(state);
  if (s.copy.bytes() == 0) return OkStatus();
  s.copy.Run(call.out[0], static_cast<const char*>(call.in[0]) + s.Offset(call), call.pool);
  return OkStatus();
}

Status RunUpdate(const void* state, const KernelCall& call) {
  const SliceState& s = *static_cast<const SliceState*>(state);
  if (call.out[0] != call.in[0])
    ParallelMemcpy(call.pool, call.out[0], call.in[0], s.operand_bytes);
  if (s.copy.bytes() == 0) return OkStatus();
  s.copy.Run(static_cast<char*>(call.out[0]) + s.Offset(call), call.in[1], call.pool);
  return OkStatus();
}

// `slice`: the small array. `starts`: the operands that say where.
Result<std::shared_ptr<SliceState>> MakeSlice(std::string_view kernel, const ArraySpec& operand,
                                              const ArraySpec& slice,
                                              std::span<const ArraySpec> starts) {
  if (operand.dtype != slice.dtype || operand.shape.size() != slice.shape.size() ||
      starts.size() != operand.shape.size()) {
    return InvalidArgument(StrCat(kernel, ": operand, slice and starts do not fit"));
  }
  auto s = std::make_shared<SliceState>();
  const Dims strides = ByteStrides(operand.shape, tensor::ByteWidth(operand.dtype));
  for (size_t i = 0; i < starts.size(); ++i) {
    if (!tensor::IsInteger(starts[i].dtype) || tensor::BitWidth(starts[i].dtype) < 8)
      return Unimplemented(StrCat(kernel, ": starts of type ", tensor::Name(starts[i].dtype)));
    if (Elements(starts[i]) != 1 || slice.shape[i] > operand.shape[i])
      return InvalidArgument(StrCat(kernel, ": slice and operand do not fit"));
    s->starts.push_back({starts[i].dtype, operand.shape[i] - slice.shape[i], strides[i]});
  }
  s->operand_bytes = Bytes(operand);
  return s;
}

Result<PreparedKernel> PrepareSlice(std::string_view params, std::span<const ArraySpec> in,
                                    std::span<const ArraySpec> out) {
  if (in.empty()) return InvalidArgument("dynamic_slice: no operands");
  if (!params.empty()) return InvalidArgument("dynamic_slice: wanted no parameters");
  RETURN_IF_ERROR(CheckArrays("dynamic_slice", in, in.size(), out, 1));
  ASSIGN_OR_RETURN(auto s, MakeSlice("dynamic_slice", in[0], out[0], in.subspan(1)));
  const int width = tensor::ByteWidth(in[0].dtype);
  s->copy = StridedCopy(out[0].shape, ByteStrides(out[0].shape, width),
                        ByteStrides(in[0].shape, width), width);
  PreparedKernel kernel;
  kernel.state = std::move(s);
  kernel.run = RunSlice;
  return kernel;
}

Result<PreparedKernel> PrepareUpdate(std::string_view params, std::span<const ArraySpec> in,
                                     std::span<const ArraySpec> out) {
  if (in.size() < 2) return InvalidArgument("dynamic_update_slice: too few operands");
  if (!params.empty()) return InvalidArgument("dynamic_update_slice: wanted no parameters");
  RETURN_IF_ERROR(CheckArrays("dynamic_update_slice", in, in.size(), out, 1));
  RETURN_IF_ERROR(CheckSame("dynamic_update_slice: operand and result", in[0], out[0]));
  ASSIGN_OR_RETURN(auto s, MakeSlice("dynamic_update_slice", in[0], in[1], in.subspan(2)));
  const int width = tensor::ByteWidth(in[0].dtype);
  s->copy = StridedCopy(in[1].shape, ByteStrides(in[0].shape, width),
                        ByteStrides(in[1].shape, width), width);
  s->first_start = 2;
  PreparedKernel kernel;
  kernel.state = std::move(s);
  kernel.run = RunUpdate;
  kernel.in_place = 1;
  return kernel;
}

}  // namespace

const LibraryKernel kStridedCopyKernel = {"strided_copy", PrepareCopy};
const LibraryKernel kFillKernel = {"fill", PrepareFill};
const LibraryKernel kDynamicSliceKernel = {"dynamic_slice", PrepareSlice};
const LibraryKernel kDynamicUpdateSliceKernel = {"dynamic_update_slice", PrepareUpdate};

}  // namespace megalith::kernels
