#!/usr/bin/env python3
"""Runs programs written for JAX, unmodified, on the plugin and on JAX's CPU backend in one process, and compares.

    JAX_PLATFORMS=megalith,cpu conformance/runners/real_programs.py [NAME ...]

Needs jax, flax, optax, numpyro, blackjax and diffrax, and the package of clients/python. Programs know nothing of the
platform: each runs once per device under jax.default_device. Prints a table: what was compared, the largest difference,
and what is allowed. Exit status: 0 if every line is within.

What is allowed. Arithmetic of two compilers differs in the last bits, and training, sampling and adaptive steps grow
such differences. Losses of the first steps and gradients are held to a relative 1e-4, or 1e-3 after 20 steps of Adam;
accuracies to two of the 360 test images; means of samplers to four standard errors of their difference; ODE solutions
to ten times the solver's own tolerance.

equinox, under diffrax, raises errors of running programs by Python callbacks: the programs have them, and one must fail.
"""

import gzip
import os
import pathlib
import sys
import time
import traceback

import jax
import jax.numpy as jnp
import numpy as np
import optax

DATA = pathlib.Path(__file__).resolve().parents[2] / "examples/data/digits.csv.gz"
TRAINING_ROWS = 1437


class Result:
    """A quantity that both devices compute: `allowed` bounds |a - b| / max(scale, |b|), or |a - b| if scale is None."""

    def __init__(self, value, allowed, scale=1e-3):
        self.value, self.allowed, self.scale = np.asarray(value, np.float64), allowed, scale

    def difference(self, other):
        """How far another value of the quantity is from this one."""
        if not np.all(np.isfinite(other.value)):
            return float("inf")
        scale = 1 if self.scale is None else np.maximum(self.scale, np.abs(self.value))
        return float(np.max(np.abs(other.value - self.value) / scale))


def digits():
    rows = np.loadtxt(gzip.open(DATA, "rt"), delimiter=",", dtype=np.float32)
    images, labels = rows[:, :64] / 16, rows[:, 64].astype(np.int32)
    return images[:TRAINING_ROWS], labels[:TRAINING_ROWS], images[TRAINING_ROWS:], labels[TRAINING_ROWS:]


def flax_mlp():
    """flax.linen and optax.adam: 60 steps on batches of 128."""
    from flax import linen as nn

    class Mlp(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            x = nn.relu(nn.LayerNorm()(nn.Dense(128)(x)))
            x = nn.Dropout(0.1, deterministic=not train)(x)
            return nn.Dense(10)(nn.gelu(nn.Dense(64)(x)))

    images, labels, test_images, test_labels = digits()
    model = Mlp()
    params = model.init(jax.random.key(0), images[:1], train=False)
    optimizer = optax.adam(3e-3)

    def loss(params, x, y, key):
        logits = model.apply(params, x, train=True, rngs={"dropout": key})
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    @jax.jit
    def step(params, state, x, y, key):
        value, gradient = jax.value_and_grad(loss)(params, x, y, key)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    state, losses, key = optimizer.init(params), [], jax.random.key(1)
    for _ in range(60):
        key, batch_key, drop_key = jax.random.split(key, 3)
        batch = jax.random.choice(batch_key, TRAINING_ROWS, (128,), replace=False)
        params, state, value = step(params, state, images[batch], labels[batch], drop_key)
        losses.append(float(value))
    right = jax.jit(lambda p, x: model.apply(p, x, train=False).argmax(-1))(params, test_images) == test_labels
    return {"loss, 20 steps": Result(losses[:20], 1e-3), "accuracy": Result(right.mean(), 2.1 / 360, 1)}


def flax_cnn():
    """flax.nnx: convolutions, batch norm, pooling; 40 steps of momentum."""
    from flax import nnx

    class Cnn(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Conv(1, 16, (3, 3), rngs=rngs)
            self.norm = nnx.BatchNorm(16, rngs=rngs)
            self.second = nnx.Conv(16, 32, (3, 3), rngs=rngs)
            self.out = nnx.Linear(2 * 2 * 32, 10, rngs=rngs)

        def __call__(self, x):
            x = nnx.avg_pool(nnx.relu(self.norm(self.first(x))), (2, 2), (2, 2))
            x = nnx.max_pool(nnx.relu(self.second(x)), (2, 2), (2, 2))
            return self.out(x.reshape(x.shape[0], -1))

    images, labels, test_images, test_labels = digits()
    images, test_images = images.reshape(-1, 8, 8, 1), test_images.reshape(-1, 8, 8, 1)
    model = Cnn(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.05, momentum=0.9), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x, y):
        def loss(model):
            return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()
        value, gradient = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradient)
        return value

    losses = []
    for number in range(40):
        at = slice((number % 11) * 128, (number % 11 + 1) * 128)
        losses.append(float(step(model, optimizer, images[at], labels[at])))
    model.eval()
    right = nnx.jit(lambda m, x: m(x).argmax(-1))(model, test_images) == test_labels
    return {"loss, 10 steps": Result(losses[:10], 1e-3), "accuracy": Result(right.mean(), 2.1 / 360, 1)}


