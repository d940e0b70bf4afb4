"""Python callbacks of programs on the plugin (callback_programs.py), each program in a process of its own."""

import os
import pathlib
import subprocess
import sys

import pytest

PROGRAMS = pathlib.Path(__file__).with_name("callback_programs.py")


@pytest.fixture(scope="module", autouse=True)
def installed(installed_plugin):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(installed_plugin))
        yield


def _run(name, **variables):
    env = dict(os.environ, JAX_PLATFORMS="megalith,cpu", **variables)
    return subprocess.run([sys.executable, str(PROGRAMS), name], env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("backend", ("cpu", "reference"))
@pytest.mark.parametrize("name", ("order", "transformations", "many", "nested", "waits_for_the_launching_thread",
                                  "pointer", "failure", "lifetime", "storing"))
def test_programs_call_python(name, backend):
    done = _run(name, MEGALITH_BACKEND=backend)
    assert done.returncode == 0 and done.stdout == "done\n", done.stdout + done.stderr


@pytest.mark.parametrize("name", ("devices", "inspection"))
def test_every_device_calls(name):
    done = _run(name, MEGALITH_NUM_DEVICES="4")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_end_of_python_waits_for_calls():
    done = _run("end")
    assert done.returncode == 0 and "the last word is 99\n" in done.stdout, done.stdout + done.stderr


def test_a_fleet_refuses_them(running):
    done = _run("transformations", MEGALITH_ADDRESS=running.address)
    assert done.returncode != 0 and "megalith.host_call" in done.stderr, done.stdout + done.stderr
