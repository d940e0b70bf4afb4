#!/bin/bash
# Runs the oracle records and compares with what docs/ says, or writes it.
# usage: conformance.sh MEGALITHCTL check|update
set -euo pipefail
ctl="${1:?megalithctl}"
mode="${2:-check}"
cd "$(dirname "$0")/../.."
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
"$ctl" conformance --cases conformance/fixtures/jax --known conformance/known-failures.txt --json "$out/parity.json"
python3 tests/conformance/parity.py "$out/parity.json" conformance/known-failures.txt > "$out/parity.md"
"$ctl" conformance --cases conformance/fixtures/optimizers.json --json "$out/parity-monolith.json"
python3 tests/conformance/parity_monolith.py "$out/parity-monolith.json" > "$out/parity-monolith.md"
for page in parity.json parity.md parity-monolith.json parity-monolith.md; do
  if [ "$mode" = update ]; then
    cp "$out/$page" "docs/$page"
  else
    diff -u "docs/$page" "$out/$page" || { echo "docs/$page is stale: make conformance" >&2; exit 1; }
  fi
done
