// Cold rows in RocksDB (docs/formats/cold-rows.md has the directory and the bytes).
#pragma once

#include <string>

#include "common/foundation/base/file_system.h"
#include "common/learning/embedding/cold/cold_store.h"

namespace megalith::embedding {

// Opens stores below `directory`. What an earlier process left in a table's directory is removed
// first; what a living one uses stays: another server's, or that of the table of the same name
// that a restore is about to replace. `files` outlives the opener. Errors of the opener:
// kInvalidArgument  the directory's name; kFailedPrecondition  it belongs to another table, or
// holds what is not ours; those of ColdStore.
OpenColdStoreOf RocksStores(std::string directory, FileSystem& files);

}  // namespace megalith::embedding
