#include "common/learning/sync/sync_proto.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <set>
#include <type_traits>

#include "common/foundation/base/strings.h"

namespace megalith::sync {

using tensorflow::TensorProto;
using tensorflow::serving::PredictRequest;
using tensorflow::serving::PredictResponse;

namespace {

static_assert(std::endian::native == std::endian::little, "tensor_content is copied as it is");

template <typename T>
auto* ListOf(TensorProto* tensor) {
  if constexpr (std::is_same_v<T, float>) {
    tensor->set_dtype(tensorflow::DT_FLOAT);
    return tensor->mutable_float_val();
  } else {
    tensor->set_dtype(tensorflow::DT_INT64);
    return tensor->mutable_int64_val();
  }
}

template <typename T>
void Append(const std::vector<T>& values, TensorProto* tensor) {
  ListOf<T>(tensor)->Add(values.begin(), values.end());
}

void AddDim(int64_t size, TensorProto* tensor) {
  tensor->mutable_tensor_shape()->add_dim()->set_size(size);
}

// Dims of a tensor, or what is wrong with them.
Result<std::vector<int64_t>> DimsOf(const TensorProto& tensor) {
  std::vector<int64_t> dims;
  if (tensor.tensor_shape().unknown_rank()) return InvalidArgument("its rank is unknown");
  for (const auto& dim : tensor.tensor_shape().dim()) {
    if (dim.size() < 0) return InvalidArgument(StrCat("it has a dimension of ", dim.size()));
    dims.push_back(dim.size());
  }
  return dims;
}

// The values of a tensor of `count` elements. A short list that repeats its last value is refused:
// rows that nobody sent must not be written.
template <typename T>
Result<std::vector<T>> ValuesOf(const TensorProto& tensor, int64_t count) {
  const auto size = static_cast<uint64_t>(count);
  if (!tensor.tensor_content().empty()) {
    const std::string& content = tensor.tensor_content();
    if (content.size() % sizeof(T) != 0 || content.size() / sizeof(T) != size) {
      return InvalidArgument(StrCat("tensor_content has ", content.size(), " bytes for ", count,
                                    " elements of ", sizeof(T)));
    }
    std::vector<T> values(size);
    std::memcpy(values.data(), content.data(), content.size());
    return values;
  }
  const auto copy = [size](const auto& list) -> Result<std::vector<T>> {
    if (static_cast<uint64_t>(list.size()) != size) {
      return InvalidArgument(StrCat("it has ", list.size(), " values for a shape of ", size));
    }
    return std::vector<T>(list.begin(), list.end());
  };
  if constexpr (std::is_same_v<T, float>) {
    return copy(tensor.float_val());
  } else {
    return copy(tensor.int64_val());
  }
}

constexpr int64_t kAnySize = -1;

// An input of the given type whose shape is `want`, kAnySize for any.
template <typename T>
Result<std::vector<T>> InputOf(const PredictRequest& request, const std::string& name,
                               const std::vector<int64_t>& want) {
  const auto found = request.inputs().find(name);
  if (found == request.inputs().end()) {
    return InvalidArgument(StrCat("input '", name, "' is missing"));
  }
  const TensorProto& tensor = found->second;
  const auto type = std::is_same_v<T, float> ? tensorflow::DT_FLOAT : tensorflow::DT_INT64;
  const std::string context = StrCat("input '", Printable(name), "'");
  if (tensor.dtype() != type) {
    return InvalidArgument(StrCat(context, ": wanted ", tensorflow::DataType_Name(type),
                                  ", got type ", static_cast<int>(tensor.dtype())));
  }
  auto dims = DimsOf(tensor);
  if (!dims.ok()) return dims.status().Annotate(context);
  bool fits = dims->size() == want.size();
  int64_t count = 1;
  for (size_t i = 0; fits && i < want.size(); ++i) {
    fits = want[i] == kAnySize || want[i] == (*dims)[i];
    if (__builtin_mul_overflow(count, (*dims)[i], &count)) fits = false;
  }
  if (!fits) {
    std::vector<std::string> wanted;
    for (const int64_t dim : want) wanted.push_back(dim == kAnySize ? "?" : StrCat(dim));
    return InvalidArgument(StrCat(context, ": expected shape [", Join(wanted, ","), "], got [",
                                  Join(*dims, ","), "]"));
  }
  auto values = ValuesOf<T>(tensor, count);
  if (!values.ok()) return values.status().Annotate(context);
  return values;
}

Status CheckInputs(const PredictRequest& request, const std::set<std::string>& known) {
  for (const auto& [name, tensor] : request.inputs()) {
    if (known.count(name) == 0) {
      return InvalidArgument(StrCat("the signature has no input '", Printable(name), "'"));
    }
  }
  return OkStatus();
}

Status CheckFinite(const TableRows& rows) {
  for (size_t i = 0; i < rows.values.size(); ++i) {
    if (std::isfinite(rows.values[i])) continue;
    const auto dim = static_cast<size_t>(rows.dim);
    return InvalidArgument(
        StrCat("table '", rows.table, "': value ", i % dim, " of row ", i / dim, " is not finite"));
  }
  return OkStatus();
}

// Ids cut at id_split, one run for each table.
Result<std::vector<TableRows>> SplitIds(const PredictRequest& request,
                                        const std::vector<TableDim>& tables) {
  ASSIGN_OR_RETURN(const std::vector<Fid> ids, InputOf<int64_t>(request, "id", {kAnySize}));
  const auto entries = static_cast<int64_t>(tables.size()) + 1;
  ASSIGN_OR_RETURN(const std::vector<int64_t> split,
                   InputOf<int64_t>(request, "id_split", {entries}));
  const auto total = static_cast<int64_t>(ids.size());
  if (split.front() != 0 || split.back() != total || !std::is_sorted(split.begin(), split.end())) {
    return InvalidArgument(StrCat("id_split must go from 0 up to the number of ids, ", total,
                                  ", got from ", split.front(), " to ", split.back(),
                                  " or a step down"));
  }
  std::vector<TableRows> out;
  for (size_t t = 0; t < tables.size(); ++t) {
    out.push_back({.table = tables[t].table,
                   .dim = tables[t].dim,
                   .fids = {ids.begin() + split[t], ids.begin() + split[t + 1]},
                   .values = {}});
  }
  return out;
}

// Number of floats of all rows.
Result<int64_t> FloatsOf(const std::vector<TableRows>& rows, int64_t max_floats) {
  int64_t floats = 0;
  for (const TableRows& of_table : rows) {
    const auto fids = static_cast<int64_t>(of_table.fids.size());
    if (fids > (max_floats - floats) / of_table.dim) {
      return ResourceExhausted(
          StrCat("the rows would have more than ", max_floats, " floats; ask for fewer ids"));
    }
    floats += fids * of_table.dim;
  }
  return floats;
}

}  // namespace

PredictRequest ToPredictRequest(const Push& push) {
  PredictRequest request;
  request.mutable_model_spec()->set_name(push.model);
  request.mutable_model_spec()->set_signature_name(push.signature);
  auto& inputs = *request.mutable_inputs();
  if (push.form == WireForm::kSingle) {
    for (const TableRows& rows : push.tables) {
      const auto count = static_cast<int64_t>(rows.fids.size());
      TensorProto& id = inputs[rows.table + "_id"];
      Append(rows.fids, &id);
      AddDim(count, &id);
      TensorProto& value = inputs[rows.table + "_value"];
      Append(rows.values, &value);
      AddDim(count, &value);
      AddDim(rows.dim, &value);
    }
    return request;
  }
  TensorProto& id = inputs["id"];
  TensorProto& split = inputs["id_split"];
  TensorProto& value = inputs["flat_value"];
  ListOf<int64_t>(&split)->Add(0);
  ListOf<int64_t>(&id);
  ListOf<float>(&value);
  for (const TableRows& rows : push.tables) {
    Append(rows.fids, &id);
    Append(rows.values, &value);
    split.add_int64_val(id.int64_val_size());
  }
  AddDim(id.int64_val_size(), &id);
  AddDim(split.int64_val_size(), &split);
  AddDim(value.float_val_size(), &value);
  return request;
}

Result<std::vector<TableRows>> ParseSingleAssign(const PredictRequest& request,
                                                 const std::vector<TableDim>& tables) {
  std::set<std::string> known;
  for (const TableDim& table : tables) {
    known.insert(table.table + "_id");
    known.insert(table.table + "_value");
  }
  RETURN_IF_ERROR(CheckInputs(request, known));
  std::vector<TableRows> out;
  for (const TableDim& table : tables) {
    TableRows rows{.table = table.table, .dim = table.dim, .fids = {}, .values = {}};
    ASSIGN_OR_RETURN(rows.fids, InputOf<int64_t>(request, table.table + "_id", {kAnySize}));
    ASSIGN_OR_RETURN(rows.values,
                     InputOf<float>(request, table.table + "_value",
                                    {static_cast<int64_t>(rows.fids.size()), table.dim}));
    RETURN_IF_ERROR(CheckFinite(rows));
    out.push_back(std::move(rows));
  }
  return out;
}

Result<std::vector<TableRows>> ParseNativeAssign(const PredictRequest& request,
                                                 const std::vector<TableDim>& tables) {
  RETURN_IF_ERROR(CheckInputs(request, {"id", "id_split", "flat_value"}));
  ASSIGN_OR_RETURN(std::vector<TableRows> out, SplitIds(request, tables));
  ASSIGN_OR_RETURN(const int64_t floats, FloatsOf(out, INT64_MAX));
  ASSIGN_OR_RETURN(const std::vector<float> values,
                   InputOf<float>(request, "flat_value", {floats}));
  size_t at = 0;
  for (TableRows& rows : out) {
    const size_t count = rows.fids.size() * static_cast<size_t>(rows.dim);
    rows.values.assign(values.begin() + static_cast<ptrdiff_t>(at),
                       values.begin() + static_cast<ptrdiff_t>(at + count));
    at += count;
    RETURN_IF_ERROR(CheckFinite(rows));
  }
  return out;
}

Result<std::vector<TableRows>> ParseSingleLookup(const PredictRequest& request,
                                                 const std::vector<TableDim>& tables,
                                                 int64_t max_floats) {
  std::set<std::string> known;
  for (const TableDim& table : tables) known.insert(table.table);
  RETURN_IF_ERROR(CheckInputs(request, known));
  std::vector<TableRows> out;
  for (const TableDim& table : tables) {
    if (request.inputs().count(table.table) == 0) continue;
    TableRows rows{.table = table.table, .dim = table.dim, .fids = {}, .values = {}};
    ASSIGN_OR_RETURN(rows.fids, InputOf<int64_t>(request, table.table, {kAnySize}));
    out.push_back(std::move(rows));
  }
  RETURN_IF_ERROR(FloatsOf(out, max_floats));
  return out;
}

Result<std::vector<TableRows>> ParseNativeLookup(const PredictRequest& request,
                                                 const std::vector<TableDim>& tables,
                                                 int64_t max_floats) {
  RETURN_IF_ERROR(CheckInputs(request, {"id", "id_split"}));
  ASSIGN_OR_RETURN(std::vector<TableRows> out, SplitIds(request, tables));
  RETURN_IF_ERROR(FloatsOf(out, max_floats));
  return out;
}

namespace {

void SetInt32(int32_t value, TensorProto* tensor) {
  tensor->set_dtype(tensorflow::DT_INT32);
  tensor->mutable_tensor_shape();
  tensor->add_int_val(value);
}

}  // namespace

void FillSingleAssigned(const std::vector<TableRows>& rows, PredictResponse* response) {
  for (const TableRows& of_table : rows) {
    SetInt32(static_cast<int32_t>(of_table.fids.size()),
             &(*response->mutable_outputs())[of_table.table + "_result"]);
  }
}

void FillNativeAssigned(PredictResponse* response) {
  SetInt32(0, &(*response->mutable_outputs())["result"]);
}

void FillSingleRows(const std::vector<TableRows>& rows, PredictResponse* response) {
  for (const TableRows& of_table : rows) {
    TensorProto& out = (*response->mutable_outputs())[of_table.table];
    Append(of_table.values, &out);
    AddDim(static_cast<int64_t>(of_table.fids.size()), &out);
    AddDim(of_table.dim, &out);
  }
}

void FillNativeRows(const std::vector<TableRows>& rows, PredictResponse* response) {
  TensorProto& out = (*response->mutable_outputs())["flat_emb"];
  ListOf<float>(&out);
  for (const TableRows& of_table : rows) Append(of_table.values, &out);
  AddDim(out.float_val_size(), &out);
}

void FillInstance(uint64_t instance, PredictResponse* response) {
  TensorProto& out = (*response->mutable_outputs())[std::string(kInstanceOutput)];
  out.set_dtype(tensorflow::DT_INT64);
  out.mutable_tensor_shape();
  out.add_int64_val(static_cast<int64_t>(instance));
}

std::optional<uint64_t> InstanceOf(const PredictResponse& response) {
  const auto found = response.outputs().find(std::string(kInstanceOutput));
  if (found == response.outputs().end() || found->second.int64_val_size() != 1) return {};
  return static_cast<uint64_t>(found->second.int64_val(0));
}

}  // namespace megalith::sync