def optax_transformer():
    """A causal transformer of two blocks under jax.checkpoint and scan, AdamW with warm-up and clipping: 20 steps."""
    vocabulary, width, heads, length = 32, 64, 4, 24

    def init(key):
        def matrix(key, *shape):
            return jax.random.normal(key, shape) / np.sqrt(shape[-2])
        keys = jax.random.split(key, 6)
        blocks = {"qkv": matrix(keys[0], 2, width, 3 * width), "out": matrix(keys[1], 2, width, width),
                  "up": matrix(keys[2], 2, width, 4 * width), "down": matrix(keys[3], 2, 4 * width, width),
                  "scale": jnp.ones((2, 2, width))}
        return {"embed": 0.02 * jax.random.normal(keys[4], (vocabulary, width)),
                "position": 0.02 * jax.random.normal(keys[5], (length, width)), "blocks": blocks}

    def norm(x, scale):
        return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * scale

    @jax.checkpoint
    def block(x, p):
        q, k, v = jnp.split(norm(x, p["scale"][0]) @ p["qkv"], 3, -1)
        q, k, v = (t.reshape(*t.shape[:2], heads, -1) for t in (q, k, v))
        x = x + jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape) @ p["out"]
        return x + jax.nn.gelu(norm(x, p["scale"][1]) @ p["up"]) @ p["down"], None

    def loss(params, tokens):
        x = params["embed"][tokens[:, :-1]] + params["position"][:tokens.shape[1] - 1]
        x, _ = jax.lax.scan(block, x, params["blocks"])
        return optax.softmax_cross_entropy_with_integer_labels(x @ params["embed"].T, tokens[:, 1:]).mean()

    optimizer = optax.chain(optax.clip_by_global_norm(1.0),
                            optax.adamw(optax.warmup_cosine_decay_schedule(0, 3e-3, 5, 40)))

    @jax.jit
    def step(params, state, tokens):
        value, gradient = jax.value_and_grad(loss)(params, tokens)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value, optax.global_norm(gradient)

    params = init(jax.random.key(0))
    state, losses, norms = optimizer.init(params), [], []
    starts = jax.random.randint(jax.random.key(1), (20, 16, 1), 0, vocabulary)
    for start in starts:
        params, state, value, size = step(params, state, (start + 3 * jnp.arange(length)) % vocabulary)
        losses.append(float(value))
        norms.append(float(size))
    return {"loss, 20 steps": Result(losses, 1e-3), "first gradient": Result(norms[0], 1e-4)}


def numpyro_nuts():
    """numpyro's NUTS on a hierarchical model of eight groups: 300 warm-up steps, 500 samples."""
    import numpyro
    import numpyro.distributions as dist

    values = jnp.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    errors = jnp.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])

    def model():
        mu = numpyro.sample("mu", dist.Normal(0, 5))
        tau = numpyro.sample("tau", dist.HalfCauchy(5))
        with numpyro.plate("group", 8):
            offset = numpyro.sample("offset", dist.Normal(0, 1))
            numpyro.sample("value", dist.Normal(mu + tau * offset, errors), obs=values)

    sampler = numpyro.infer.MCMC(numpyro.infer.NUTS(model), num_warmup=300, num_samples=500, progress_bar=False)
    sampler.run(jax.random.PRNGKey(0))
    return _posterior(sampler.get_samples())


def blackjax_nuts():
    """blackjax's NUTS with window adaptation on a logistic regression."""
    import blackjax

    x = jax.random.normal(jax.random.key(3), (200, 3))
    weights = jnp.array([1.0, -2.0, 0.5])
    y = jax.random.bernoulli(jax.random.key(4), jax.nn.sigmoid(x @ weights)).astype(jnp.float32)

    def log_density(w):
        logits = x @ w
        return jnp.sum(y * logits - jax.nn.softplus(logits)) - 0.5 * jnp.sum(w * w) / 25

    adapt = blackjax.window_adaptation(blackjax.nuts, log_density)
    (state, parameters), _ = adapt.run(jax.random.key(5), jnp.zeros(3), 300)
    kernel = blackjax.nuts(log_density, **parameters)

    @jax.jit
    def run(key, state):
        def step(state, key):
            state, _ = kernel.step(key, state)
            return state, state.position
        return jax.lax.scan(step, state, jax.random.split(key, 500))[1]

    return _posterior({"w": run(jax.random.key(6), state)})


