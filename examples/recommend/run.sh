#!/bin/bash
# Trains a small recommender on two parameter servers, saves it, kills and starts the servers again,
# and asks what user 0 likes: the answer is the same as before.
# usage: run.sh DIRECTORY_OF_BINARIES
set -euo pipefail
bin="$(cd "${1:?usage: run.sh DIRECTORY_OF_BINARIES}" && pwd)"
state="$(mktemp -d "${TMPDIR:-/tmp}/megalith-recommend.XXXXXX")"
servers=()
stop() {
  for server in "${servers[@]}"; do kill -KILL "$server" 2>/dev/null || true; done
  for server in "${servers[@]}"; do wait "$server" 2>/dev/null || true; done
  servers=()
}
trap 'stop; rm -rf "$state"' EXIT

start() {
  addresses=()
  for shard in 0 1; do
    rm -f "$state/port$shard"
    "$bin/megalith-parameter-server" --listen=127.0.0.1:0 --shards=2 --shard="$shard" --log=true \
      --data_dir="$state/data$shard" --checkpoint_dir="$state/model" --port_file="$state/port$shard" \
      --log_file="$state/log$shard" </dev/null >"$state/out$shard" 2>&1 &
    servers+=($!)
  done
  for shard in 0 1; do
    for _ in $(seq 300); do [ -s "$state/port$shard" ] && break; sleep 0.1; done
    [ -s "$state/port$shard" ] || { echo "run.sh: a server did not start" >&2; cat "$state"/log* "$state"/out* >&2; exit 1; }
    addresses+=("$(sed -n 1p "$state/port$shard")")
  done
}

start
"$bin/recommend" train "${addresses[@]}"
before="$("$bin/recommend" rank "${addresses[@]}")"
"$bin/megalithctl" table save --step=1 --address="${addresses[0]},${addresses[1]}"
echo "the servers are killed and start again from the checkpoint"
stop
start
after="$("$bin/recommend" rank "${addresses[@]}")"
echo "$after"
[ "$before" = "$after" ] || { echo "run.sh: it was different before: $before" >&2; exit 1; }
grep -q "user 0 likes item 3" <<<"$after"
! grep -q "user 0 likes item 4" <<<"$after"
