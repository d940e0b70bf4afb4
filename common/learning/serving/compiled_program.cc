#include "common/learning/serving/compiled_program.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/machines/runtime/package.h"
#include "common/programs/stablehlo/artifact/jax_export.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::serving {
namespace {

using tensor::Tensor;

Result<std::vector<ProgramType>> TypesOf(const std::vector<runtime::TensorSpec>& specs,
                                         std::string_view what) {
  std::vector<ProgramType> out;
  for (const runtime::TensorSpec& spec : specs) {
    const DataType dtype = DataTypeOf(spec.dtype);
    if (dtype == DataType::kInvalid) {
      return Unimplemented(StrCat(what, " ", out.size(), " has type ", tensor::Name(spec.dtype),
                                  ", which TensorFlow Serving cannot carry"));
    }
    out.push_back({dtype, {spec.shape.begin(), spec.shape.end()}});
  }
  return out;
}

class CompiledProgram final : public Program {
 public:
  CompiledProgram(std::shared_ptr<const runtime::Executable> executable,
                  std::vector<ProgramType> inputs, std::vector<ProgramType> outputs)
      : executable_(std::move(executable)),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)) {}
  const std::vector<ProgramType>& inputs() const override { return inputs_; }
  const std::vector<ProgramType>& outputs() const override { return outputs_; }
  Result<std::vector<Value>> Run(std::vector<Value> arguments,
                                 const Cancellation& cancellation) const override {
    std::vector<Tensor> tensors;
    for (Value& value : arguments) tensors.push_back(std::move(value.tensor));
    ASSIGN_OR_RETURN(std::vector<Tensor> results,
                     executable_->Run(tensors, {.cancellation = &cancellation}));
    std::vector<Value> out;
    for (Tensor& result : results) out.push_back(Value::Of(std::move(result)));
    return out;
  }

 private:
  const std::shared_ptr<const runtime::Executable> executable_;
  const std::vector<ProgramType> inputs_;
  const std::vector<ProgramType> outputs_;
};

bool LooksLikePackage(std::string_view bytes) { return bytes.starts_with(runtime::kPackageMagic); }

bool LooksLikeText(std::string_view bytes) {
  return bytes.substr(0, 4096).find("module") != std::string_view::npos &&
         bytes.find('\0') == std::string_view::npos;
}

Result<std::shared_ptr<const runtime::Executable>> LoadExecutable(
    std::string_view bytes, const runtime::BackendRegistry& backends,
    const Cancellation& cancellation) {
  if (LooksLikePackage(bytes)) {
    ASSIGN_OR_RETURN(const runtime::Package package, runtime::DecodePackage(bytes));
    ASSIGN_OR_RETURN(const auto backend, backends.Find(package.backend));
    return backend->Load(bytes, runtime::Origin::kStranger);
  }
  ASSIGN_OR_RETURN(const stablehlo::Module module,
                   LooksLikeText(bytes) ? stablehlo::ParseModule(std::string(bytes))
                                        : stablehlo::artifact::ReadArtifactOrExport(bytes));
  ASSIGN_OR_RETURN(const stablehlo::Module canonical, stablehlo::Canonicalize(module));
  RETURN_IF_ERROR(cancellation.Check());
  ASSIGN_OR_RETURN(const auto backend, backends.Find(backends.Names().front()));
  ASSIGN_OR_RETURN(const std::string package, backend->Compile(stablehlo::EncodeModule(canonical),
                                                               {.cancellation = &cancellation},
                                                               [](std::string_view, double) {}));
  return backend->Load(package, runtime::Origin::kOwn);
}

// Of the results of one request whose rows are computed in pieces.
constexpr uint64_t kMaxResultBytes = 2ull << 30;

class RowwiseProgram final : public Program {
 public:
  RowwiseProgram(std::shared_ptr<const Program> program, std::vector<bool> batched, int64_t rows)
      : program_(std::move(program)),
        batched_(std::move(batched)),
        rows_(rows),
        inputs_(program_->inputs()),
        outputs_(program_->outputs()) {
    for (size_t i = 0; i < inputs_.size(); ++i)
      if (batched_[i]) inputs_[i].dims[0] = -1;
    for (ProgramType& type : outputs_) type.dims[0] = -1;
  }
  const std::vector<ProgramType>& inputs() const override { return inputs_; }
  const std::vector<ProgramType>& outputs() const override { return outputs_; }

  Result<std::vector<Value>> Run(std::vector<Value> arguments,
                                 const Cancellation& cancellation) const override {
    const auto first = std::ranges::find(batched_, true) - batched_.begin();
    const int64_t total = arguments[static_cast<size_t>(first)].shape()[0];
    RETURN_IF_ERROR(CheckResultBytes(total));
    std::vector<std::vector<Value>> parts(outputs_.size());
    // Without rows the program runs once all the same: its results say their types.
    for (int64_t begin = 0; begin == 0 || begin < total; begin += rows_) {
      RETURN_IF_ERROR(cancellation.Check());
      const int64_t end = std::min(total, begin + rows_);
      ASSIGN_OR_RETURN(std::vector<Value> part, RunPart(arguments, begin, end, cancellation));
      for (size_t i = 0; i < part.size(); ++i) {
        ASSIGN_OR_RETURN(Value rows, end - begin == rows_ ? Result<Value>(std::move(part[i]))
                                                          : SliceRows(part[i], 0, end - begin));
        parts[i].push_back(std::move(rows));
      }
    }
    std::vector<Value> out;
    for (const std::vector<Value>& of_output : parts) {
      ASSIGN_OR_RETURN(Value value, ConcatenateRows(of_output));
      out.push_back(std::move(value));
    }
    return out;
  }

