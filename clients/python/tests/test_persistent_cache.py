"""JAX's persistent compilation cache keeps programs of the plugin: the second process compiles nothing."""

import os
import pathlib
import subprocess
import sys

PROGRAM = pathlib.Path(__file__).with_name("cached_program.py")


def _hits(folder, cache):
    env = dict(os.environ, PYTHONPATH=str(folder), JAX_PLATFORMS="megalith,cpu", JAX_COMPILATION_CACHE_DIR=str(cache),
               JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0", JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1")
    done = subprocess.run([sys.executable, str(PROGRAM)], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_programs_are_found_by_the_next_process(installed_plugin, tmp_path):
    assert _hits(installed_plugin, tmp_path) == "0 hits\n"
    assert any(tmp_path.iterdir())
    assert _hits(installed_plugin, tmp_path) == "1 hits\n"
