// Record and Snappy streams of any bytes: what is read without an error is what was written. The
// first two bytes of the input choose a byte to damage; the rest is read as a stream, and framed as
// payloads of 0 to 31 bytes that are damaged and read back.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/learning/records/record_stream.h"
#include "common/learning/records/snappy_stream.h"

namespace {

using megalith::StringSink;
using megalith::StringSource;
using namespace megalith::records;

std::vector<std::string> Drain(RecordReader& reader, bool* whole) {
  std::vector<std::string> out;
  while (true) {
    const auto next = reader.Next();
    *whole = next.ok();
    if (!next.ok() || !next->has_value()) return out;
    out.emplace_back(**next);
  }
}

std::vector<std::string> ReadPlain(std::string_view stream, bool* whole) {
  StringSource source(stream);
  RecordReader reader(&source, "input");
  return Drain(reader, whole);
}

std::vector<std::string> ReadSnappy(std::string_view stream, bool* whole) {
  StringSource source(stream);
  SnappySource snappy(&source, "input", {.max_block_bytes = 1 << 20});
  RecordReader reader(&snappy, "input");
  return Drain(reader, whole);
}

std::string Frame(const std::vector<std::string>& payloads) {
  std::string out;
  StringSink sink(&out);
  RecordWriter writer(&sink);
  for (const std::string& payload : payloads) CHECK(writer.Write(payload).ok());
  return out;
}

std::string Pack(std::string_view stream) {
  std::string out;
  StringSink sink(&out);
  SnappySink snappy(&sink);
  CHECK(snappy.Append(stream).ok() && snappy.Flush().ok());
  return out;
}

void CheckPrefix(const std::vector<std::string>& some, const std::vector<std::string>& all) {
  CHECK(some.size() <= all.size());
  for (size_t i = 0; i < some.size(); ++i) CHECK(some[i] == all[i]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t at = data[0] | data[1] << 8;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  bool whole = false;
  const std::vector<std::string> found = ReadPlain(rest, &whole);
  const std::string again = Frame(found);
  CHECK(rest.substr(0, again.size()) == again);
  CHECK(whole == (again.size() == rest.size()));
  (void)ReadSnappy(rest, &whole);

  std::vector<std::string> payloads;
  for (size_t i = 0; i < rest.size();) {
    const size_t n = static_cast<uint8_t>(rest[i++]) % 32;
    payloads.emplace_back(rest.substr(i, n));
    i += payloads.back().size();
  }
  std::string file = Frame(payloads);
  CHECK(ReadSnappy(Pack(file), &whole) == payloads && whole);
  if (file.empty()) return 0;
  file[at % file.size()] = static_cast<char>(file[at % file.size()] ^ 0x10);
  CheckPrefix(ReadPlain(file, &whole), payloads);
  CHECK(!whole);
  CheckPrefix(ReadSnappy(Pack(file), &whole), payloads);
  CHECK(!whole);
  return 0;
}
