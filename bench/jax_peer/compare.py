"""The CPU backend against JAX, both measured in turn in one run; prints the table of docs/BENCHMARKS.md.

    make bench
    PYTHON bench/jax_peer/compare.py --bench build/release/bin/cpu_bench [--backend cpu]
        [--only NAME,NAME] [--rounds 4] [--json FILE] [--folder F]

PYTHON has JAX 0.9.2 and NumPy. Columns, milliseconds, medians of at least 20 where time allows:
  cold      lower + compile + first run, caches cleared; ours from the StableHLO text: compile +
            load + first run
  llvm      the same with machine code made at once (tier 1)
  warm      first call in a new process with a persistent cache that has the program; ours: read,
            load and run a package in a new process
  tier 0/1  one call of the compiled program
  memory    bytes of temporaries: memory_analysis(), peak_temporary_bytes; of programs that are
            given an argument also of results that do not lie in it
Every ratio is ours divided by JAX's. A program that fails, takes longer than a minute or gives
another result than JAX has a row that says so. Programs are written to a temporary folder and not
kept.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent


class JaxWorker:
    def __init__(self, cache=None):
        env = dict(os.environ, JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="3")
        env.pop("JAX_COMPILATION_CACHE_DIR", None)
        if cache:
            env["JAX_COMPILATION_CACHE_DIR"] = cache
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "jax_worker.py")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, **request):
        return _ask(self._process, json.dumps(request))

    def close(self):
        self._process.stdin.close()
        self._process.wait()


class OurWorker:
    def __init__(self, binary, folder):
        self._command = [binary, folder, "--serve"]
        self._start()

    def _start(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        answer = _ask(self._process, " ".join(str(w) for w in words))
        if "died" in answer:
            self._start()
        return answer

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def _ask(process, line):
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except BrokenPipeError:
        answer = ""
    if not answer:
        process.wait()
        return {"error": f"the process ended with status {process.returncode}", "died": True}
    return json.loads(answer)


class Row:
    """Samples of one program by column, and what went wrong."""

    def __init__(self, program):
        self.program = program
        self.ms = {}
        self.memory = {}
        self.errors = {}

    def add(self, column, answer):
        if "error" in answer:
            self.errors[column] = answer["error"]
            return
        wrong = answer.get("error_of_results", 0)
        if wrong > max(self.program["rtol"], 1e-12):
            self.errors[column] = f"wrong result: relative error {wrong:.2g}"
            return
        self.ms.setdefault(column, []).extend(answer["ms"])
        if "temporary_bytes" in answer:
            self.memory[column] = answer["temporary_bytes"]

    def median(self, column):
        values = self.ms.get(column)
        return statistics.median(values) if values and column not in self.errors else None


def engines_of(backend):
    """Name of each of our columns -> engine of cpu_bench."""
    if backend == "reference":
        return {"cold": "reference", "tier0": "reference"}
    return {"cold": backend, "llvm": f"{backend},tier=1", "tier0": f"{backend},tier=0",
            "tier1": f"{backend},tier=1"}


def measure_round(row, jax, ours, engines, budget_s):
    name = row.program["name"]
    ms = int(budget_s * 1000)
    runs = 10
    answer = jax.ask(do="cold", program=name, runs=5, budget_s=budget_s)
    row.add("jax cold", answer)
    if "compile_ms" in answer:
        row.add("jax compile", {"ms": answer["compile_ms"]})
    row.add("cold", ours.ask("cold", name, engines["cold"], runs, ms))
    if "llvm" in engines:
        row.add("llvm", ours.ask("cold", name, engines["llvm"], runs, ms))
    row.add("jax steady", jax.ask(do="steady", program=name, runs=runs, budget_s=budget_s))
    for tier in ("tier0", "tier1"):
        if tier in engines and tier not in row.errors:
            row.add(tier, ours.ask("steady", name, engines[tier], runs, ms))
    ours.ask("forget")


def measure_warm(rows, binary, folder, engine, ours, starts):
    """New processes: JAX's does all programs once each, ours one program each."""
    with tempfile.TemporaryDirectory() as cache:
        for attempt in range(starts + 1):
            jax = JaxWorker(cache)
            for row in rows:
                answer = jax.ask(do="first", program=row.program["name"])
                if attempt > 0:  # the first one fills the cache
                    row.add("jax warm", answer)
            jax.close()
        for row in rows:
            name = row.program["name"]
            package = os.path.join(cache, name + ".package")
            written = ours.ask("package", name, engine, package)
            if "error" in written:
                row.errors["warm"] = written["error"]
                continue
            for _ in range(starts):
                process = subprocess.run([binary, folder, "--warm", name, package],
                                         capture_output=True, text=True)
                row.add("warm", json.loads(process.stdout) if process.returncode == 0 else {
                    "error": f"the process ended with status {process.returncode}"})


