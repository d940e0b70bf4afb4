#include "common/foundation/telemetry/event_table.h"

#include <algorithm>

#include "common/foundation/base/strings.h"

namespace megalith::telemetry {
namespace {

constexpr EventDef kEvents[] = {
    {"agent_file_unwritten", Level::error, "path error",
     "a file that model servers read could not be written; they keep what they have, and it is "
     "tried again. Check free space and permissions"},
    {"agent_layout_changed", Level::info, "file models",
     "the layout asks for other models, and the model server's configuration was written anew"},
    {"agent_leader", Level::info, "path leads",
     "this agent begins to decide which container loads what (version 2), or ceases to"},
    {"agent_model_copied", Level::info, "model version path",
     "a new version of the rough-sort model was copied to where model servers look for it"},
    {"agent_model_copy_failed", Level::warn, "model error",
     "a version of the rough-sort model could not be copied; it is tried again. Check that its "
     "source is whole, and free space"},
    {"agent_model_error", Level::warn, "model error",
     "the model server reports an error for a model; the model's state in ZooKeeper stays what it "
     "was. See the model server's log"},
    {"agent_model_missing", Level::error, "model source seconds",
     "no version of the rough-sort model has come in all that time; model servers wait for it"},
    {"agent_model_published", Level::info, "model containers",
     "the leader has told so many containers what to load of a model"},
    {"agent_model_state", Level::info, "model from to",
     "the state of a model has changed (30 is AVAILABLE, 0 unknown) and is told to ZooKeeper"},
    {"agent_model_unplaced", Level::error, "model error",
     "the leader finds no containers for a model; it is tried again whenever something changes. "
     "Start more containers, or give them more memory"},
    {"agent_process_ended", Level::error, "process how delay_ms",
     "a model server has ended by itself, did not start, or did not open its port in time; it is "
     "started again after delay_ms. See its log"},
    {"agent_process_killed", Level::warn, "process pid",
     "a model server was still there after the grace that follows SIGTERM, and was killed"},
    {"agent_process_output", Level::warn, "process file error",
     "the file for a model server's output cannot be opened; its output goes where the agent's "
     "does. Correct tfs_log or the permissions"},
    {"agent_process_started", Level::info, "process pid", "a model server was started"},
    {"agent_reload_failed", Level::warn, "server error",
     "a model server has refused its configuration; it is sent again. See its log"},
    {"agent_replica_id_absent", Level::warn, "task",
     "this replica has no id, so that a second one would share its node: set MY_POD_NAME or "
     "REPLICA_ID"},
    {"cache_entry_quarantined", Level::warn, "key reason file",
     "a stored entry failed its checks, could not be restored and was moved to `file`; the caller "
     "recomputes it. Repeated: check the disk"},
    {"cache_entry_repaired", Level::warn, "key reason source damaged used before after proof",
     "a damaged entry was restored bit for bit from its sidecar or from memory; `damaged` and "
     "`used` are numbers of symbols, `proof` the file with all of it. Repeated: check the disk"},
    {"cache_leftover_removed", Level::info, "file bytes",
     "a file that is no entry, left by a write that a crash cut short, was removed at start"},
    {"cache_opened", Level::info, "directory entries bytes seconds",
     "the start-up scan of the disk tier is done"},
    {"cache_scrub_ended", Level::info,
     "pass entries bytes repaired quarantined sidecars unreadable seconds",
     "a scrub of all entries has ended"},
    {"cache_sidecar_failed", Level::warn, "key error",
     "the sidecar of an entry could not be written; the entry itself is stored. Check free space "
     "and permissions"},
    {"cache_write_failed", Level::warn, "key error",
     "an entry could not be stored; the answer was given without it. Check free space and "
     "permissions"},
    {"config_default", Level::debug, "name value", "one setting that was left at its default"},
    {"config_value", Level::info, "name value source",
     "one setting that is not at its default; secrets are masked"},
    {"discovery_file_rejected", Level::warn, "path error",
     "the static discovery file does not parse; the last good content stays in use. Correct the "
     "file"},
    {"discovery_file_reloaded", Level::info, "path services",
     "the static discovery file changed and was read"},
    {"discovery_unread", Level::warn, "error",
     "ZooKeeper could not be read at the start; the process serves, and finds others as soon as it "
     "can. Check that the servers named in `discovery` run and can be reached"},
    {"fleet_key_absent", Level::warn, "service",
     "packages are not sealed, so machine code in them is not run; set fleet_key_file, the same "
     "for "
     "compile and execute"},
    {"grpc_message", Level::debug, "file line message", "something that gRPC's C core reported"},
    {"ledger_append_failed", Level::error, "error",
     "evidence could not be written; requests go on without it. Check free space and permissions"},
    {"ledger_opened", Level::info, "directory entries segments truncated_bytes",
     "the ledger is open; truncated_bytes counts a torn tail that was cut off"},
    {"model_config_rejected", Level::warn, "path error",
     "the file of models could not be read or asks for what cannot be; the models stay as they are. "
     "Correct the file"},
    {"model_folder_unreadable", Level::warn, "model error",
     "the folder of a model's versions cannot be listed; what is served of it stays. Check the path "
     "and its permissions"},
    {"model_load_failed", Level::warn, "model version attempt error",
     "a version of a model could not be loaded; it is tried again a few times, and then only once "
     "it has been taken away and put back"},
    {"model_loaded", Level::info, "model version load_ms",
     "a version of a model is available to requests"},
    {"model_unloaded", Level::info, "model version",
     "a version of a model takes no further requests; its memory goes with the last one"},
    {"package_refused", Level::warn, "service key error suppressed",
     "a package does not carry the seal of this fleet, and is not run; sampled. Somebody stored or "
     "sent one of his own, or the key of the fleet has changed"},
    {"rest_api_started", Level::info, "listen",
     "the REST API of the served models takes requests at this address"},
    {"rpc_access", Level::debug,
     "method code seconds request_bytes response_bytes peer trace_id suppressed",
     "one finished call, sampled"},
    {"rpc_failed", Level::warn, "method code message peer trace_id suppressed",
     "a call ended with a code that is the server's fault (UNKNOWN, INTERNAL, DATA_LOSS), sampled"},
    {"server_drained", Level::info, "seconds calls_cancelled",
     "the server has stopped after a drain; calls_cancelled counts calls that outlived drain_ms"},
    {"server_draining", Level::info, "signal drain_ms",
     "readiness is withdrawn and no new connection is accepted; running calls finish"},
    {"server_started", Level::info, "service version listen metrics pid",
     "the server accepts calls"},
    {"sync_erased_rows_dropped", Level::error, "rows",
     "more rows were erased than sync_max_keys while a target could not be told; targets may keep "
     "rows that are gone. Restart them from a new checkpoint"},
    {"sync_push_failed", Level::warn, "target code error failures",
     "a serving target did not take rows; they are sent again. Logged at failures 1, 2, 4, 8, ..."},
    {"sync_resolve_failed", Level::warn, "error",
     "discovery did not say who the targets are; the last known ones stay in use"},
    {"sync_target_bootstrap", Level::info, "target reason from_checkpoint",
     "a target is new, or another run of it, and is sent every row, or those changed since the "
     "checkpoint that it has loaded"},
    {"table_checkpoint_failed", Level::warn, "step error",
     "a checkpoint that was due could not be saved; what came before stays. The next one is tried "
     "at its time; a delta that cannot be waits for the next whole one"},
    {"table_checkpoint_note", Level::warn, "note",
     "what the restore of a checkpoint met on its way: checkpoints passed over, files repaired"},
    {"table_checkpoint_restored", Level::info, "prefix step rows",
     "the server begins with the rows of a checkpoint"},
    {"table_checkpoint_saved", Level::info, "prefix delta published rows bytes seconds",
     "a checkpoint that was due is saved; published: the parts of all servers are there"},
    {"table_log_not_cut", Level::warn, "prefix error",
     "a checkpoint is saved, but files of the log that it makes superfluous stay until the next "
     "one. Check the checkpoints and the disk if it repeats"},
    {"table_log_opened", Level::info, "directory segments records seconds",
     "the update log was read, and the changes that no checkpoint has were made again"},
    {"table_log_tail_dropped", Level::warn, "file bytes",
     "the update log ended in a group that was not whole, as a crash leaves it: nothing in it was "
     "acknowledged, and it was cut off"},
    {"zookeeper_auth_failed", Level::error, "",
     "ZooKeeper refuses the digest credentials: correct discovery_auth, or ZK_AUTH"},
    {"zookeeper_library", Level::debug, "message", "what the ZooKeeper client library says"},
    {"zookeeper_node_shared", Level::warn, "path",
     "a node that stands for this process belongs to another session: an earlier run, which is "
     "over "
     "once its session expires, or another process with the same identity, which must get its own"},
    {"zookeeper_node_skipped", Level::warn, "path error",
     "a node cannot be read or understood and counts as absent; said once for each. Repair it or "
     "remove it"},
    {"zookeeper_registration_failed", Level::error, "path error",
     "ZooKeeper refuses a node that stands for this process: others cannot find it"},
    {"zookeeper_session", Level::info, "servers state session",
     "the state of the session with ZooKeeper has changed: connecting, connected, suspended (the "
     "connection is lost), expired (a new session follows), auth_failed"},
};

}  // namespace

std::span<const EventDef> Events() { return kEvents; }

const EventDef* FindEvent(std::string_view name) {
  const auto* at =
      std::lower_bound(std::begin(kEvents), std::end(kEvents), name,
                       [](const EventDef& e, std::string_view n) { return e.name < n; });
  return at != std::end(kEvents) && at->name == name ? at : nullptr;
}

std::string EventsMarkdown() {
  std::string out = "| event | level | fields | meaning |\n|---|---|---|---|\n";
  for (const EventDef& e : kEvents) {
    StrAppend(&out, "| `", e.name, "` | ", LevelName(e.level), " | ", e.fields, " | ", e.meaning,
              " |\n");
  }
  return out;
}

}  // namespace megalith::telemetry
