// Configuration files: values that load are in range, and nothing else happens.
#include <cstdint>
#include <string>

#include "common/foundation/config/loader.h"

namespace {

struct Config {
  int32_t count = 3;
  std::string text;
  std::vector<std::string> list;
  double ratio = 0.5;
};
constexpr megalith::config::ConfigField<Config> kFields[] = {
    megalith::config::Field<&Config::count>("count", "a count").Range(1, 9),
    megalith::config::Field<&Config::text>("text", "a text"),
    megalith::config::Field<&Config::list>("list", "a list"),
    megalith::config::Field<&Config::ratio>("ratio", "a ratio").RangeDouble(0, 1),
};

// One file that holds the input.
class OneFile final : public megalith::FileSystem {
 public:
  explicit OneFile(std::string text) : text_(std::move(text)) {}
  megalith::Result<std::string> Read(const std::string&, uint64_t) override { return text_; }
  megalith::Result<std::unique_ptr<megalith::ByteSource>> OpenRead(const std::string&) override {
    return ReadOnly();
  }
  megalith::Status WriteAtomically(const std::string&, std::string_view) override {
    return ReadOnly();
  }
  megalith::Status WritePrivately(const std::string&, std::string_view) override {
    return ReadOnly();
  }
  megalith::Result<std::unique_ptr<megalith::AppendFile>> OpenAppend(const std::string&) override {
    return ReadOnly();
  }
  megalith::Status Truncate(const std::string&, uint64_t) override { return ReadOnly(); }
  megalith::Status Rename(const std::string&, const std::string&) override { return ReadOnly(); }
  megalith::Status Remove(const std::string&) override { return ReadOnly(); }
  megalith::Status MakeDirectory(const std::string&) override { return ReadOnly(); }
  megalith::Result<std::vector<megalith::FileInfo>> List(const std::string&) override {
    return ReadOnly();
  }
  megalith::Result<megalith::FileInfo> Stat(const std::string&) override { return ReadOnly(); }
  megalith::Status RemoveTree(const std::string&) override { return ReadOnly(); }

 private:
  static megalith::Status ReadOnly() { return megalith::Unimplemented("read only"); }
  const std::string text_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Config config;
  megalith::config::Loader loader("fuzz", "");
  loader.Add<Config>(kFields, &config);
  OneFile files(std::string(reinterpret_cast<const char*>(data), size));
  const std::vector<std::string> arguments = {"--config=x"};
  (void)loader.Load(arguments, {}, files);
  CHECK(config.count >= 1 && config.count <= 9);
  CHECK(config.ratio >= 0 && config.ratio <= 1);
  return 0;
}