# Column of ours -> column of JAX it is compared with, and the goal for the geometric mean.
PAIRS = {"cold": ("jax cold", 0.05), "llvm": ("jax cold", 0.3), "warm": ("jax warm", 0.2),
         "tier0": ("jax steady", None), "tier1": ("jax steady", 0.7)}


def shown(ms):
    if ms is None:
        return "-"
    return f"{ms:.4f}" if ms < 0.01 else f"{ms:.3f}" if ms < 10 else f"{ms:.1f}"


def print_table(rows, columns):
    jax_columns = []
    for c in columns:
        if PAIRS[c][0] not in jax_columns:
            jax_columns.append(PAIRS[c][0])
    head = ["program", *jax_columns]
    for c in columns:
        head += [c, "ratio"]
    head += ["jax bytes", "bytes", "ratio"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    ratios = {c: [] for c in columns}
    for row in rows:
        cells = [row.program["title"], *[shown(row.median(c)) for c in jax_columns]]
        for c in columns:
            ours, theirs = row.median(c), row.median(PAIRS[c][0])
            ratio = ours / theirs if ours and theirs else None
            if ratio:
                ratios[c].append(ratio)
            cells += [shown(ours) if c not in row.errors else "failed",
                      f"{ratio:.3g}" if ratio else "-"]
        cells += memory_cells(row)
        print("| " + " | ".join(cells) + " |")
    print()
    for c in columns:
        if not ratios[c]:
            continue
        mean = math.exp(statistics.mean(math.log(r) for r in ratios[c]))
        goal = f", goal {PAIRS[c][1]}" if PAIRS[c][1] else ""
        print(f"* {c}: geometric mean {mean:.3g}, worst {max(ratios[c]):.3g}, "
              f"{len(ratios[c])} of {len(rows)} programs{goal}")


def memory_cells(row):
    theirs = row.memory.get("jax")
    ours = row.memory.get("tier1", row.memory.get("tier0"))
    cells = [f"{theirs:.0f}" if theirs is not None else "-",
             f"{ours:.0f}" if ours is not None else "-"]
    ratio = None
    if ours is not None and theirs is not None:
        ratio = ours / theirs if theirs else (0 if ours == 0 else math.inf)
    return [*cells, f"{ratio:.2f}" if ratio is not None else "-"]


def print_failures(rows):
    for row in rows:
        for column, error in row.errors.items():
            print(f"* {row.program['name']}, {column}: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bench", required=True, help="the binary cpu_bench")
    parser.add_argument("--backend", help="default: cpu if the binary has it, else reference")
    parser.add_argument("--only", help="names of programs, separated by commas")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--starts", type=int, default=5, help="new processes for the warm start")
    parser.add_argument("--budget", type=float, default=2.0, help="seconds per measurement")
    parser.add_argument("--json", help="write all samples there")
    parser.add_argument("--folder", help="keep the programs there, and use them if they are")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        compare(options, options.folder or temporary)


def write_programs(jax, folder):
    """The list of programs, from a folder that has been written before if there is one."""
    listed = pathlib.Path(folder, "programs.json")
    if not listed.exists():
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text(json.dumps(jax.ask(do="write", folder=folder)["programs"]))
    return json.loads(listed.read_text())


def choose_backend(binary, folder, wanted, name):
    if wanted:
        return wanted
    probe = OurWorker(binary, folder)
    answer = probe.ask("cold", name, "cpu,tier=0", 1, 0)
    probe.close()
    return "reference" if "NOT_FOUND" in answer.get("error", "") else "cpu"


def compare(options, folder):
    jax = JaxWorker()
    programs = write_programs(jax, folder)
    if options.only:
        programs = [p for p in programs if p["name"] in options.only.split(",")]
    backend = choose_backend(options.bench, folder, options.backend, "scalar")
    engines = engines_of(backend)
    ours = OurWorker(options.bench, folder)
    rows = [Row(p) for p in programs]
    for turn in range(options.rounds):
        for row in rows:
            print(f"round {turn + 1}: {row.program['name']}", file=sys.stderr)
            measure_round(row, jax, ours, engines, options.budget)
    for row in rows:
        row.memory["jax"] = jax.ask(do="memory", program=row.program["name"]).get("temporary_bytes")
    jax.close()
    measure_warm(rows, options.bench, folder, engines["cold"], ours, options.starts)
    ours.close()
    print(f"Backend {backend}, {os.cpu_count()} cores, medians in milliseconds, ratio = ours / JAX.\n")
    print_table(rows, [c for c in PAIRS if c in engines or c == "warm"])
    print_failures(rows)
    if options.json:
        samples = {r.program["name"]: {"ms": r.ms, "memory": r.memory, "errors": r.errors}
                   for r in rows}
        pathlib.Path(options.json).write_text(json.dumps(samples, indent=1))


if __name__ == "__main__":
    main()
