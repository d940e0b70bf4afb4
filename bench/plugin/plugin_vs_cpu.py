#!/usr/bin/env python3
"""Times JAX on the plugin against JAX on its CPU backend, in one process, in turns.

    PYTHON bench/plugin/plugin_vs_cpu.py [--rounds 20]

PYTHON needs jax and the package of clients/python. Prints one row per measurement: medians and the ratio ours / CPU.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("JAX_PLATFORMS", "megalith,cpu")
import jax
import jax.numpy as jnp
import numpy as np


def mlp_step(params, x, y):
    def loss(p):
        h = x
        for w, b in p[:-1]:
            h = jnp.tanh(h @ w + b)
        w, b = p[-1]
        return jnp.mean((h @ w + b - y) ** 2)
    grads = jax.grad(loss)(params)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


def mlp_arguments():
    rng = np.random.default_rng(0)
    sizes = [64, 128, 128, 10]
    params = [(rng.normal(size=(a, b)).astype(np.float32) * 0.1, np.zeros(b, np.float32))
              for a, b in zip(sizes, sizes[1:])]
    return params, rng.normal(size=(32, 64)).astype(np.float32), rng.normal(size=(32, 10)).astype(np.float32)


def repeat(f, times):
    f()
    begin = time.perf_counter()
    for _ in range(times):
        f()
    return (time.perf_counter() - begin) / times


def eager_add(device):
    x = jax.device_put(np.ones(8, np.float32), device)
    return repeat(lambda: jax.block_until_ready(x + x), 300)


def eager_chain(device):
    x = jax.device_put(np.ones((16, 16), np.float32), device)
    return repeat(lambda: jax.block_until_ready(jnp.sum(jnp.tanh(x @ x) * 2 + x)), 100)


def jit_tiny(device):
    f = jax.jit(lambda x: x * 2 + 1)
    x = jax.device_put(np.float32(1), device)
    return repeat(lambda: jax.block_until_ready(f(x)), 1000)


def jit_mlp(device):
    f = jax.jit(mlp_step)
    arguments = jax.device_put(mlp_arguments(), device)
    return repeat(lambda: jax.block_until_ready(f(*arguments)), 50)


def put_and_get(device):
    x = np.ones((256, 256), np.float32)
    return repeat(lambda: np.asarray(jax.device_put(x, device)), 200)


def cold(make):
    def measure(device):
        jax.clear_caches()
        f, arguments = make()
        arguments = jax.device_put(arguments, device)
        begin = time.perf_counter()
        jax.block_until_ready(jax.jit(f)(*arguments))
        return time.perf_counter() - begin
    return measure


def compile_only(make):
    def measure(device):
        jax.clear_caches()
        f, arguments = make()
        lowered = jax.jit(f).lower(*jax.device_put(arguments, device))
        begin = time.perf_counter()
        lowered.compile()
        return time.perf_counter() - begin
    return measure


def polynomial():
    return (lambda x: 3 * x ** 3 + 2 * x ** 2 - x + 7), (np.ones(16, np.float32),)


def mlp():
    return mlp_step, mlp_arguments()


ROWS = {
    "eager add, 8 floats": eager_add,
    "eager tanh(x @ x) * 2 + x, sum; 16x16": eager_chain,
    "jitted tiny call": jit_tiny,
    "jitted MLP step": jit_mlp,
    "device_put and back, 256 KB": put_and_get,
    "cold call, polynomial": cold(polynomial),
    "cold call, MLP step": cold(mlp),
    "compile alone, polynomial": compile_only(polynomial),
    "compile alone, MLP step": compile_only(mlp),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    devices = {"cpu": jax.devices("cpu")[0], "megalith": jax.devices("megalith")[0]}
    print("| what | CPU, us | megalith, us | ratio |\n|---|---|---|---|")
    for name, measure in ROWS.items():
        samples = {p: [] for p in devices}
        for _ in range(args.rounds):
            for platform, device in devices.items():
                samples[platform].append(measure(device) * 1e6)
        cpu, ours = (statistics.median(samples[p]) for p in ("cpu", "megalith"))
        print(f"| {name} | {cpu:.1f} | {ours:.1f} | {ours / cpu:.3f} |", flush=True)


if __name__ == "__main__":
    main()
