"""The programs that the CPU backend is measured on against JAX: functions and their arguments.

Sizes are part of the names. Arguments come from a fixed seed. `rtol` is how far two right answers may
lie apart, relative to the largest element of an output. A program that donates its first argument is
called again on what it has made of it.
"""
import dataclasses
import functools
from typing import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

MILLION = 1_000_000


@dataclasses.dataclass
class Program:
    name: str
    title: str
    function: Callable
    arguments: tuple
    rtol: float = 1e-4
    # The first argument is donated; the function returns a tuple that begins with what it becomes.
    donates: bool = False


_random = np.random.default_rng(7)


def _normal(*shape, scale=1.0):
    return (_random.standard_normal(shape) * scale).astype(np.float32)


def _weights(rows, columns):
    return _normal(rows, columns, scale=rows**-0.5)


# --- elementwise, reductions, normalisations ---


def chain(x):
    y = x * 1.5 + 0.25
    y = jnp.maximum(y, -2.0)
    y = jnp.tanh(y) * x
    y = jnp.exp(-y * y)
    return jnp.sqrt(y + 1.0) - x


def layernorm(x, gain, bias):
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean((x - mean) ** 2, axis=-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * gain + bias


# --- training steps ---


def _cross_entropy(logits, labels):
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(log_probs, labels[:, None], axis=1))


def _mlp_loss(params, x, labels):
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    return _cross_entropy(x @ w + b, labels)


def _sgd(loss_of, params, *data):
    loss, grads = jax.value_and_grad(loss_of)(params, *data)
    return loss, jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


def mlp_step(params, x, labels):
    return _sgd(_mlp_loss, params, x, labels)


def _mlp_params(*sizes):
    return [(_weights(m, n), np.zeros(n, np.float32)) for m, n in zip(sizes, sizes[1:])]


HEADS = 4


def _transformer_block(params, x):
    batch, length, width = x.shape
    h = layernorm(x, params["g1"], params["b1"])
    q, k, v = (
        (h @ params[w]).reshape(batch, length, HEADS, width // HEADS).transpose(0, 2, 1, 3)
        for w in ("wq", "wk", "wv"))
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) / (width // HEADS) ** 0.5
    scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -1e9)
    heads = jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores, axis=-1), v)
    x = x + heads.transpose(0, 2, 1, 3).reshape(batch, length, width) @ params["wo"]
    h = layernorm(x, params["g2"], params["b2"])
    return x + jax.nn.gelu(h @ params["w1"]) @ params["w2"]


def transformer_step(params, x, target):
    return _sgd(lambda p, x, t: jnp.mean((_transformer_block(p, x) - t) ** 2), params, x, target)


def _transformer_params(width):
    square = {w: _weights(width, width) for w in ("wq", "wk", "wv", "wo")}
    return square | {
        "g1": np.ones(width, np.float32), "b1": np.zeros(width, np.float32),
        "g2": np.ones(width, np.float32), "b2": np.zeros(width, np.float32),
        "w1": _weights(width, 4 * width), "w2": _weights(4 * width, width)}


def _dlrm_loss(params, dense, embedded, labels):
    """The dense part of DLRM: bottom MLP, pairwise products with the embeddings, top MLP."""
    x = dense
    for w, b in params["bottom"]:
        x = jax.nn.relu(x @ w + b)
    vectors = jnp.concatenate([x[:, None, :], embedded], axis=1)
    products = jnp.einsum("bid,bjd->bij", vectors, vectors)
    rows, columns = np.tril_indices(vectors.shape[1], -1)
    z = jnp.concatenate([x, products[:, rows, columns]], axis=1)
    for w, b in params["top"][:-1]:
        z = jax.nn.relu(z @ w + b)
    w, b = params["top"][-1]
    logits = (z @ w + b)[:, 0]
    return jnp.mean(jnp.maximum(logits, 0) - logits * labels + jnp.log1p(jnp.exp(-jnp.abs(logits))))


