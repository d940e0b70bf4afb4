#!/bin/bash
# Starts a fleet, trains the digit classifier on it and tells how to call it.
# usage: run.sh BUILD_DIRECTORY [--keep]     --keep leaves the fleet running
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
bin="$(cd "${1:?usage: run.sh BUILD_DIRECTORY [--keep]}" && pwd)/bin"
keep="${2:-}"

state="$(mktemp -d "${TMPDIR:-/tmp}/megalith-digits.XXXXXX")"
"$bin/megalith" --data_dir="$state/data" --port_file="$state/port" --log_file="$state/log" </dev/null >"$state/out" 2>&1 &
fleet=$!
stop() {
  kill -TERM "$fleet" 2>/dev/null || true
  wait "$fleet" 2>/dev/null || true
  rm -rf "$state"
}
trap stop EXIT
trap 'exit 130' INT TERM
for _ in $(seq 100); do
  [ -s "$state/port" ] && break
  kill -0 "$fleet" 2>/dev/null || { echo "run.sh: the fleet did not start:" >&2; cat "$state/out" "$state/log" >&2; exit 1; }
  sleep 0.1
done
address="$(sed -n 1p "$state/port")"
metrics="$(sed -n 2p "$state/port")"

"$bin/digits" --address "$address" --data "$root/examples/data/digits.csv.gz" --programs "$here/programs"

cat <<TEXT

The fleet answers at $address, its metrics are at http://$metrics/metrics. From another shell, in $root:

  grpcurl -plaintext $address list
  grpcurl -plaintext -d '{"chain": {"source": {"jaxpr_text": "{ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }"},
    "stack": [{"grad": {}}, {"jit": {}}]}, "arguments": [{"tensor": {"dtype": "f32", "data": "AAAAAA=="}}]}' \\
    $address megalith.execute.v1.ExecuteService/Execute
  python3 examples/python/call.py $address        # needs: apt-get install python3-grpcio python3-protobuf
  $bin/megalithctl services --address $address
  $bin/megalithctl ledger verify --address $address
TEXT

if [ "$keep" = --keep ]; then
  trap - EXIT
  echo; echo "It keeps running: stop it with 'kill $fleet', then 'rm -r $state'."
elif [ -t 0 ] && [ -t 1 ]; then
  echo; read -r -p "Press Enter to stop the fleet. " _ || true
fi
