#!/usr/bin/env python3
"""Times one file of JAX's own tests on the plugin and on JAX's CPU backend, a process each.

    PYTHON bench/plugin/test_file_vs_cpu.py --jax-source PATH [--test lax_autodiff_test] [--package clients/python]

PATH is a checkout of JAX at the release that PYTHON has; PYTHON needs pytest, the packages that JAX's tests need and,
unless --package names its folder, the package of clients/python. Prints a row of the table of docs/BENCHMARKS.md with
seconds: time that passed, and processor time of the process with all its threads. Outcomes: conformance/runners.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

RUNNERS = pathlib.Path(__file__).resolve().parents[2] / "conformance" / "runners"
sys.path.insert(0, str(RUNNERS))
import jax_tests


def measure(platform, args):
    """(seconds that passed, processor seconds, outcomes by name) of one run of the file."""
    log = args.out / f"{platform}.jsonl"
    env = dict(jax_tests.environment(platform, args.test, args), OUTCOME_LOG=str(log))
    command = [str(args.python), "-m", "pytest", "-q", "-p", "outcome_log", "-p", "no:cacheprovider", "--tb=line",
               f"{args.test}.py"]
    begin = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.chdir(args.jax_source / "tests")
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os.execve(args.python, command, env)
    _, _, usage = os.wait4(pid, 0)
    counts = {}
    for line in log.read_text().splitlines():
        record = json.loads(line)
        if "outcome" in record:
            counts[record["outcome"]] = counts.get(record["outcome"], 0) + 1
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jax-source", type=pathlib.Path, required=True)
    parser.add_argument("--test", default="lax_autodiff_test")
    parser.add_argument("--python", type=pathlib.Path, default=pathlib.Path(sys.executable))
    parser.add_argument("--package", type=pathlib.Path, help="folder clients/python, if no wheel is installed")
    parser.add_argument("--libraries", type=pathlib.Path, help="folder of the plugin's libraries")
    parser.add_argument("--x64", action="store_true")
    args = parser.parse_args()
    args.jax_source = args.jax_source.resolve()
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        args.out = pathlib.Path(folder)
        results = {}
        for platform in ("cpu", "megalith"):
            results[platform] = measure(platform, args)
            print(platform, results[platform], file=sys.stderr, flush=True)
    (wall, cpu, counts), (our_wall, our_cpu, our_counts) = results["cpu"], results["megalith"]
    if not counts or counts != our_counts:
        sys.exit("The outcomes differ, so the times say nothing. Is the plugin installed, or named by --package and "
                 "--libraries?")
    print("| what | goal | CPU, s | megalith, s | ratio | processor time: CPU, s | megalith, s | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    print(f"| `{args.test}`{' (x64)' if args.x64 else ''} | 0.7 | {wall:.0f} | {our_wall:.0f} | {our_wall / wall:.2f} |"
          f" {cpu:.0f} | {our_cpu:.0f} | {our_cpu / cpu:.2f} |")


if __name__ == "__main__":
    main()
