"""The functions of the digits example. Running this file with JAX 0.9.2 prints them into programs/, as jaxpr text.

A client needs none of this: it sends the text files, and the fleet does the rest.
"""

import pathlib

import jax
import jax.numpy as jnp

HIDDEN, CLASSES, PIXELS = 64, 10, 64
BATCH, TRAIN, TEST = 128, 1437, 360


def init(seed):
    k1, k2 = jax.random.split(jax.random.key(seed))
    w1 = jax.random.normal(k1, (PIXELS, HIDDEN)) * jnp.sqrt(2.0 / PIXELS)
    w2 = jax.random.normal(k2, (HIDDEN, CLASSES)) * jnp.sqrt(2.0 / HIDDEN)
    params = (w1, jnp.zeros(HIDDEN), w2, jnp.zeros(CLASSES))
    zeros = tuple(jnp.zeros_like(p) for p in params)
    return (*params, *zeros, *zeros, jnp.zeros((), jnp.int32))


def logits(w1, b1, w2, b2, pixels):
    x = pixels.astype(jnp.float32) / 16.0
    return jnp.maximum(x @ w1 + b1, 0.0) @ w2 + b2


def loss(w1, b1, w2, b2, pixels, digits):
    log_p = jax.nn.log_softmax(logits(w1, b1, w2, b2, pixels))
    return -jnp.mean(jnp.sum(log_p * jax.nn.one_hot(digits, CLASSES), axis=1))


def adam(*state):
    """Parameters, gradients, first and second moments (4 arrays each) and the step; returns all but the gradients."""
    params, grads, ms, vs, step = state[0:4], state[4:8], state[8:12], state[12:16], state[16]
    rate, beta1, beta2, epsilon = 3e-3, 0.9, 0.999, 1e-8
    step = step + 1
    t = step.astype(jnp.float32)
    ms = [beta1 * m + (1 - beta1) * g for m, g in zip(ms, grads)]
    vs = [beta2 * v + (1 - beta2) * g * g for v, g in zip(vs, grads)]
    params = [
        p - rate * (m / (1 - beta1**t)) / (jnp.sqrt(v / (1 - beta2**t)) + epsilon) for p, m, v in zip(params, ms, vs)
    ]
    return (*params, *ms, *vs, step)


def correct(w1, b1, w2, b2, pixels, digits):
    return jnp.sum(jnp.argmax(logits(w1, b1, w2, b2, pixels), axis=1) == digits)


def batch(pixels, digits, order, number):
    """Rows number*BATCH.. of the training set in the given order."""
    rows = jax.lax.dynamic_slice(order, (number * BATCH,), (BATCH,))
    return pixels[rows], digits[rows]


def shuffle(seed):
    return jax.random.permutation(jax.random.key(seed), TRAIN)


def main():
    f32 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
    u8 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.uint8)
    i32 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.int32)
    params = [f32(PIXELS, HIDDEN), f32(HIDDEN), f32(HIDDEN, CLASSES), f32(CLASSES)]
    programs = {
        "init": (init, [i32()]),
        "loss": (loss, [*params, u8(BATCH, PIXELS), i32(BATCH)]),
        "adam": (adam, [*params, *params, *params, *params, i32()]),
        "correct": (correct, [*params, u8(TEST, PIXELS), i32(TEST)]),
        "predict": (lambda *a: jnp.argmax(logits(*a), axis=1), [*params, u8(1, PIXELS)]),
        "shuffle": (shuffle, [i32()]),
        "batch": (batch, [u8(TRAIN, PIXELS), i32(TRAIN), i32(TRAIN), i32()]),
    }
    folder = pathlib.Path(__file__).parent / "programs"
    folder.mkdir(exist_ok=True)
    for name, (function, types) in programs.items():
        jaxpr = jax.make_jaxpr(function)(*types)
        assert not jaxpr.consts, name
        (folder / f"{name}.jaxpr").write_text(f"{jaxpr}\n")


if __name__ == "__main__":
    main()
