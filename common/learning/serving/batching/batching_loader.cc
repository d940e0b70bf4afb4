#include "common/learning/serving/batching/batching_loader.h"

#include <map>

namespace megalith::serving {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;

class BatchingLoader final : public Loader {
 public:
  BatchingLoader(std::unique_ptr<Loader> inner, std::shared_ptr<BatchScheduler> scheduler,
                 BatchingOptions options, BatchingParser parser, FileSystem& files)
      : inner_(std::move(inner)),
        scheduler_(std::move(scheduler)),
        options_(std::move(options)),
        parser_(std::move(parser)),
        files_(files) {}

  Result<std::shared_ptr<const Servable>> Load(const std::string& name, int64_t version,
                                               const std::string& path,
                                               const Cancellation& cancellation) override {
    ASSIGN_OR_RETURN(const std::optional<BatchingOptions> options, OptionsOf(path));
    ASSIGN_OR_RETURN(std::shared_ptr<const Servable> servable,
                     inner_->Load(name, version, path, cancellation));
    if (!options) return servable;
    auto out = std::make_shared<Servable>(*servable);
    std::map<const Program*, std::shared_ptr<const Program>> batched;
    for (auto& [signature_name, signature] : out->signatures) {
      if (!CanBeBatched(*signature.program)) continue;
      std::shared_ptr<const Program>& program = batched[signature.program.get()];
      if (program == nullptr) program = MakeBatched(signature.program, scheduler_, *options);
      signature.program = program;
    }
    return std::shared_ptr<const Servable>(std::move(out));
  }

 private:
  Result<std::optional<BatchingOptions>> OptionsOf(const std::string& path) const {
    if (!parser_) return std::optional<BatchingOptions>(options_);
    const std::string file = JoinPath(path, kBatchingFile);
    // A version that is a file has nothing below it either.
    if (!files_.Stat(file).ok()) return std::optional<BatchingOptions>();
    ASSIGN_OR_RETURN(const std::string text, files_.Read(file, kMaxFileBytes));
    ASSIGN_OR_RETURN(BatchingParameters parameters, parser_(text).Annotate(kBatchingFile));
    return std::optional<BatchingOptions>(std::move(parameters.options));
  }

  const std::unique_ptr<Loader> inner_;
  const std::shared_ptr<BatchScheduler> scheduler_;
  const BatchingOptions options_;
  const BatchingParser parser_;
  FileSystem& files_;
};

}  // namespace

std::unique_ptr<Loader> MakeBatchingLoader(std::unique_ptr<Loader> inner,
                                           std::shared_ptr<BatchScheduler> scheduler,
                                           BatchingOptions options, BatchingParser parser,
                                           FileSystem& files) {
  return std::make_unique<BatchingLoader>(std::move(inner), std::move(scheduler),
                                          std::move(options), std::move(parser), files);
}

}  // namespace megalith::serving
