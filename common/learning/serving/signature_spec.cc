#include "common/learning/serving/signature_spec.h"

#include <algorithm>
#include <set>

#include "common/foundation/base/strings.h"
#include "common/learning/serving/compiled_program.h"

namespace megalith::serving {
namespace {

std::string DimsText(const std::vector<int64_t>& dims) {
  return StrCat("[", tensor::DimsText(dims), "]");
}

// Makes one signature.
class Maker {
 public:
  Maker(const SignatureSpec& spec, std::shared_ptr<const Program> program)
      : spec_(spec), program_(std::move(program)) {}

  Result<Signature> Make() {
    if (spec_.entry != "main") {
      return Unimplemented(StrCat("entry '", Printable(spec_.entry), "': only main can be run"));
    }
    batched_.resize(program_->inputs().size(), false);
    RETURN_IF_ERROR(AddInputs());
    RETURN_IF_ERROR(MakeBatch());
    RETURN_IF_ERROR(AddOutputs());
    RETURN_IF_ERROR(CheckBound());
    out_.program = program_;
    switch (spec_.method) {
      case Method::kPredict:
        out_.method = kPredictMethod;
        if (!spec_.features.empty())
          return InvalidArgument("features are for CLASSIFY and REGRESS, this one is PREDICT");
        break;
      case Method::kClassify:
        out_.method = kClassifyMethod;
        RETURN_IF_ERROR(MakeClassify());
        break;
      case Method::kRegress:
        out_.method = kRegressMethod;
        RETURN_IF_ERROR(MakeRegress());
        break;
    }
    NameOutputs();
    return std::move(out_);
  }

 private:
  // The sizes of one tensor: -1 for the batch symbol. `have` is the program's type of it.
  Result<std::vector<int64_t>> DimsOf(const TensorSpec& tensor, const ProgramType& have) {
    if (tensor.dtype != have.dtype) {
      return InvalidArgument(StrCat("'", Printable(tensor.name), "' is ", EnumNameOf(tensor.dtype),
                                    ", the program has ", EnumNameOf(have.dtype)));
    }
    std::vector<int64_t> dims;
    for (size_t d = 0; d < tensor.dims.size(); ++d) {
      if (d == 0 && tensor.dims[d] == spec_.batch_dim) {
        dims.push_back(-1);
        continue;
      }
      const std::optional<int64_t> size = ParseInt(tensor.dims[d]);
      if (!size.has_value() || *size < 0) {
        return InvalidArgument(StrCat("'", Printable(tensor.name), "' has dimension '",
                                      Printable(tensor.dims[d]), "': wanted a number, or '",
                                      Printable(spec_.batch_dim), "' at position 0"));
      }
      dims.push_back(*size);
    }
    bool same = dims.size() == have.dims.size();
    for (size_t d = 0; same && d < dims.size(); ++d)
      same = dims[d] == have.dims[d] || (d == 0 && dims[d] < 0);
    if (!same) {
      return InvalidArgument(StrCat("'", Printable(tensor.name), "' has dimensions [",
                                    Printable(Join(tensor.dims, ",")), "], the program has ",
                                    DimsText(have.dims)));
    }
    return dims;
  }

  Status AddInputs() {
    for (const TensorSpec& tensor : spec_.inputs) {
      if (tensor.argument >= program_->inputs().size()) {
        return InvalidArgument(StrCat("'", Printable(tensor.name), "' is argument ",
                                      tensor.argument, ", the program has ",
                                      program_->inputs().size()));
      }
      if (!bound_.insert(tensor.argument).second)
        return InvalidArgument(StrCat("argument ", tensor.argument, " is bound twice"));
      Field field;
      ASSIGN_OR_RETURN(field.dims, DimsOf(tensor, program_->inputs()[tensor.argument]));
      field.dtype = tensor.dtype;
      field.tensor_name = StrCat(spec_.name, "_", tensor.name, ":0");
      field.argument = tensor.argument;
      field.default_value = tensor.default_value;
      batched_[tensor.argument] = !field.dims.empty() && field.dims[0] < 0;
      if (tensor.default_value.has_value() && tensor.default_value->dtype != tensor.dtype) {
        return InvalidArgument(StrCat("the default value of '", Printable(tensor.name), "' is ",
                                      EnumNameOf(tensor.default_value->dtype)));
      }
      if (!out_.inputs.emplace(tensor.name, std::move(field)).second)
        return InvalidArgument(StrCat("two inputs are called '", Printable(tensor.name), "'"));
    }
    return OkStatus();
  }