def dlrm_step(params, dense, embedded, labels):
    return _sgd(_dlrm_loss, params, dense, embedded, labels)


def _dlrm_arguments(batch=4096, features=26, width=16):
    pairs = (features + 1) * features // 2
    params = {"bottom": _mlp_params(13, 128, 64, width),
              "top": _mlp_params(width + pairs, 128, 64, 1)}
    labels = _random.integers(0, 2, batch).astype(np.float32)
    return params, _normal(batch, 13), _normal(batch, features, width), labels


def lstm(params, x):
    w, u, b = params
    width = u.shape[0]

    def cell(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(x @ w + h @ u + b, 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros(width, jnp.float32)
    return lax.scan(cell, (zero, zero), x)[1]


def gru(params, x):
    """Hidden width 32: little work per step."""
    w, u, b = params
    width = u.shape[0]

    def cell(h, x):
        gates = x @ w + b
        r, z = jnp.split(jax.nn.sigmoid(gates[: 2 * width] + h @ u[:, : 2 * width]), 2)
        n = jnp.tanh(gates[2 * width :] + r * (h @ u[:, 2 * width :]))
        h = (1 - z) * n + z * h
        return h, h

    return lax.scan(cell, jnp.zeros(width, jnp.float32), x)[1]


def euler_tanh(x):
    """A million steps on one scalar: x' = 1 - x * x."""
    return lax.fori_loop(0, MILLION, lambda i, x: x + 1e-6 * (1 - x * x), x)


def collatz(n):
    """How many steps the longest of the first `n` chains has: loops that end by their data."""

    def length(start):
        def step(state):
            at, steps = state
            return jnp.where(at % 2 == 0, at // 2, 3 * at + 1), steps + 1

        return lax.while_loop(lambda state: state[0] > 1, step, (start, 0))[1]

    return lax.fori_loop(1, n, lambda i, best: jnp.maximum(best, length(i)), 0)


def _convnet_loss(params, x, labels):
    layout = ("NHWC", "HWIO", "NHWC")
    for w in params["convolutions"]:
        x = jax.nn.relu(lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=layout))
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return _cross_entropy(x.reshape(x.shape[0], -1) @ params["out"], labels)


def convnet_step(params, x, labels):
    return _sgd(_convnet_loss, params, x, labels)


def _convnet_arguments(batch=32):
    params = {"convolutions": [_normal(3, 3, 1, 16, scale=0.3), _normal(3, 3, 16, 32, scale=0.1)],
              "out": _weights(7 * 7 * 32, 10)}
    return params, _normal(batch, 28, 28, 1), _labels(batch)


def _labels(n, classes=10):
    return _random.integers(0, classes, n).astype(np.int32)


# --- indexing, random numbers, linear algebra ---


def gather_rows(table, rows):
    return table[rows]


def scatter_add_rows(table, rows, updates):
    return table.at[rows].add(updates)


def scatter_add_donated(table, rows, updates):
    return (table.at[rows].add(updates),)


def append_row(cache, row, at):
    """What a cache of keys and values does once per token."""
    return lax.dynamic_update_slice(cache, row, (at, 0)), at + 1


def mlp_step_donated(params, x, labels):
    loss, params = mlp_step(params, x, labels)
    return params, loss


def threefry_normal(key):
    return jax.random.normal(jax.random.wrap_key_data(key, impl="threefry2x32"), (MILLION,))


def three_equations(x):
    return jnp.sin(x) * x + 1.0


def _positive_definite(n):
    a = _normal(n, n)
    return (a @ a.T / n + np.eye(n)).astype(np.float32)


def polynomial(x):
    return ((x * 2.0 + 3.0) * x - 1.0) * x + 0.5


def _matmul(n):
    return Program(f"matmul_{n}", f"matmul {n}", jnp.matmul, (_normal(n, n), _normal(n, n)))


def _rows(n=MILLION, width=32, count=100_000):
    return _normal(n, width), _random.integers(0, n, count).astype(np.int32)


@functools.cache
def all_programs():
    table, rows = _rows()
    mlp = (_mlp_params(784, 512, 512, 10), _normal(128, 784), _labels(128))
    transformer = (_transformer_params(128), _normal(8, 64, 128))
    x1m = _normal(MILLION)
    lstm_params = (_weights(64, 256), _weights(64, 256), np.zeros(256, np.float32))
    return [
        Program("chain_1m", "elementwise chain of 10, 1 M", chain, (x1m,)),
        Program("reduce_10m", "reduction of 10 M", jnp.sum, (_normal(10 * MILLION),), 1e-3),
        Program("softmax_1024", "softmax 1024x1024", functools.partial(jax.nn.softmax, axis=-1),
                (_normal(1024, 1024),)),
        Program("layernorm_1024", "layernorm 1024x1024", layernorm,
                (_normal(1024, 1024), _normal(1024), _normal(1024))),
        *[_matmul(n) for n in (64, 128, 256, 512, 1024, 2048)],
        Program("mlp_step", "MLP train step, batch 128", mlp_step, mlp, 1e-3),
        Program("transformer_forward", "transformer block forward", _transformer_block,
                transformer, 1e-3),
        Program("transformer_step", "transformer train step", transformer_step,
                (*transformer, _normal(8, 64, 128)), 1e-3),
        Program("dlrm_step", "DLRM dense step, batch 4096", dlrm_step, _dlrm_arguments(), 1e-3),
        Program("lstm_1000", "LSTM by scan, 1,000 steps", lstm, (lstm_params, _normal(1000, 64)),
                1e-3),
        Program("gru_1000", "GRU by scan, hidden 32, 1,000 steps", gru,
                ((_weights(16, 96), _weights(32, 96), np.zeros(96, np.float32)),
                 _normal(1000, 16)), 1e-3),
        Program("euler_tanh", "scalar loop, 1 M steps", euler_tanh, (np.float32(0),), 1e-2),
        Program("collatz", "nested while loops, 850 k steps", collatz, (np.int32(10_000),), 0),
        Program("convnet_step", "small convnet step, batch 32", convnet_step, _convnet_arguments(),
                1e-3),
        Program("sort_1m", "sort 1 M", jnp.sort, (_normal(MILLION),), 0),
        Program("gather_rows", "gather, 100 k rows of 1 M x 32", gather_rows, (table, rows), 0),
        Program("scatter_add_rows", "scatter-add, 100 k rows of 1 M x 32", scatter_add_rows,
                (table, rows, _normal(100_000, 32))),
        Program("scatter_add_donated", "scatter-add donated, 100 k rows of 1 M x 32",
                scatter_add_donated, (table, rows, _normal(100_000, 32)), donates=True),
        Program("append_row", "row written into donated 1 M x 32", append_row,
                (table, _normal(1, 32), np.int32(77)), 0, donates=True),
        Program("mlp_step_donated", "MLP train step, parameters donated", mlp_step_donated, mlp,
                1e-3, donates=True),
        Program("threefry_normal", "threefry normal 1 M", threefry_normal,
                (np.array([0, 42], np.uint32),)),
        Program("cumsum_1m", "cumsum 1 M", jnp.cumsum, (x1m,), 1e-3),
        Program("cholesky_512", "cholesky 512", jnp.linalg.cholesky, (_positive_definite(512),),
                1e-3),
        Program("solve_512", "solve 512", jnp.linalg.solve,
                (_positive_definite(512), _normal(512)), 1e-2),
        Program("fft_65536", "FFT 2^16", jnp.fft.fft,
                ((_normal(1 << 16) + 1j * _normal(1 << 16)).astype(np.complex64),)),
        Program("scalar", "scalar function", polynomial, (np.float32(0.7),)),
        Program("three_equations", "3 equations on 8 floats", three_equations, (_normal(8),)),
    ]
