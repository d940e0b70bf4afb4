#!/usr/bin/env python3
"""Times JAX on the plugin against JAX on its CPU backend, in one process, in turns.

    PYTHON bench/plugin/plugin_vs_cpu.py [--rounds 20] [--only WORD ...]

PYTHON needs jax and the package of clients/python. Prints the table of docs/BENCHMARKS.md: medians of the rounds, and
the ratio ours / CPU, once of the time that passed and once of the processor time of all threads. The first is what
users see, if the machine is idle; the second hardly depends on what else runs there.

Cold rows begin with JAX's caches empty. Of what they take, tracing and lowering are the same Python for both and have
rows of their own; "compile and first run" is the rest.
"""

import argparse
import gc
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


def transformer_arguments():
    rng = np.random.default_rng(0)
    width = 64
    draw = lambda *shape: (rng.normal(size=shape) * 0.1).astype(np.float32)
    params = {name: draw(width, width) for name in ("query", "key", "value", "out")}
    params |= {"up": draw(width, 4 * width), "down": draw(4 * width, width)}
    return params, draw(2, 32, width), draw(2, 32, width)


def transformer_step(params, x, y):
    def norm(a):
        centred = a - a.mean(-1, keepdims=True)
        return centred / jnp.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-5)

    def model(p, x):
        batch, length, width = x.shape
        heads = lambda a: a.reshape(batch, length, 4, width // 4).transpose(0, 2, 1, 3)
        h = norm(x)
        q, k, v = (heads(h @ p[name]) for name in ("query", "key", "value"))
        weights = jax.nn.softmax(q @ k.transpose(0, 1, 3, 2) / (width // 4) ** 0.5)
        x = x + (weights @ v).transpose(0, 2, 1, 3).reshape(x.shape) @ p["out"]
        return x + jax.nn.gelu(norm(x) @ p["up"]) @ p["down"]

    grads = jax.grad(lambda p: jnp.mean((model(p, x) - y) ** 2))(params)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


class Watch:
    """Seconds since it was made: time that passed, and processor time of the process."""

    def __init__(self):
        self.begin = time.perf_counter(), time.process_time()

    def read(self):
        return time.perf_counter() - self.begin[0], time.process_time() - self.begin[1]


def repeat(f, times):
    f()
    watch = Watch()
    for _ in range(times):
        f()
    return {"": tuple(t / times for t in watch.read())}


def eager_add(device):
    x = jax.device_put(np.ones(8, np.float32), device)
    return repeat(lambda: jax.block_until_ready(x + x), 300)


def eager_chain(device):
    x = jax.device_put(np.ones((16, 16), np.float32), device)
    return repeat(lambda: jax.block_until_ready(jnp.sum(jnp.tanh(x @ x) * 2 + x)), 100)


def affine(x):
    return x * 2 + 1


def jit_tiny(device):
    f = jax.jit(affine)
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
        gc.collect()  # what the caches held is not charged to whoever comes next
        f, arguments = make()
        arguments = jax.device_put(arguments, device)
        watch = Watch()
        lowered = jax.jit(f).lower(*arguments)
        lower = watch.read()
        compiled = lowered.compile()
        compile_too = watch.read()
        jax.block_until_ready(compiled(*arguments))
        total = watch.read()
        apart = lambda after, before: tuple(a - b for a, b in zip(after, before))
        return {"": total, ", tracing and lowering": lower, ", compile alone": apart(compile_too, lower),
                ", compile and first run": apart(total, lower)}
    return measure


def polynomial():
    return (lambda x: 3 * x ** 3 + 2 * x ** 2 - x + 7), (np.ones(16, np.float32),)


def mlp():
    return mlp_step, mlp_arguments()


def transformer():
    return transformer_step, transformer_arguments()


# What is measured, its goal, how.
ROWS = (
    ("eager add, 8 floats", "1.0", eager_add),
    ("eager tanh(x @ x) * 2 + x, sum; 16x16", "1.0", eager_chain),
    ("jitted tiny call", "1.0", jit_tiny),
    ("jitted MLP step", "", jit_mlp),
    ("device_put and back, 256 KB", "", put_and_get),
    ("cold polynomial", "0.3", cold(polynomial)),
    ("cold MLP step", "0.3", cold(mlp)),
    ("cold transformer step", "0.3", cold(transformer)),
)


def row(name, goal, cpu, ours):
    """One line of the table from the samples of both: (time that passed, processor time) in seconds."""
    cells = []
    for i in range(2):
        c, o = (statistics.median(s[i] for s in samples) * 1e6 for samples in (cpu, ours))
        cells += [f"{c:.1f}", f"{o:.1f}", f"{o / c:.2f}"]
    return f"| {name} | {goal} | " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", nargs="*", help="rows whose names contain one of these words")
    args = parser.parse_args()
    devices = {"cpu": jax.devices("cpu")[0], "megalith": jax.devices("megalith")[0]}
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}\n")
    print("| what | goal | CPU, us | megalith, us | ratio | processor time: CPU, us | megalith, us | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for name, goal, measure in ROWS:
        if args.only and not any(word in name for word in args.only):
            continue
        samples = {p: [] for p in devices}
        for i in range(args.rounds + 1):
            for platform in sorted(devices, reverse=i % 2 == 1):  # whoever is second finds more in caches
                sample = measure(devices[platform])
                if i > 0:  # the first round loads what both need
                    samples[platform].append(sample)
        for part in samples["cpu"][0]:
            cpu, ours = ([s[part] for s in samples[p]] for p in ("cpu", "megalith"))
            print(row(name + part, "" if "tracing" in part else goal, cpu, ours), flush=True)


if __name__ == "__main__":
    main()
