#!/usr/bin/env python3
"""Runs JAX's own tests on the plugin and on JAX's CPU backend, and compares test by test.

    conformance/runners/jax_tests.py --jax-source PATH --python PYTHON [--libraries FOLDER] [--out FOLDER] [FILE ...]

PATH is a checkout of jax at the tag of the installed release; PYTHON an interpreter with jax, absl-py, pytest and
hypothesis, and with the package of clients/python unless --package names its folder. The denominator is what passes on CPU; a test that is skipped on the plugin counts as failed.
Every run can be continued: outcomes are kept under --out. Prints a table, and writes OUT/jax_tests.json and .md.
Exit status: 0 if every file reaches its goal.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent

# What the file must reach, in percent of what passes on CPU; None: reported only.
GOALS = {
    "jax_jit_test": 100, "lax_autodiff_test": 100, "lax_vmap_test": 100, "random_test": 100, "lax_test": 99.5,
    "lax_control_flow_test": 98, "api_test": 98, "lax_numpy_test": 98, "lax_scipy_test": 98, "linalg_test": 98,
    "fft_test": 98, "nn_test": 98, "export_test": 98, "pmap_test": None, "shard_map_test": None,
    "multi_device_test": None, "python_callback_test": None, "debugging_primitives_test": None, "debugger_test": None,
    "checkify_test": None,
}
EIGHT_DEVICES = ("pmap_test", "shard_map_test", "multi_device_test")


def devices_for(test, args):
    """How many devices a file wants: on CPU many files ask for them themselves."""
    if test in EIGHT_DEVICES:
        return 8
    asked = re.search(r"request_cpu_devices\((\d+)\)", (args.jax_source / "tests" / f"{test}.py").read_text())
    return int(asked.group(1)) if asked else 1


def plugin_path(args):
    """A folder from which JAX finds the package as if it were installed."""
    folder = args.out / "path"
    info = folder / "megalith-0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: megalith\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[jax_plugins]\nmegalith = megalith.jax_plugin\n")
    link = folder / "megalith"
    if not link.exists():
        link.symlink_to((args.package / "megalith").resolve())
    return folder


def environment(platform, test, args):
    path = [str(HERE)] + ([str(plugin_path(args))] if args.package and platform != "cpu" else [])
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path), JAX_ENABLE_X64="1" if args.x64 else "0",
               TF_CPP_MIN_LOG_LEVEL="3")
    devices = devices_for(test, args)
    if platform == "cpu":
        env["JAX_PLATFORMS"] = "cpu"
        if test in EIGHT_DEVICES:
            env["XLA_FLAGS"] = env.get("XLA_FLAGS", "") + f" --xla_force_host_platform_device_count={devices}"
    else:
        env["JAX_PLATFORMS"] = "megalith,cpu"
        env["OUTCOME_DEVICE"] = "cpu"
        if args.libraries:
            env["MEGALITH_LIBRARIES"] = str(args.libraries.resolve())
        if devices > 1:
            env["MEGALITH_NUM_DEVICES"] = str(devices)
    return env


def run(platform, test, args):
    """Outcomes {test id: record} of one file on one platform; restarts pytest while processes die."""
    log = args.out / f"{test}{'.x64' if args.x64 else ''}.{platform}.jsonl"
    seconds = log.with_suffix(".seconds")
    if not seconds.exists():
        env = dict(environment(platform, test, args), OUTCOME_LOG=str(log))
        begin = time.monotonic()
        for _ in range(50):
            lines = log.read_text().count("\n") if log.exists() else 0
            # -s: JAX's tests look at what reaches the standard output themselves.
            command = [str(args.python), "-m", "pytest", "-q", "-s", "-p", "outcome_log", "-p", "no:cacheprovider",
                       "--tb=line", f"{test}.py"]
            done = subprocess.run(command, cwd=args.jax_source / "tests", env=env, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=args.timeout)
            if done.returncode in (0, 1, 5) or (log.exists() and log.read_text().count("\n") == lines):
                break
        seconds.write_text(str(time.monotonic() - begin))
    outcomes = {}
    worse = {"crashed": 3, "failed": 2, "skipped": 1, "passed": 0}
    for line in log.read_text().splitlines() if log.exists() else ():
        record = json.loads(line)
        if "outcome" not in record:
            continue
        test_id = record["test"].split("::", 1)[-1]
        before = outcomes.get(test_id)
        if before is None or worse[record["outcome"]] > worse[before["outcome"]]:
            outcomes[test_id] = record
    return outcomes, float(seconds.read_text())


def short(reason):
    """The first sentence of a reason, so that equal causes look equal."""
    line = next((l for l in reason.strip().splitlines() if l.strip()), "no reason given")
    line = re.sub(r"0x[0-9a-f]+|\b\d+(\.\d+)?(e[-+]\d+)?\b", "N", line)
    return line[:160].replace("|", "\\|")


def compare(test, args):
    cpu, cpu_seconds = run("cpu", test, args)
    ours, our_seconds = run("megalith", test, args)
    wanted = sorted(t for t, r in cpu.items() if r["outcome"] == "passed")
    failed = [(t, ours.get(t, {"outcome": "missing", "reason": "not collected"})) for t in wanted
              if ours.get(t, {}).get("outcome") != "passed"]
    percent = 100.0 * (len(wanted) - len(failed)) / max(len(wanted), 1)
    return {"file": test, "wanted": len(wanted), "passed": len(wanted) - len(failed), "percent": percent,
            "goal": GOALS.get(test), "cpu_seconds": cpu_seconds, "seconds": our_seconds,
            "failures": [{"test": t, "outcome": r["outcome"], "reason": r["reason"]} for t, r in failed]}


def markdown(results, args):
    lines = ["| file | passes on CPU | passes here | percent | goal | seconds, CPU | seconds, here |",
             "|---|---|---|---|---|---|---|"]
    for r in results:
        goal = "reported" if r["goal"] is None else f"{r['goal']}"
        lines.append(f"| {r['file']}{' (x64)' if args.x64 else ''} | {r['wanted']} | {r['passed']} | {r['percent']:.2f} |"
                     f" {goal} | {r['cpu_seconds']:.0f} | {r['seconds']:.0f} |")
    for r in results:
        if not r["failures"]:
            continue
        lines += ["", f"### {r['file']}: {len(r['failures'])} not passed", "", "| tests | outcome | reason | first |",
                  "|---|---|---|---|"]
        groups = collections.defaultdict(list)
        for f in r["failures"]:
            groups[(f["outcome"], short(f["reason"]))].append(f["test"])
        for (outcome, reason), tests in sorted(groups.items(), key=lambda g: -len(g[1])):
            lines.append(f"| {len(tests)} | {outcome} | {reason} | `{tests[0]}` |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jax-source", type=pathlib.Path, required=True)
    parser.add_argument("--python", type=pathlib.Path, default=pathlib.Path(sys.executable))
    parser.add_argument("--libraries", type=pathlib.Path, help="folder of libmegalith_pjrt.so; else the installed wheel's")
    parser.add_argument("--package", type=pathlib.Path, help="folder clients/python, if no wheel is installed")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build/jax_tests"))
    parser.add_argument("--x64", action="store_true")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds per process")
    parser.add_argument("files", nargs="*", default=list(GOALS))
    args = parser.parse_args()
    if not (args.jax_source / "tests").is_dir():
        parser.error(f"{args.jax_source} has no folder tests; give a checkout of jax")
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    results = []
    for test in args.files:
        results.append(compare(test.removesuffix(".py"), args))
        r = results[-1]
        print(f"{r['file']}: {r['passed']} of {r['wanted']} ({r['percent']:.2f} %), {r['seconds']:.0f} s, on CPU"
              f" {r['cpu_seconds']:.0f} s", flush=True)
    (args.out / "jax_tests.json").write_text(json.dumps(results, indent=1))
    text = markdown(results, args)
    (args.out / "jax_tests.md").write_text(text)
    print(text)
    return 0 if all(r["goal"] is None or r["percent"] >= r["goal"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
