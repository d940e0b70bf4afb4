"""The public `programs` cases as Python functions, for benchmarks against JAX.

Each function is written so that jax.make_jaxpr prints the text that the record of its name carries;
whoever uses them checks that. Only shapes differ between records of one function.
"""
import jax
import jax.numpy as jnp
from jax import lax


def _cross_entropy(logits, labels):
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.sum(log_probs * jax.nn.one_hot(labels, logits.shape[-1]), axis=-1))


def _binary_cross_entropy(z, y):
    return jnp.mean(jnp.maximum(z, 0.0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))


def mlp(x, labels, *layers):
    for i in range(0, len(layers) - 2, 2):
        x = jnp.tanh(x @ layers[i] + layers[i + 1])
    return _cross_entropy(x @ layers[-2] + layers[-1], labels)


def _layer_norm(x, gain, bias):
    mean = jnp.mean(x, axis=-1, keepdims=True)
    var = jnp.mean((x - mean) ** 2, axis=-1, keepdims=True)
    return (x - mean) * lax.rsqrt(var + 1e-5) * gain + bias


def _gelu(x):
    return x * (0.5 * (1.0 + jnp.tanh(0.7978845608028654 * (x + 0.044715 * x**3))))


def _batched_dot(a, b, contract):
    return lax.dot_general(a, b, (contract, ((0,), (0,))), preferred_element_type=jnp.float32)


def transformer(x, g1, b1, wq, wk, wv, wo, g2, b2, w1, w2):
    length, width = x.shape
    h = _layer_norm(x, g1, b1)
    q, k, v = (
        (h @ w).reshape(length, 2, width // 2).transpose(1, 0, 2) for w in (wq, wk, wv))
    scores = _batched_dot(q, k, ((2,), (2,))) / (width // 2) ** 0.5
    scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -1e9)
    heads = _batched_dot(jax.nn.softmax(scores, axis=-1), v, ((2,), (1,)))
    x = x + heads.transpose(1, 0, 2).reshape(length, width) @ wo
    x = x + _gelu(_layer_norm(x, g2, b2) @ w1) @ w2
    return jnp.mean(x**2)


def convnet(x, labels, w1, w2, w3):
    layout = ("NHWC", "HWIO", "NHWC")
    x = jax.nn.relu(lax.conv_general_dilated(x, w1, (1, 1), "SAME", dimension_numbers=layout))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jax.nn.relu(lax.conv_general_dilated(x, w2, (1, 1), "VALID", dimension_numbers=layout))
    return _cross_entropy(x.reshape(x.shape[0], -1) @ w3, labels)


def lstm(xs, wx, wh, bias):
    def step(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(x @ wx + h @ wh + bias, 4)
        c = lax.logistic(f + 1.0) * c + lax.logistic(i) * jnp.tanh(g)
        h = lax.logistic(o) * jnp.tanh(c)
        return (h, c), h

    width = wh.shape[0]
    _, hs = lax.scan(step, (jnp.zeros(width), jnp.zeros(width)), xs)
    return jnp.sum(hs**2)


def gru(xs, wx, wh):
    n = wh.shape[0]

    def step(h, x):
        z = x @ wx
        r = lax.logistic(z[:n] + h @ wh[:, :n])
        u = lax.logistic(z[n:2 * n] + h @ wh[:, n:2 * n])
        c = jnp.tanh(z[2 * n:] + (r * h) @ wh[:, 2 * n:])
        h = (1.0 - u) * c + u * h
        return h, h

    _, hs = lax.scan(step, jnp.zeros(n), xs)
    return jnp.sum(hs)


def kmeans(points, centers):
    def nearest(c):
        distances = jnp.sum((points[:, None, :] - c[None, :, :]) ** 2, axis=-1)
        return jnp.argmin(distances, axis=1)

    def body(state):
        c, _, i = state
        member = jax.nn.one_hot(nearest(c), c.shape[0])
        new = member.T @ points / jnp.maximum(jnp.sum(member, axis=0)[:, None], 1.0)
        return new, jnp.max(jnp.abs(new - c)), i + 1

    def more(state):
        return jnp.logical_and(state[1] > 1e-4, state[2] < 10)

    c, _, steps = lax.while_loop(more, body, (centers, jnp.float32(jnp.inf), 0))
    return c, nearest(c), steps


def rosenbrock(x):
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def _rows(table, index):
    return table.at[index].get(mode="promise_in_bounds")


def fm(index, value, y, bias, weights, factors):
    linear = bias + jnp.sum(_rows(weights, index) * value, axis=1)
    e = _rows(factors, index) * value[..., None]
    pairs = 0.5 * jnp.sum(jnp.sum(e, axis=1) ** 2 - jnp.sum(e**2, axis=1), axis=1)
    return _binary_cross_entropy(linear + pairs, y)


def dcnv2(index, y, table, w1, b1, w2, b2, wd, bd, wo):
    x0 = _rows(table, index).reshape(index.shape[0], -1)
    x = x0 * (x0 @ w1 + b1) + x0
    x = x0 * (x @ w2 + b2) + x
    deep = jax.nn.relu(x0 @ wd + bd)
    return _binary_cross_entropy((jnp.concatenate([x, deep], axis=1) @ wo)[:, 0], y)


def twotower(users, items, wu, wi):
    def tower(x, w):
        h = x @ w
        return h * lax.rsqrt(jnp.sum(h * h, axis=-1, keepdims=True) + 1e-6)

    logits = tower(users, wu) @ tower(items, wi).T * 10.0
    return -jnp.mean(jnp.diagonal(jax.nn.log_softmax(logits)))


def vanderpol(y0, params):
    def f(y):
        return jnp.stack([y[1], params[0] * (1.0 - y[0] ** 2) * y[1] - params[1] * y[0]])

    def step(y, _):
        k1 = f(y)
        k2 = f(y + 0.05 * k1)
        k3 = f(y + 0.05 * k2)
        k4 = f(y + 0.1 * k3)
        y = y + 0.1 / 6 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        return y, y

    _, ys = lax.scan(step, y0, None, length=8)
    return jnp.sum(ys**2)


def batchnorm(x, gain, bias):
    mean, var = jnp.mean(x, axis=0), jnp.var(x, axis=0)
    y = (x - mean) / jnp.sqrt(var + 1e-3) * gain + bias
    return jnp.sum(jnp.sin(y))


def power_iter(a, v):
    return lax.fori_loop(0, 12, lambda _, v: (a @ v) / jnp.linalg.norm(a @ v), v)


def logreg(w, x, y):
    return _binary_cross_entropy(x @ w, y)


def mixed_bf16(x, w):
    y = x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)
    return jnp.sum(y.astype(jnp.float32) ** 2)


_FUNCTIONS = (mlp, transformer, convnet, lstm, gru, kmeans, rosenbrock, fm, dcnv2, twotower,
              vanderpol, batchnorm, power_iter, logreg, mixed_bf16)


def find(fun_name):
    """The function of a record's fun_name, such as "mlp_deep" or "lstm"; None if there is none."""
    for f in _FUNCTIONS:
        if fun_name == f.__name__ or fun_name.startswith(f.__name__ + "_"):
            return f
    return None
