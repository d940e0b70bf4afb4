#include "tests/property/isolated.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "common/foundation/base/strings.h"

namespace megalith::property {
namespace {

// Stage and output as bytes, then engine and message, each with its zero.
std::string Packed(const Disagreement& d) {
  std::string out = {static_cast<char>(d.stage), static_cast<char>(d.output)};
  for (const std::string* text : {&d.engine, &d.message}) {
    out += *text;
    out += '\0';
  }
  return out;
}

Disagreement Unpacked(const std::string& bytes) {
  Disagreement d;
  d.stage = static_cast<Disagreement::Stage>(bytes[0]);
  d.output = static_cast<unsigned char>(bytes[1]);
  d.engine = bytes.c_str() + 2;
  d.message = bytes.c_str() + 2 + d.engine.size() + 1;
  return d;
}

[[noreturn]] void Child(int to, const RandomProgram& program, const std::vector<Engine>& engines,
                        unsigned seconds) {
  alarm(seconds);
  std::string bytes;
  if (const auto d = Check(program, engines)) bytes = Packed(*d);
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = write(to, bytes.data() + at, bytes.size() - at);
    if (n <= 0) break;
    at += static_cast<size_t>(n);
  }
  _exit(0);
}

}  // namespace

std::optional<Disagreement> CheckIsolated(const RandomProgram& program,
                                          const std::vector<Engine>& engines, unsigned seconds) {
  const auto failed = [](std::string_view what) {
    return Disagreement{Disagreement::Stage::kCrash, "process", StrCat(what)};
  };
  int ends[2];
  if (pipe(ends) != 0) return failed("no pipe");
  const pid_t child = fork();
  if (child < 0) return failed("no process");
  if (child == 0) {
    close(ends[0]);
    Child(ends[1], program, engines, seconds);
  }
  close(ends[1]);
  std::string bytes;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    bytes.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return failed(strsignal(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) return failed(StrCat("exit status ", WEXITSTATUS(status)));
  if (bytes.size() < 4) return std::nullopt;
  return Unpacked(bytes);
}

}  // namespace megalith::property
