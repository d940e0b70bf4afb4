// Files of training data as Monolith frames them (spec data-formats.md, section 3), as far as
// tfs_client sends them to a model server.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::agent_tools {

// What stands before the size of each record; lagrangex_header excludes the others.
struct FramingOptions {
  bool lagrangex_header = false;
  bool kafka_dump_prefix = false;
  bool has_sort_id = false;
  bool kafka_dump = false;
};

// The first `count` records of a file, or all if it has fewer, at least one. Errors: those of
// reading; kDataLoss  the file ends inside a record, with its offset; kInvalidArgument  no record.
Result<std::vector<std::string>> ReadFramed(const std::string& path, const FramingOptions& options,
                                            size_t count, FileSystem& files);

// A serialised ExampleBatch row by row, each as a serialised parser.proto.Instance: v1 ids become
// v2 ids, doubles floats. Errors: kDataLoss  no ExampleBatch; kInvalidArgument  a column has
// neither batch_size features nor one that is shared; kResourceExhausted  more than a million rows.
Result<std::vector<std::string>> InstancesOfExampleBatch(std::string_view batch);

}  // namespace megalith::agent_tools
