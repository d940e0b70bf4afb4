"""The digits example trained by JAX in one process, step for step as examples/digits does it on a
fleet: the same jitted functions, called in the same order, the loss read back after every step.

    JAX_PLATFORMS=cpu PYTHON bench/jax_digits_bench.py [EPOCHS, default 40]

PYTHON can import JAX 0.9.2. Prints the seconds of tracing and compiling (first step) and of
training, to be set beside what examples/digits/run.sh prints.
"""
import gzip
import pathlib
import sys
import time

import jax
import numpy as np

ROOT = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples/digits"))
import programs  # noqa: E402


def main(epochs):
    with gzip.open(ROOT / "examples/data/digits.csv.gz", "rt") as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.int32)
    rows = np.delete(rows, np.s_[::5], axis=0)
    pixels, digits = jax.device_put((rows[:, :-1].astype(np.uint8), rows[:, -1]))
    init, adam, batch, shuffle = map(
        jax.jit, (programs.init, programs.adam, programs.batch, programs.shuffle))
    loss_and_gradients = jax.jit(jax.value_and_grad(programs.loss, argnums=(0, 1, 2, 3)))

    def step(state, order, number):
        loss, gradients = loss_and_gradients(*state[:4], *batch(pixels, digits, order, number))
        return adam(*state[:4], *gradients, *state[4:]), float(loss)

    start = time.perf_counter()
    state = init(0)
    step(state, shuffle(0), 0)
    prepared = time.perf_counter()
    for epoch in range(epochs):
        order = shuffle(epoch)
        for number in range(programs.TRAIN // programs.BATCH):
            state, loss = step(state, order, number)
    seconds = time.perf_counter() - prepared
    steps = epochs * (programs.TRAIN // programs.BATCH)
    print(f"JAX: prepared in {prepared - start:.2f} s, trained {epochs} epochs in {seconds:.2f} s, "
          f"{seconds / steps * 1e3:.2f} ms per step, loss {loss:.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