  // Programs over any number of rows, from those of a fixed one.
  Status MakeBatch() {
    if (std::ranges::none_of(batched_, [](bool b) { return b; })) return OkStatus();
    const auto at = static_cast<size_t>(std::ranges::find(batched_, true) - batched_.begin());
    const int64_t rows = program_->inputs()[at].dims[0];
    if (rows < 0) return OkStatus();
    for (const int64_t size : spec_.batch_sizes) {
      if (size != rows) {
        return InvalidArgument(StrCat("batch_size ", size, ": the program was exported for ", rows,
                                      " rows; export it for ", size, ", or leave batch_size out"));
      }
    }
    ASSIGN_OR_RETURN(program_, MakeRowwise(program_, batched_));
    return OkStatus();
  }

  Status AddOutputs() {
    for (const TensorSpec& tensor : spec_.outputs) {
      if (tensor.argument >= program_->outputs().size()) {
        return InvalidArgument(StrCat("'", Printable(tensor.name), "' is result ", tensor.argument,
                                      ", the program has ", program_->outputs().size()));
      }
      Field field;
      ASSIGN_OR_RETURN(field.dims, DimsOf(tensor, program_->outputs()[tensor.argument]));
      // A fixed size where rows vary, or the reverse.
      if (field.dims != program_->outputs()[tensor.argument].dims) {
        return InvalidArgument(StrCat("'", Printable(tensor.name), "' has dimensions [",
                                      Printable(Join(tensor.dims, ",")), "], the program has ",
                                      DimsText(program_->outputs()[tensor.argument].dims)));
      }
      field.dtype = tensor.dtype;
      field.argument = tensor.argument;
      if (!out_.outputs.emplace(tensor.name, std::move(field)).second)
        return InvalidArgument(StrCat("two outputs are called '", Printable(tensor.name), "'"));
    }
    if (out_.outputs.empty()) return InvalidArgument("there is no output");
    return OkStatus();
  }

  Status CheckBound() const {
    for (size_t i = 0; i < program_->inputs().size(); ++i) {
      if (bound_.count(i) == 0)
        return InvalidArgument(StrCat("argument ", i, " of the program is bound by no input"));
    }
    return OkStatus();
  }

  // Inputs become features of Examples; what has none keeps its default value.
  Status MakeFeatures() {
    if (spec_.features.empty()) return InvalidArgument("there is no feature");
    std::set<std::string> filled;
    for (const FeatureSpec& spec : spec_.features) {
      const auto input = out_.inputs.find(spec.input);
      if (input == out_.inputs.end() || !filled.insert(spec.input).second) {
        return InvalidArgument(StrCat("feature '", Printable(spec.key), "' fills '",
                                      Printable(spec.input), "', which is no input or filled"));
      }
      const Field& field = input->second;
      int64_t length = 1;
      for (size_t d = 1; d < field.dims.size(); ++d) length *= field.dims[d];
      const bool scalar = field.dims.size() == 1;
      if (field.dims.empty() || field.dims[0] >= 0 || (!scalar && field.dims.size() != 2) ||
          (scalar ? spec.length != 0 : static_cast<int64_t>(spec.length) != length)) {
        return InvalidArgument(StrCat("feature '", Printable(spec.key), "' has length ",
                                      spec.length, ", its input has dimensions ",
                                      DimsText(field.dims)));
      }
      if (spec.default_value.has_value() &&
          (spec.default_value->dtype != field.dtype || spec.default_value->size() != length)) {
        return InvalidArgument(StrCat("the default value of feature '", Printable(spec.key),
                                      "' is not ", length, " of ", EnumNameOf(field.dtype)));
      }
      out_.features.push_back({.key = spec.key,
                               .argument = field.argument,
                               .dtype = field.dtype,
                               .length = length,
                               .scalar = scalar,
                               .required = spec.required,
                               .default_value = spec.default_value});
    }
    for (const auto& [name, field] : out_.inputs) {
      if (filled.count(name) != 0) continue;
      if (!field.default_value.has_value())
        return InvalidArgument(
            StrCat("input '", Printable(name), "' has no feature and no default value"));
      out_.fixed_arguments[field.argument] = *field.default_value;
    }
    Field examples;
    examples.dtype = DataType::kString;
    examples.unknown_rank = true;
    examples.tensor_name = StrCat(spec_.name, "_", kExamplesInput, ":0");
    out_.inputs = {{std::string(kExamplesInput), std::move(examples)}};
    return OkStatus();
  }

