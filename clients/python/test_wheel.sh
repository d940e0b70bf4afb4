#!/bin/bash
# Installs a wheel into a fresh virtual environment and runs it in a root folder that has the C and C++ runtime, what
# Python itself is linked with, and nothing else of this system: no package of `make deps`.
# usage: test_wheel.sh WHEEL [PYTHON]      needs PyPI, and root or user namespaces; JAX_VERSION (default 0.9.2),
#                                          EXTRA_PACKAGES to install beside it (tensorflow)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
wheel="$(realpath "${1:?usage: test_wheel.sh WHEEL [PYTHON]}")"
python="$("${2:-python3}" -c 'import sys; print(sys.executable)')"
prefix="$("$python" -c 'import sys; print(sys.base_prefix)')"
base="$("$python" -c 'import os, sys; print(os.path.realpath(sys.executable))')"

work="$(mktemp -d "${TMPDIR:-/tmp}/megalith-wheel.XXXXXX")"
trap 'rm -rf "$work"' EXIT
root="$work/root"
venv="$root/venv"
mkdir -p "$root"/{proc,dev,tmp,etc} "$venv"
"$python" -m venv --copies "$venv"
"$venv/bin/python" -m pip install -q "$wheel[grpc,jax]" "jax==${JAX_VERSION:-0.9.2}" ${EXTRA_PACKAGES:-}
cp "$here/tests/wheel_smoke.py" "$root/smoke.py"

# Python, and the libraries that it and its own extension modules are linked with.
place="$root$prefix"
mkdir -p "$place" "$root$(dirname "$base")"
stdlib="$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
mkdir -p "$root$stdlib"
tar -C "$stdlib" --exclude=site-packages --exclude=dist-packages --exclude=test --exclude=__pycache__ -cf - . |
  tar -C "$root$stdlib" -xf -
cp -L "$base" "$root$base"
{ ldd "$base"; find "$stdlib" -name '*.so' -not -path '*-packages/*' -exec ldd {} + ; ldd "$(g++ -print-file-name=libstdc++.so.6)" \
    2>/dev/null || true; ldconfig -p | awk '/libstdc\+\+.so.6 |libgcc_s.so.1 |librt.so.1 |libpthread.so.0 |libdl.so.2 /{print $0}'; } |
  grep -o '/[^ ]*\.so[^ ]*' | sort -u | while read -r library; do
    case "$library" in "$prefix"/*) [ -e "$library" ] || continue ;; esac
    mkdir -p "$root$(dirname "$library")"
    cp -Ln "$library" "$root$library" 2>/dev/null || true
  done
# What a wheel may not lean on, even if Python was built with some of it.
for carried in libopenblas libgfortran libquadmath libzstd libprotobuf libgrpc libabsl libLLVM; do
  if find "$root" -path "$venv" -prune -o -name "$carried*" -print | grep -q .; then
    echo "test_wheel.sh: $carried is part of the root; this Python cannot serve for the test" >&2; exit 1
  fi
done

enter='mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot "$0" /venv/bin/python /smoke.py'
as_user=(); [ "$(id -u)" = 0 ] || as_user=(--map-root-user)
# A copied interpreter looks for its library beside itself first.
sed -i "s|^home = .*|home = $(dirname "$base")|" "$venv/pyvenv.cfg"
env -i PATH=/venv/bin HOME=/tmp TMPDIR=/tmp PYTHONDONTWRITEBYTECODE=1 JAX_PLATFORMS=megalith,cpu \
  "$(command -v unshare)" "${as_user[@]}" --mount --pid --fork /bin/sh -c "PATH=/usr/sbin:/usr/bin:/sbin:/bin; $enter" "$root"
echo "test_wheel.sh: $(basename "$wheel") runs without packages of this system"
