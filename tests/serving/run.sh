#!/bin/bash
# Runs the stock client of TensorFlow Serving against `megalithctl serve`.
#
#   run.sh BIN_DIR [PYTHON]     PYTHON has tensorflow-serving-api; without it a virtual environment is made of PyPI's
set -euo pipefail
bin=$(realpath "${1:?usage: run.sh BIN_DIR [PYTHON]}")
python=${2:-}
cd "$(dirname "$0")"
if [ -z "$python" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install -q -r requirements.txt
  python=$work/venv/bin/python
fi
"$python" client_test.py "$bin/megalithctl"
