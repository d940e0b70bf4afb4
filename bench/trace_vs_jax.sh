#!/usr/bin/env bash
# Trace latency against JAX, both in one session, run by run in turn; prints the table.
#
#   bench/trace_vs_jax.sh PYTHON [BUILD_DIRECTORY, default build/release] [RUNS, default 20]
#
# PYTHON is an interpreter that can import JAX 0.9.2, which is no dependency of this repository.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
[ $# -ge 1 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
build="${2:-$root/build/release}"
[ -x "$build/bin/trace_bench" ] || { echo "build trace_bench first: no $build/bin/trace_bench" >&2; exit 1; }
JAX_PLATFORMS=cpu exec "$1" "$root/bench/jax_trace_bench.py" "$build/bin/trace_bench" \
  "$root/conformance/fixtures/jax/programs.jsonl" "${3:-20}"
