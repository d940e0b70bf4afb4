"""Megalith from Python.

Importing this package costs nothing. JAX finds the plugin by itself once the package is installed: `JAX_PLATFORMS`
may name `megalith`, which is also the default platform then. `megalith.libraries()` tells where the plugin lies.
"""

import os

__version__ = "0.1.0"


def libraries():
    """The folder that holds libmegalith_pjrt.so and what it opens; MEGALITH_LIBRARIES overrides it."""
    return os.environ.get("MEGALITH_LIBRARIES") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")
