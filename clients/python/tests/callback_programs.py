"""Programs with Python callbacks on the plugin, one per process: callback_programs.py NAME. Run by test_callbacks.py."""

import gc
import os
import sys
import threading
import weakref

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import io_callback
from jax.sharding import PartitionSpec as P

FLOAT = jax.ShapeDtypeStruct((), jnp.float32)


def order():
    """Effects happen in the order of the program, whether it is asked for or not, in loops and branches too."""
    seen = []

    @jax.jit
    def f(x):
        jax.debug.callback(lambda v: seen.append(("a", float(v))), x)

        def body(i, c):
            jax.debug.callback(lambda v: seen.append(("b", int(v))), i)
            io_callback(lambda v: seen.append(("c", float(v))), None, c, ordered=True)
            return jax.lax.cond(i % 2 == 0, lambda c: io_callback(lambda v: v + 1, FLOAT, c), lambda c: c, c)
        y = jax.lax.fori_loop(0, 3, body, x)
        jax.debug.callback(lambda v: seen.append(("d", float(v))), y, ordered=True)
        return y

    assert f(1.0) == 3
    jax.effects_barrier()
    assert seen == [("a", 1), ("b", 0), ("c", 1), ("b", 1), ("c", 2), ("b", 2), ("c", 2), ("d", 3)], seen


def transformations():
    @jax.custom_jvp
    def sine(x):
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims")

    @sine.defjvp
    def _(primals, tangents):
        return sine(primals[0]), jnp.cos(primals[0]) * tangents[0]

    x = jnp.linspace(0, 1, 5)
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(sine)))(x), np.cos(x), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(lambda x: jax.lax.scan(lambda c, v: (c + sine(v), c), 0.0, x)[0])(x),
                               np.sin(x).sum(), rtol=1e-6)
    np.testing.assert_allclose(sine(x), np.sin(x), rtol=1e-6)  # eager
    with jax.enable_x64(True):  # of this thread alone
        wide = jnp.linspace(0, 1, 5, dtype=jnp.float64)
        np.testing.assert_allclose(jax.jit(sine)(wide), np.sin(wide), rtol=1e-15)


def many():
    """More launches than the queue holds: the launching thread waits without the interpreter's lock."""
    seen = []
    f = jax.jit(lambda x: jax.debug.callback(lambda v: seen.append(int(v)), x))
    for i in range(300):
        f(i)
    jax.effects_barrier()
    assert seen == list(range(300))


def nested():
    """A callback runs programs on the device that runs it, callbacks and all."""
    square = jax.jit(lambda x: jax.pure_callback(lambda v: np.asarray(v) ** 2, FLOAT, x) + 1)

    def outside(v):
        with jax.default_device(jax.devices("megalith")[0]):
            return np.asarray(square(jnp.float32(np.asarray(v))))
    f = jax.jit(lambda x: jax.pure_callback(outside, FLOAT, x) * 2)
    assert f(3.0) == 20


def waits_for_the_launching_thread():
    go = threading.Event()
    f = jax.jit(lambda x: io_callback(lambda v: np.float32(v + go.wait(60)), FLOAT, x))
    y = f(1.0)
    go.set()
    assert y == 2


def pointer():
    """Whoever waits with the interpreter's lock does not keep it from the callback."""
    f = jax.jit(lambda x: jax.pure_callback(lambda v: v + 1, jax.ShapeDtypeStruct(x.shape, x.dtype), x))
    assert f(jnp.arange(5000.0)).unsafe_buffer_pointer() != 0


def failure():
    def f(x):
        return jax.pure_callback(lambda v: np.float32({}[int(v)]), FLOAT, x)
    try:
        jax.jit(f)(7.0).block_until_ready()
    except jax.errors.JaxRuntimeError as e:
        assert "KeyError: 7" in str(e) and "callback_programs.py" in str(e), e
    else:
        raise AssertionError("no error")
    try:
        jax.jit(lambda x: jax.pure_callback(lambda v: np.zeros(3, np.float32), FLOAT, x))(1.0).block_until_ready()
    except jax.errors.JaxRuntimeError as e:
        assert "Incorrect output shape for return value #0: Expected: (), Actual: (3,)" in str(e), e
    else:
        raise AssertionError("no error")
    assert jax.jit(lambda x: jax.pure_callback(lambda v: v + 1, FLOAT, x))(1.0) == 2


def lifetime():
    """Functions live as long as what was compiled from them, or runs; arguments as long as a function keeps them."""
    from megalith import jax_callbacks

    class Function:
        def __init__(self):
            self.kept, self.go, self.done = [], threading.Event(), threading.Event()

        def __call__(self, v):
            assert self.go.wait(60)
            self.kept.append(v)
            self.done.set()

    function = Function()
    f = jax.jit(lambda x: jax.debug.callback(function, x * 2))
    f(jnp.arange(1000.0))
    alive = weakref.ref(function)
    go, done, kept, function = function.go, function.done, function.kept, None
    del f
    jax.clear_caches()
    gc.collect()
    assert alive() is not None, "gone while its program runs"
    go.set()
    assert done.wait(60)
    jax.effects_barrier()
    for i in range(20):
        jax.jit(lambda x: jnp.sin(x * 3))(jnp.arange(1000.0) + i).block_until_ready()
    np.testing.assert_array_equal(kept[0], np.arange(1000.0) * 2)
    while jax_callbacks._held:  # released by the thread that ran it
        gc.collect()
    gc.collect()
    assert alive() is None, "kept for nobody"


def storing():
    compiled = jax.jit(lambda x: jax.pure_callback(np.sin, FLOAT, x)).lower(1.0).compile()
    try:
        compiled.runtime_executable().serialize()
    except jax.errors.JaxRuntimeError as e:
        assert "cannot be stored" in str(e), e
    else:
        raise AssertionError("serialized")


def devices():
    """Once per device in shard_map, once in all elsewhere."""
    seen, whole = [], []
    mesh = jax.make_mesh((4,), ("i",))

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=P("i"), out_specs=P("i"))
    def f(x):
        io_callback(lambda v: seen.append(np.asarray(v).tolist()), None, x, ordered=True)
        return jax.pure_callback(lambda v: v * 2, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    x = jax.device_put(jnp.arange(8), jax.NamedSharding(mesh, P("i")))
    np.testing.assert_array_equal(f(x), np.arange(8) * 2)
    jax.jit(lambda x: jax.debug.callback(lambda v: whole.append(np.asarray(v).tolist()), x + 1))(x)
    jax.effects_barrier()
    assert sorted(seen) == [[0, 1], [2, 3], [4, 5], [6, 7]], seen
    assert whole == [list(range(1, 9))], whole


def inspection():
    """inspect_array_sharding tells where values of a program on several devices lie."""
    seen = []
    mesh = jax.make_mesh((4,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))

    @jax.jit
    def f(x):
        jax.debug.inspect_array_sharding(x.T + 1, callback=seen.append)
        return x

    with jax.set_mesh(mesh):
        f(jax.device_put(jnp.ones((8, 2)), jax.NamedSharding(mesh, P("i"))))
    assert [s.spec for s in seen] == [P(None, "i")], seen


def end():
    """What was launched before Python ends is finished."""
    f = jax.jit(lambda x: jax.debug.callback(lambda v: print("the last word is", int(v)), x))
    for i in range(100):
        f(i)


if __name__ == "__main__":
    assert jax.default_backend() == "megalith", os.environ.get("JAX_PLATFORMS")
    globals()[sys.argv[1]]()
    print("done")
