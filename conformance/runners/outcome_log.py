"""A pytest plugin: one line of JSON per test, written as it ends, so that a process that dies loses nothing.

Environment: OUTCOME_LOG, the file to append to; OUTCOME_DEVICE, what JAX's tests shall take the device for. Tests that the file already names are not run again; one that was
started and has no outcome ended its process and counts as crashed.
"""

import json
import os

import pytest

_PATH = os.environ["OUTCOME_LOG"]


def pytest_configure(config):
    """JAX's tests skip what is written for CPUs unless the platform is called cpu, or they are told so."""
    device = os.environ.get("OUTCOME_DEVICE")
    if not device:
        return
    # JAX's test_util defines the flag, and remembers sys.stdout: it must not be imported before pytest captures that.
    from jax._src import config as jax_config
    define = jax_config.string_flag

    def define_for_device(name, default, *args, **kwargs):
        return define(name, device if name == "jax_test_dut" else default, *args, **kwargs)

    jax_config.string_flag = define_for_device


def _write(record):
    with open(_PATH, "a", encoding="utf-8") as f:
        f.write(json.dumps(record) + "\n")


def _seen():
    started, ended = [], set()
    if os.path.exists(_PATH):
        with open(_PATH, encoding="utf-8") as f:
            for line in f:
                record = json.loads(line)
                if "outcome" in record:
                    ended.add(record["test"])
                else:
                    started.append(record["test"])
    for test in started:
        if test not in ended:
            _write({"test": test, "outcome": "crashed", "reason": "the process ended during this test"})
            ended.add(test)
    return ended


def pytest_collection_modifyitems(config, items):
    done = _seen()
    items[:] = [i for i in items if i.nodeid not in done]


def pytest_runtest_logstart(nodeid, location):
    _write({"test": nodeid})


def _reason(report):
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else str(report.longrepr))[:2000]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" or report.outcome != "passed":
        outcome = report.outcome if not hasattr(report, "wasxfail") else "skipped"
        if report.when == "teardown" and outcome == "passed":
            return
        _write({"test": item.nodeid, "outcome": outcome, "seconds": round(call.duration, 4),
                "reason": "" if outcome == "passed" else _reason(report)})
