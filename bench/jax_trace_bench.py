"""How long jax.make_jaxpr takes for the public `programs` cases, against bench/trace_bench.

    bench/trace_vs_jax.sh PYTHON [BUILD_DIRECTORY] [RUNS]

runs this in a Python that has JAX 0.9.2 and NumPy. For every case two things are timed in JAX, both
with jax.clear_caches() before each run:
  python  make_jaxpr(T(f)), f being the Python function: what a user of JAX waits for
  jaxpr   make_jaxpr(T(g)), g evaluating the recorded source program, which JAX has in parsed form
and in our process parsing the recorded text plus applying T. The three take turns run by run, so
that all see the same neighbours on the machine. A function whose make_jaxpr does not print the
recorded source, or a transformed program that differs between us and JAX, is named and left out
of the ratios.
"""
import functools
import json
import math
import re
import statistics
import subprocess
import sys
import time

import jax
import jax.extend
import jax_programs
import numpy as np

_DTYPES = {"f32": "float32", "i32": "int32", "bf16": "bfloat16", "bool": "bool", "u32": "uint32"}


def struct_of(aval):
    name, dims = re.fullmatch(r"(\w+)\[([\d,]*)\]", aval["type"]).groups()
    shape = tuple(int(d) for d in dims.split(",") if d)
    return jax.ShapeDtypeStruct(shape, jax.numpy.dtype(_DTYPES[name]), weak_type=aval["weak_type"])


def axes(value):
    return tuple(value) if isinstance(value, list) else value


def transformed(f, step):
    """One entry of a stack applied to a function."""
    kind = step["t"]
    if kind == "jit":
        return jax.jit(f)
    if kind == "vmap":
        return jax.vmap(f, in_axes=axes(step["in_axes"]), out_axes=axes(step["out_axes"]))
    if kind == "jvp":
        return lambda *args: jax.jvp(f, args[:len(args) // 2], args[len(args) // 2:])
    if kind == "checkpoint":
        policy = getattr(jax.checkpoint_policies, step["policy"]) if step["policy"] else None
        return jax.checkpoint(f, policy=policy)
    if kind in ("grad", "value_and_grad", "jacfwd", "jacrev", "hessian"):
        return getattr(jax, kind)(f, argnums=axes(step["argnums"]))
    raise ValueError(f"no transform {kind}")


def make_jaxpr(f, record):
    f = functools.reduce(transformed, record["stack"], f)
    return jax.make_jaxpr(f)(*[struct_of(a) for a in record["result_in_avals"]])


def plain(text):
    return re.sub(r"0x[0-9a-f]+", "0x0", text)


class Tracer:
    """bench/trace_bench --serve."""

    def __init__(self, binary, records):
        self._process = subprocess.Popen([binary, records, "--serve"], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)

    def _ask(self, line):
        self._process.stdin.write((line + "\n").encode())
        self._process.stdin.flush()
        answer = self._process.stdout.readline().decode().strip()
        if not answer or answer.startswith("error"):
            raise RuntimeError(f"{line}: {answer}")
        return answer

    def seconds(self, case):
        return sum(float(s) for s in self._ask("run " + case).split())

    def text(self, case):
        return self._process.stdout.read(int(self._ask("text " + case))).decode()

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def named(f, name):
    @functools.wraps(f)
    def g(*args):
        return f(*args)
    g.__name__ = g.__qualname__ = name
    return g


def timed(f, record):
    jax.clear_caches()
    start = time.perf_counter()
    make_jaxpr(f, record)
    return time.perf_counter() - start


class Case:
    """One record with its two sides in JAX; `differs` says why it counts in no ratio."""

    def __init__(self, record, tracer):
        self.record = record
        self.id = record["id"]
        self.differs = ""
        function = jax_programs.find(record["fun_name"])
        if function is None:
            self.differs = "no Python function"
            return
        self.function = named(function, record["fun_name"])
        closed = jax.make_jaxpr(self.function)(*[struct_of(a) for a in record["in_avals"]])
        if plain(str(closed)) != record["jaxpr"]:
            self.differs = "the Python function traces to another source"
            return
        evaluate = jax.extend.core.jaxpr_as_fun(closed)
        single = len(closed.out_avals) == 1
        self.evaluate = named(lambda *a: evaluate(*a)[0] if single else tuple(evaluate(*a)),
                              record["fun_name"])
        jax.clear_caches()
        theirs = plain(str(make_jaxpr(self.evaluate, record)))
        if theirs != record["result_jaxpr"] or tracer.text(self.id) != theirs:
            self.differs = "the transformed programs differ"

    def measure(self, tracer, runs):
        self.python, self.jaxpr, self.ours = [], [], []
        for _ in range(runs):
            self.python.append(timed(self.function, self.record))
            self.ours.append(tracer.seconds(self.id))
            self.jaxpr.append(timed(self.evaluate, self.record))
        self.python, self.jaxpr, self.ours = (
            statistics.median(s) for s in (self.python, self.jaxpr, self.ours))


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(v) for v in values))


def main(binary, path, runs):
    with open(path, encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    tracer = Tracer(binary, path)
    cases = [Case(r, tracer) for r in records]
    for case in cases:
        if case.differs:
            print(f"left out: {case.id}: {case.differs}")
    cases = [c for c in cases if not c.differs]
    print(f"JAX {jax.__version__}, NumPy {np.__version__}, Python {sys.version.split()[0]}; "
          f"median of {runs} runs, milliseconds")
    print(f"{'case':32} {'JAX python':>11} {'JAX jaxpr':>10} {'ours':>8} {'/python':>8} {'/jaxpr':>8}")
    for case in cases:
        case.measure(tracer, runs)
        print(f"{case.id.removeprefix('programs/'):32} {case.python * 1e3:11.2f} "
              f"{case.jaxpr * 1e3:10.2f} {case.ours * 1e3:8.3f} {case.ours / case.python:8.4f} "
              f"{case.ours / case.jaxpr:8.4f}", flush=True)
    tracer.close()
    for label, peer in (("python", "python"), ("jaxpr", "jaxpr")):
        ratios = [c.ours / getattr(c, peer) for c in cases]
        worst = max(cases, key=lambda c: c.ours / getattr(c, peer))
        print(f"ratio to JAX {label:6}: geometric mean {geometric_mean(ratios):.4f}, "
              f"worst {max(ratios):.4f} ({worst.id})")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
