#include "clients/cli/session.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "common/foundation/base/strings.h"

namespace megalith::cli {

std::string TextTable::Render() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    if (!out.empty()) out += '\n';
    out += line;
  }
  return out;
}

ProgressBar::~ProgressBar() {
  if (!shown_.empty()) out_ << '\r' << std::string(shown_.size(), ' ') << '\r' << std::flush;
}

void ProgressBar::Update(double fraction, std::string_view note) {
  if (!enabled_) return;
  constexpr int kWidth = 30;
  const int done = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kWidth);
  std::string line = StrCat(label_, " [", std::string(static_cast<size_t>(done), '#'),
                            std::string(static_cast<size_t>(kWidth - done), '.'), "] ",
                            static_cast<int>(std::clamp(fraction, 0.0, 1.0) * 100), "% ", note);
  if (line == shown_) return;
  const size_t wipe = shown_.size() > line.size() ? shown_.size() - line.size() : 0;
  out_ << '\r' << line << std::string(wipe, ' ') << std::flush;
  shown_ = std::move(line);
}

Result<std::shared_ptr<rpc::Channel>> Session::Fleet() {
  if (channel_ != nullptr) return channel_;
  const std::string address = arguments_.Get("address");
  if (!address.empty()) {
    ASSIGN_OR_RETURN(channel_, rpc::Dial(address, DialOptions(), files()));
    return channel_;
  }
  services::EmbeddedFleet::Options options;
  options.process.listen.clear();
  options.data_directory = arguments_.Get("data_dir");
  ASSIGN_OR_RETURN(embedded_,
                   services::EmbeddedFleet::Start(std::move(options), environment_.engines));
  channel_ = embedded_->channel();
  return channel_;
}

rpc::DialOptions Session::DialOptions() const {
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  rpc::DialOptions options;
  options.discovery = arguments_.Get("discovery");
  if (options.discovery.empty()) options.discovery = variable("MEGALITH_DISCOVERY");
  options.zk_auth = variable("ZK_AUTH");
  options.channel.tls = {.ca_file = arguments_.Get("ca_file"),
                         .certificate_file = arguments_.Get("certificate_file"),
                         .key_file = arguments_.Get("key_file"),
                         .server_name = ""};
  return options;
}

Result<std::vector<std::shared_ptr<rpc::Channel>>> Session::Servers() {
  std::vector<std::shared_ptr<rpc::Channel>> out;
  const std::string addresses = arguments_.Get("address");
  if (addresses.empty()) {
    return InvalidArgument(
        "tables live on servers that outlast this command: start one, such as "
        "`megalith --listen=127.0.0.1:7000 --data_dir=DIR`, and give --address=127.0.0.1:7000");
  }
  for (const std::string& address : rpc::SplitDialTargets(addresses)) {
    if (address.empty()) {
      return InvalidArgument(
          StrCat("--address=", addresses, ": an address between commas is empty"));
    }
    ASSIGN_OR_RETURN(auto shards, rpc::DialShards(address, DialOptions(), files()));
    std::move(shards.begin(), shards.end(), std::back_inserter(out));
  }
  return out;
}

Result<rpc::CallOptions> Session::CallOptions() const {
  rpc::CallOptions options;
  ASSIGN_OR_RETURN(const std::optional<int64_t> timeout, arguments_.GetInt("timeout_ms"));
  if (timeout && *timeout < 1) return InvalidArgument("flag --timeout_ms expects at least 1");
  if (timeout) options.timeout = std::chrono::milliseconds(*timeout);
  options.cancellation = environment_.cancellation;
  return options;
}

void Session::Print(std::string_view json, std::string_view text) {
  *environment_.out << (this->json() ? json : text) << '\n';
}

void Session::Note(std::string_view text) {
  if (!json() && !arguments_.Has("quiet")) *environment_.err << text << '\n';
}

Result<std::string> Session::ReadInput(uint64_t max_bytes) {
  std::string out;
  if (environment_.in == nullptr) return out;
  char buffer[1 << 16];
  while (environment_.in->read(buffer, sizeof(buffer)) || environment_.in->gcount() > 0) {
    out.append(buffer, static_cast<size_t>(environment_.in->gcount()));
    if (out.size() > max_bytes)
      return ResourceExhausted(StrCat("standard input has more than ", max_bytes, " bytes"));
  }
  return out;
}

Status Session::CheckCancelled() const {
  return environment_.cancellation == nullptr ? OkStatus() : environment_.cancellation->Check();
}

std::unique_ptr<ProgressBar> Session::Progress(std::string label) {
  const bool enabled = environment_.err_is_terminal && !json() && !arguments_.Has("quiet");
  return std::make_unique<ProgressBar>(*environment_.err, enabled, std::move(label));
}

int RunCli(std::span<const std::string> words, Session::Environment environment) {
  std::ostream& out = *environment.out;
  std::ostream& err = *environment.err;
  const Result<Parsed> parsed = ParseCommandLine(environment.commands, words);
  if (!parsed.ok()) {
    err << "megalithctl: " << parsed.status().message() << "\nTry megalithctl help.\n";
    return 2;
  }
  if (parsed->command == nullptr) {
    out << HelpText(environment.commands, parsed->help_topic);
    return 0;
  }
  Session session(environment, parsed->arguments);
  const Status status = parsed->command->run(session, parsed->arguments);
  out.flush();
  if (status.ok()) return 0;
  if (!session.json() && !session.CheckCancelled().ok()) {
    err << "megalithctl: cancelled\n";
    return ExitCodeOf(Cancelled(""));
  }
  if (session.json()) {
    err << "{\"error\":{\"code\":" << JsonQuote(CodeName(status.code()))
        << ",\"class\":" << JsonQuote(status.python_class())
        << ",\"message\":" << JsonQuote(status.message()) << "}}\n";
  } else {
    err << "megalithctl: " << status.ToString() << "\n";
  }
  return ExitCodeOf(status);
}

}  // namespace megalith::cli
