#include "common/learning/serving/warmup.h"

#include <algorithm>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/learning/records/record_stream.h"

namespace megalith::serving {
namespace {

Status RunOne(const Servable& servable, const WarmupRequest& request,
              const InferenceOptions& options, const Cancellation& cancellation) {
  switch (request.method) {
    case Method::kPredict:
      return Predict(servable, request.signature, request.inputs, request.filter, options,
                     cancellation)
          .status();
    case Method::kClassify:
      return Classify(servable, request.signature, request.examples, options, cancellation)
          .status();
    case Method::kRegress:
      return Regress(servable, request.signature, request.examples, options, cancellation).status();
  }
  return OkStatus();
}

class WarmupLoader final : public Loader {
 public:
  WarmupLoader(std::unique_ptr<Loader> inner, WarmupParser parser, WarmupOptions options,
               FileSystem& files)
      : inner_(std::move(inner)),
        parser_(std::move(parser)),
        options_(std::move(options)),
        files_(files) {}

  Result<std::shared_ptr<const Servable>> Load(const std::string& name, int64_t version,
                                               const std::string& path,
                                               const Cancellation& cancellation) override {
    ASSIGN_OR_RETURN(std::shared_ptr<const Servable> servable,
                     inner_->Load(name, version, path, cancellation));
    const Stopwatch watch;
    uint64_t records = 0;
    const Status status = RunWarmup(*servable, JoinPath(path, kWarmupFile), parser_, options_,
                                    files_, cancellation, &records);
    if (options_.observer && (records > 0 || !status.ok()))
      options_.observer(path, status.code(), records, watch.Seconds());
    RETURN_IF_ERROR(status);
    return servable;
  }

 private:
  const std::unique_ptr<Loader> inner_;
  const WarmupParser parser_;
  const WarmupOptions options_;
  FileSystem& files_;
};

}  // namespace

Status RunWarmup(const Servable& servable, const std::string& path, const WarmupParser& parser,
                 const WarmupOptions& options, FileSystem& files, const Cancellation& cancellation,
                 uint64_t* records) {
  // A version that is a file has nothing below it either.
  if (!files.Stat(path).ok()) return OkStatus();
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, files.OpenRead(path));
  records::RecordReader reader(source.get(), StrCat("'", Printable(path, 400), "'"));
  for (uint64_t count = 1;; ++count) {
    const auto record = reader.Next();
    if (record.status().code() == Code::kDataLoss) {
      return DataLoss(StrCat(record.status().message(),
                             ". Please verify your warmup data is in TFRecord format."));
    }
    if (!record.ok()) return record.status();
    if (!record->has_value()) return OkStatus();
    *records = count;
    ASSIGN_OR_RETURN(const std::vector<WarmupRequest> requests, parser(**record));
    for (const WarmupRequest& request : requests) {
      for (uint32_t i = 0; i < std::max(1u, options.iterations); ++i) {
        RETURN_IF_ERROR(cancellation.Check());
        RETURN_IF_ERROR(RunOne(servable, request, options.inference, cancellation));
      }
    }
    if (count > kMaxWarmupRecords) {
      return InvalidArgument(StrCat("Number of warmup records exceeds the maximum (",
                                    kMaxWarmupRecords, ") at ", path));
    }
  }
}

std::unique_ptr<Loader> MakeWarmupLoader(std::unique_ptr<Loader> inner, WarmupParser parser,
                                         WarmupOptions options, FileSystem& files) {
  return std::make_unique<WarmupLoader>(std::move(inner), std::move(parser), std::move(options),
                                        files);
}

}  // namespace megalith::serving
