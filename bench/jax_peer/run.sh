#!/usr/bin/env bash
# The CPU backend against JAX; see compare.py for what is measured and for further options.
#
#   bench/jax_peer/run.sh [BUILD_DIRECTORY, default build/release] [OPTIONS OF compare.py]
#
# Uses the Python in MEGALITH_BENCH_PYTHON, which must have JAX 0.9.2, or makes a virtual environment
# with it from PyPI under build/ (once).
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
build="$root/build/release"
if [ $# -gt 0 ] && [ -d "$1" ]; then build="$(cd "$1" && pwd)"; shift; fi
[ -x "$build/bin/cpu_bench" ] || { echo "build cpu_bench first: no $build/bin/cpu_bench" >&2; exit 1; }
python="${MEGALITH_BENCH_PYTHON:-}"
if [ -z "$python" ]; then
  python="$root/build/jax/bin/python"
  if ! "$python" -c 'import jax, sys; sys.exit(jax.__version__ != "0.9.2")' 2>/dev/null; then
    base="${MEGALITH_BASE_PYTHON:-python3}"
    rm -rf "$root/build/jax"
    "$base" -m venv "$root/build/jax" || { echo "jax_peer: cannot make a virtual environment (Debian: python3-venv)" >&2; exit 1; }
    "$root/build/jax/bin/pip" install -q 'jax==0.9.2' 'jaxlib==0.9.2' numpy || {
      echo "jax_peer: JAX 0.9.2 cannot be installed from PyPI with $base; set MEGALITH_BENCH_PYTHON to a Python that has it" >&2
      exit 1; }
  fi
fi
exec "$python" "$root/bench/jax_peer/compare.py" --bench "$build/bin/cpu_bench" "$@"