 private:
  // Few bytes of arguments must not become results without a limit.
  Status CheckResultBytes(int64_t total) const {
    double row = 0;
    for (const ProgramType& type : program_->outputs()) {
      double bytes = tensor::ByteWidth(FindDataType(type.dtype)->dtype);
      for (size_t d = 1; d < type.dims.size(); ++d) bytes *= static_cast<double>(type.dims[d]);
      row += bytes;
    }
    if (row * static_cast<double>(total) <= static_cast<double>(kMaxResultBytes)) return OkStatus();
    return ResourceExhausted(StrCat("the results of ", total, " rows take more than the limit of ",
                                    kMaxResultBytes, " bytes: send fewer rows at once"));
  }

  Result<std::vector<Value>> RunPart(const std::vector<Value>& arguments, int64_t begin,
                                     int64_t end, const Cancellation& cancellation) const {
    std::vector<Value> part;
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (!batched_[i]) {
        part.push_back(arguments[i]);
        continue;
      }
      if (end - begin == rows_ && arguments[i].shape()[0] == rows_) {
        part.push_back(arguments[i]);
        continue;
      }
      ASSIGN_OR_RETURN(Value padded, Padded(arguments[i], begin, end));
      part.push_back(std::move(padded));
    }
    return program_->Run(std::move(part), cancellation);
  }

  // Rows [begin, end), then copies of the last one; zeros if there is none.
  Result<Value> Padded(const Value& value, int64_t begin, int64_t end) const {
    Shape shape = value.shape();
    shape[0] = rows_;
    ASSIGN_OR_RETURN(Tensor out, Tensor::Create(value.tensor.dtype(), shape));
    const size_t row = out.byte_size() / static_cast<size_t>(rows_);
    auto* to = static_cast<char*>(out.mutable_data());
    const std::string_view from = value.tensor.bytes();
    for (int64_t i = 0; begin < end && row > 0 && i < rows_; ++i) {
      const int64_t source = std::min(begin + i, end - 1);
      std::memcpy(to + static_cast<size_t>(i) * row,
                  from.data() + static_cast<size_t>(source) * row, row);
    }
    return Value::Of(std::move(out));
  }

  const std::shared_ptr<const Program> program_;
  const std::vector<bool> batched_;
  const int64_t rows_;
  std::vector<ProgramType> inputs_;
  std::vector<ProgramType> outputs_;
};

}  // namespace

bool LooksLikeProgram(std::string_view bytes) {
  return LooksLikePackage(bytes) || stablehlo::artifact::LooksLikeArtifact(bytes) ||
         stablehlo::artifact::LooksLikeExport(bytes) || LooksLikeText(bytes);
}

Result<std::shared_ptr<const Program>> LoadProgram(std::string_view bytes,
                                                   const runtime::BackendRegistry& backends,
                                                   const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(auto executable, LoadExecutable(bytes, backends, cancellation));
  ASSIGN_OR_RETURN(std::vector<ProgramType> inputs,
                   TypesOf(executable->signature().inputs, "argument"));
  ASSIGN_OR_RETURN(std::vector<ProgramType> outputs,
                   TypesOf(executable->signature().outputs, "result"));
  return std::shared_ptr<const Program>(std::make_shared<CompiledProgram>(
      std::move(executable), std::move(inputs), std::move(outputs)));
}

Result<std::shared_ptr<const Program>> MakeRowwise(std::shared_ptr<const Program> program,
                                                   const std::vector<bool>& batched) {
  int64_t rows = -1;
  const auto check = [&rows](const ProgramType& type) {
    if (type.dims.empty() || type.dims[0] < 1) return false;
    if (rows < 0) rows = type.dims[0];
    return type.dims[0] == rows;
  };
  for (size_t i = 0; i < program->inputs().size(); ++i) {
    if (i < batched.size() && batched[i] && !check(program->inputs()[i])) {
      return InvalidArgument(StrCat("argument ", i,
                                    " of the program does not have the rows of the "
                                    "others in dimension 0, which the batch dimension needs"));
    }
  }
  if (rows < 0) return InvalidArgument("no argument of the program has a batch dimension");
  for (size_t i = 0; i < program->outputs().size(); ++i) {
    if (!check(program->outputs()[i])) {
      return InvalidArgument(StrCat("result ", i, " of the program does not have the ", rows,
                                    " rows of its arguments in dimension 0"));
    }
  }
  std::vector<bool> mask = batched;
  mask.resize(program->inputs().size(), false);
  return std::shared_ptr<const Program>(
      std::make_shared<RowwiseProgram>(std::move(program), std::move(mask), rows));
}

}  // namespace megalith::serving
