// megalith-bundle: makes, checks and uses the sidecar of a directory of files.
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/foundation/durability/bundle.h"

namespace megalith::durability {
namespace {

constexpr char kUsage[] =
    "usage: megalith-bundle make DIRECTORY SIDECAR PERCENT   names of files on standard input\n"
    "       megalith-bundle check DIRECTORY SIDECAR          exit code 1 if anything is damaged\n"
    "       megalith-bundle repair DIRECTORY SIDECAR         exit code 1 if it cannot be "
    "repaired\n";

Status Make(const std::string& directory, const std::string& path, std::string_view percent) {
  const auto number = ParseDouble(percent);
  if (!number) return InvalidArgument(StrCat("PERCENT is not a number: '", percent, "'"));
  std::vector<std::string> names;
  for (std::string name; std::getline(std::cin, name);) names.push_back(name);
  ASSIGN_OR_RETURN(const std::string sidecar,
                   MakeBundleSidecar(RealFileSystem(), directory, names,
                                     {.overhead = *number / 100, .min_burst_bytes = 4096}));
  RETURN_IF_ERROR(RealFileSystem().WriteAtomically(path, sidecar));
  std::printf("%zu files, sidecar of %zu bytes\n", names.size(), sidecar.size());
  return OkStatus();
}

Status Examine(const std::string& directory, const std::string& path, bool repair) {
  ASSIGN_OR_RETURN(const std::string sidecar, RealFileSystem().Read(path));
  ASSIGN_OR_RETURN(const BundleReport report,
                   repair ? RepairBundle(RealFileSystem(), directory, sidecar)
                          : CheckBundle(RealFileSystem(), directory, sidecar));
  for (const std::string& name : report.damaged)
    std::printf("%s %s\n", repair ? "repaired" : "damaged", name.c_str());
  const DecodeProof& p = report.proof;
  if (!report.damaged.empty()) {
    std::printf("symbols [%s] of %u damaged, repair symbols [%s] used\nbefore %s\nafter  %s\n",
                RangesText(p.damaged).c_str(), p.source_symbols, RangesText(p.used_repair).c_str(),
                p.digest_before.Hex().c_str(), p.digest_after.Hex().c_str());
  }
  if (!report.sidecar_intact) std::printf("the sidecar itself is damaged: make it again\n");
  std::printf("%zu files, %zu damaged\n", report.names.size(), report.damaged.size());
  if (!repair && !(report.damaged.empty() && report.sidecar_intact))
    return DataLoss("the bundle is damaged; 'repair' restores it");
  return OkStatus();
}

int Main(const std::vector<std::string>& words) {
  Status status = InvalidArgument("");
  if (words.size() == 4 && words[0] == "make") {
    status = Make(words[1], words[2], words[3]);
  } else if (words.size() == 3 && (words[0] == "check" || words[0] == "repair")) {
    status = Examine(words[1], words[2], words[0] == "repair");
  } else {
    std::fputs(kUsage, stderr);
    return 2;
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "megalith-bundle: %s\n", status.ToString().c_str());
  return 1;
}

}  // namespace
}  // namespace megalith::durability

int main(int argc, char** argv) {
  return megalith::durability::Main(std::vector<std::string>(argv + 1, argv + argc));
}
