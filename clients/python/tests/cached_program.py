"""Compiles a program and says how often JAX found it in its persistent cache; run by test_persistent_cache.py."""

import jax
import jax.numpy as jnp
import numpy as np

hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(1) if event.endswith("/cache_hits") else None)


@jax.jit
def program(x):
    return jnp.sin(x) @ jnp.cos(x) + 1


x = np.arange(9, dtype=np.float32).reshape(3, 3)
np.testing.assert_allclose(program(x), np.sin(x) @ np.cos(x) + 1, rtol=1e-5, atol=1e-6)
print(len(hits), "hits")