def _posterior(samples):
    """Means, held to four standard errors of the difference of two runs whose samples are worth 1 in 5."""
    found = {}
    for name, s in sorted(samples.items()):
        s = np.asarray(s, np.float64)
        error = s.std(0).max() * np.sqrt(2 / (len(s) / 5))
        found[f"mean of {name}"] = Result(s.mean(0), 4 * error, None)
    return found


def diffrax_ode():
    """diffrax: Lotka-Volterra, its gradient by recursive checkpoints, a stiff solve, and one that must give up."""
    import diffrax

    def predators(t, y, args):
        a, b, c, d = args
        return jnp.stack([a * y[0] - b * y[0] * y[1], -c * y[1] + d * y[0] * y[1]])

    def robertson(t, y, args):
        k1, k2, k3 = args
        f = -k1 * y[0] + k3 * y[1] * y[2]
        g = k2 * y[1] ** 2
        return jnp.stack([f, -f - g, g])

    def solve(args, max_steps=4096):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(predators), diffrax.Tsit5(), 0, 10, 0.1, jnp.array([10.0, 10.0]), args,
            saveat=diffrax.SaveAt(ts=jnp.linspace(0, 10, 30)),
            stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-5), max_steps=max_steps)

    @jax.jit
    def stiff():
        return diffrax.diffeqsolve(
            diffrax.ODETerm(robertson), diffrax.Kvaerno5(), 0, 100, 2e-4, jnp.array([1.0, 0.0, 0.0]),
            (0.04, 3e7 / 1e3, 1e4 / 1e2), stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-6))

    args = jnp.array([0.5, 0.1, 0.5, 0.1])
    solution = jax.jit(solve)(args)
    gradient = jax.jit(jax.grad(lambda a: solve(a).ys[-1].sum()))(args)
    try:
        jax.block_until_ready(solve(args, max_steps=5).ys)
        error = "none"
    except Exception as e:  # equinox' own class, which is not public
        error = str(e)
    return {"solution": Result(solution.ys, 1e-4, 1), "gradient": Result(gradient, 1e-3, 1),
            "stiff solution": Result(stiff().ys, 1e-3, 1),
            "error": Result("maximum number of solver steps" in error, 0, None)}


def hand_written_ode():
    """jax.experimental.ode: Dormand-Prince in a while loop, and its adjoint."""
    from jax.experimental.ode import odeint

    def pendulum(y, t, damping):
        return jnp.stack([y[1], -damping * y[1] - jnp.sin(y[0])])

    times, start = jnp.linspace(0, 8, 50), jnp.array([2.0, 0.0])
    path = odeint(pendulum, start, times, 0.3, rtol=1e-6, atol=1e-6)
    gradient = jax.grad(lambda d: odeint(pendulum, start, times, d, rtol=1e-6, atol=1e-6)[-1, 0])(0.3)
    return {"path": Result(path, 1e-5, 1), "gradient": Result(gradient, 1e-4, 1)}


PROGRAMS = (flax_mlp, flax_cnn, optax_transformer, numpyro_nuts, blackjax_nuts, diffrax_ode, hand_written_ode)


def main():
    chosen = [p for p in PROGRAMS if len(sys.argv) == 1 or p.__name__ in sys.argv[1:]]
    if not chosen:
        raise SystemExit(f"programs are {', '.join(p.__name__ for p in PROGRAMS)}")
    devices = {"megalith": jax.devices("megalith")[0], "cpu": jax.devices("cpu")[0]}
    good = True
    print(f"{'program':18} {'compared':18} {'difference':>10} {'allowed':>10}   megalith, cpu seconds")
    for program in chosen:
        answers, seconds = {}, {}
        try:
            for platform, device in devices.items():
                begin = time.monotonic()
                with jax.default_device(device):
                    where = jax.jit(lambda x: x + 1)(1.0).devices()
                    if where != {device}:
                        raise RuntimeError(f"jit runs on {where} in place of {device}")
                    answers[platform] = program()
                seconds[platform] = time.monotonic() - begin
        except Exception:  # the table goes on
            traceback.print_exc()
            print(f"{program.__name__:18} failed on {platform}", flush=True)
            good = False
            continue
        for what, theirs in answers["cpu"].items():
            far = theirs.difference(answers["megalith"][what])
            within = far <= theirs.allowed
            good = good and within
            print(f"{program.__name__:18} {what:18} {far:10.1e} {theirs.allowed:10.1e}   {seconds['megalith']:.1f}, "
                  f"{seconds['cpu']:.1f}{'' if within else '   TOO FAR'}", flush=True)
    print("all within" if good else "not all within")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