  Status CheckOutput(std::string_view alias, bool flat) const {
    const auto at = out_.outputs.find(std::string(alias));
    const bool fits = at != out_.outputs.end() && out_.outputs.size() == 1 &&
                      at->second.dtype == DataType::kFloat && !at->second.dims.empty() &&
                      at->second.dims[0] < 0 &&
                      (flat ? at->second.dims.size() == 1 ||
                                  (at->second.dims.size() == 2 && at->second.dims[1] == 1)
                            : at->second.dims.size() == 2);
    if (fits) return OkStatus();
    return InvalidArgument(StrCat("wanted one output '", alias, "' of DT_FLOAT and dimensions ",
                                  flat ? "[b] or [b,1]" : "[b,n]"));
  }

  Status MakeClassify() {
    RETURN_IF_ERROR(MakeFeatures());
    RETURN_IF_ERROR(CheckOutput(kScoresOutput, /*flat=*/false));
    if (spec_.class_labels.empty()) return OkStatus();
    const Field& scores = out_.outputs.at(std::string(kScoresOutput));
    if (static_cast<int64_t>(spec_.class_labels.size()) != scores.dims[1]) {
      return InvalidArgument(StrCat("there are ", spec_.class_labels.size(), " labels for ",
                                    scores.dims[1], " scores"));
    }
    Field classes = scores;
    classes.dtype = DataType::kString;
    out_.outputs.emplace(std::string(kClassesOutput), std::move(classes));
    out_.class_labels = spec_.class_labels;
    return OkStatus();
  }

  Status MakeRegress() {
    RETURN_IF_ERROR(MakeFeatures());
    return CheckOutput(kRegressOutput, /*flat=*/true);
  }

  void NameOutputs() {
    size_t k = 0;
    for (auto& [name, field] : out_.outputs)
      field.tensor_name = StrCat("StatefulPartitionedCall:", k++);
  }

  const SignatureSpec& spec_;
  std::shared_ptr<const Program> program_;
  std::vector<bool> batched_;
  std::set<size_t> bound_;
  Signature out_;
};

std::vector<std::string> DimTexts(const std::vector<int64_t>& dims) {
  std::vector<std::string> out;
  for (const int64_t d : dims) out.push_back(d < 0 ? "b" : StrCat(d));
  return out;
}

}  // namespace

Result<Signature> MakeSignature(const SignatureSpec& spec, std::shared_ptr<const Program> program) {
  return Maker(spec, std::move(program))
      .Make()
      .Annotate(StrCat("signature '", Printable(spec.name), "'"));
}

SignatureSpec DeriveSpec(std::string name, std::string program_file, const Program& program) {
  SignatureSpec out;
  out.name = std::move(name);
  out.program = std::move(program_file);
  for (size_t i = 0; i < program.inputs().size(); ++i) {
    out.inputs.push_back({.name = StrCat("args_", i),
                          .argument = i,
                          .dtype = program.inputs()[i].dtype,
                          .dims = DimTexts(program.inputs()[i].dims)});
  }
  for (size_t i = 0; i < program.outputs().size(); ++i) {
    out.outputs.push_back({.name = StrCat("output_", i),
                           .argument = i,
                           .dtype = program.outputs()[i].dtype,
                           .dims = DimTexts(program.outputs()[i].dims)});
  }
  return out;
}

}  // namespace megalith::serving
