#!/bin/bash
# Builds the example clients with their own package managers and runs each against a fleet and a model server
# that it starts.
#
#   run.sh BIN_DIR [python] [node] [go] [java]        all four by default
set -euo pipefail
bin=$(realpath "${1:?usage: run.sh BIN_DIR [LANGUAGE...]}")
shift
languages=("$@")
[ ${#languages[@]} -gt 0 ] || languages=(python node go java)
cd "$(dirname "$0")"
work=$(mktemp -d)
"$bin/megalith" --listen=127.0.0.1:0 --port_file="$work/port" 2> "$work/log" &
server=$!
rest="127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
"$bin/megalithctl" serve models --listen=127.0.0.1:0 --rest_api_port="${rest#*:}" > "$work/models" 2>> "$work/log" &
models=$!
trap 'kill $server $models 2> /dev/null || true; wait $server $models || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do grep -q REST "$work/models" && break; sleep 0.1; done
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
address=$(head -1 "$work/port")

client() {
  case $1 in
    python)
      python3 -m venv "$work/venv"
      "$work/venv/bin/pip" install -q -r python/requirements.txt
      "$work/venv/bin/python" python/client.py "$address" && python3 python/predict.py "$rest" ;;
    node) (cd node && npm install --silent --no-audit --no-fund && node client.js "$address" && node predict.js "$rest") ;;
    go) (cd go && ./generate.sh && go run . "$address" && go run ./predict "$rest") ;;
    java) (cd java && mvn -q -B compile exec:java -Dexec.args="$address" && java Predict.java "$rest") ;;
    *) echo "run.sh: there is no client in '$1'" >&2; return 1 ;;
  esac
}
for language in "${languages[@]}"; do
  echo "== $language"
  client "$language" | tee "$work/out"
  # The gradient of sum(tanh(x)) at 0, 0.5 and 1, and the row that was written.
  grep -Eq 'gradient: \[?1[^ ]* +0\.786[^ ]* +0\.4(20|19)' "$work/out" || { echo "run.sh: $language: wrong gradient" >&2; exit 1; }
  grep -Eq 'predictions: 2\.5 3(\.0)? 4\.5' "$work/out" || { echo "run.sh: $language: wrong predictions" >&2; exit 1; }
  grep -Eq 'row: \[? ?1\.5,? +-2' "$work/out" || { echo "run.sh: $language: wrong row" >&2; exit 1; }
done
