"""JAX's side of the comparison: one process that does what it is told on standard input.

One JSON object per line in, one out:
  {"do": "write", "folder": F}                     every program: F/NAME.mlir, F/NAME.npz
  {"do": "cold", "program": N, "runs": R, "budget_s": B}
                                                   lower, compile and first run, caches cleared
  {"do": "steady", "program": N, "runs": R, "budget_s": B}
                                                   calls of the compiled function, inputs on device
  {"do": "memory", "program": N}                   bytes of temporaries XLA plans
  {"do": "first", "program": N}                    one call, nothing cleared: what is in the
                                                   persistent cache is used
Times are in milliseconds. JAX_COMPILATION_CACHE_DIR turns the persistent cache on.
"""
import json
import os
import pathlib
import sys
import time

import jax
import numpy as np
from programs import all_programs

PROGRAMS = {p.name: p for p in all_programs()}
_device_arguments = {}
_compiled = {}


def arguments(program):
    if program.name not in _device_arguments:
        placed = jax.device_put(program.arguments)
        _device_arguments[program.name] = jax.block_until_ready(placed)
    return _device_arguments[program.name]


def compilable(program, function):
    return jax.jit(function, donate_argnums=0 if program.donates else ())


def fresh(program):
    """A function JAX has not seen: jit caches by identity."""
    return compilable(program, lambda *args: program.function(*args))


def for_a_call(program):
    """The arguments; the one that is donated is a copy."""
    args = arguments(program)
    if not program.donates:
        return args
    return jax.block_until_ready((jax.tree.map(jax.numpy.copy, args[0]), *args[1:]))


def until(runs, budget_s, measure):
    """Up to `runs` measurements, fewer once they have taken budget_s; at least one."""
    out, start = [], time.perf_counter()
    while len(out) < runs and (not out or time.perf_counter() - start < budget_s):
        out.append(measure() * 1e3)
    return out


def write(folder):
    os.makedirs(folder, exist_ok=True)
    for p in PROGRAMS.values():
        lowered = compilable(p, p.function).lower(*p.arguments)
        pathlib.Path(folder, p.name + ".mlir").write_text(lowered.as_text())
        outputs = jax.tree.leaves(lowered.compile()(*for_a_call(p)))
        # Arguments the program does not use are not parameters of what JAX lowers.
        kept = sorted(lowered._lowering.compile_args["kept_var_idx"])
        inputs = [np.asarray(x) for x in jax.tree.leaves(p.arguments)]
        arrays = {f"in{i}": inputs[k] for i, k in enumerate(kept)}
        arrays |= {f"out{i}": np.asarray(x) for i, x in enumerate(outputs)}
        np.savez(pathlib.Path(folder, p.name + ".npz"), **arrays)
    return {"programs": [{"name": p.name, "title": p.title, "rtol": p.rtol}
                         for p in PROGRAMS.values()]}


def cold(program, runs, budget_s):
    compile_times = []

    def once():
        jax.clear_caches()
        args = for_a_call(program)
        function = fresh(program)
        start = time.perf_counter()
        lowered = function.lower(*args)
        before_compile = time.perf_counter()
        compiled = lowered.compile()
        compile_times.append((time.perf_counter() - before_compile) * 1e3)
        jax.block_until_ready(compiled(*args))
        return time.perf_counter() - start

    total = until(runs, budget_s, once)
    return {"ms": total, "compile_ms": compile_times}


def steady(program, runs, budget_s):
    if program.name not in _compiled:
        _compiled[program.name] = fresh(program)
    function = _compiled[program.name]
    if program.donates:
        return {"ms": until(runs, budget_s, steady_donated(program, function))}
    args = arguments(program)
    wait = jax.block_until_ready
    start = time.perf_counter()
    for _ in range(3):
        wait(function(*args))
    # Calls of microseconds are timed many at once.
    each = (time.perf_counter() - start) / 3
    calls = max(1, min(2000, int(1e-3 / each)))
    one_output = isinstance(function(*args), jax.Array)

    def once():
        start = time.perf_counter()
        if one_output:
            for _ in range(calls):
                function(*args).block_until_ready()
        else:
            for _ in range(calls):
                wait(function(*args))
        return (time.perf_counter() - start) / calls

    return {"ms": until(runs, budget_s, once)}


def steady_donated(program, function):
    """Measures calls that are each given what the call before has made."""
    state, *others = for_a_call(program)
    wait = jax.block_until_ready
    start = time.perf_counter()
    for _ in range(3):
        state = wait(function(state, *others))[0]
    each = (time.perf_counter() - start) / 3
    calls = max(1, min(2000, int(1e-3 / each)))

    def once():
        nonlocal state
        start = time.perf_counter()
        for _ in range(calls):
            state = wait(function(state, *others))[0]
        return (time.perf_counter() - start) / calls

    return once


def memory(program):
    lowered = compilable(program, program.function).lower(*program.arguments)
    analysis = lowered.compile().memory_analysis()
    own = analysis.output_size_in_bytes - analysis.alias_size_in_bytes if program.donates else 0
    return {"temporary_bytes": analysis.temp_size_in_bytes + own}


def first(program):
    args = for_a_call(program)
    function = compilable(program, program.function)
    start = time.perf_counter()
    jax.block_until_ready(function(*args))
    return {"ms": [(time.perf_counter() - start) * 1e3]}


def answer(request):
    what = request.pop("do")
    if "program" in request:
        request["program"] = PROGRAMS[request["program"]]
    handlers = {"write": write, "cold": cold, "steady": steady, "memory": memory, "first": first}
    try:
        return handlers[what](**request)
    except Exception as e:  # a failure is a row of the table
        return {"error": f"{type(e).__name__}: {e}"[:300]}


def main():
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.block_until_ready(jax.jit(lambda x: x + 1)(np.float32(1)))  # the client, once
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
