"""Megalith from Python.

Importing this package costs nothing. JAX finds the plugin by itself once the package is installed: `JAX_PLATFORMS`
may name `megalith`, which is also the default platform then. `megalith.libraries()` tells where the plugin lies.
`megalith.client` calls the services of a fleet; `megalith.save_program` stores a JAX function for it.
"""

import os
from typing import Any

__version__ = "0.1.0"


def libraries() -> str:
    """The folder that holds libmegalith_pjrt.so and what it opens; MEGALITH_LIBRARIES overrides it."""
    return os.environ.get("MEGALITH_LIBRARIES") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")


def __getattr__(name: str) -> Any:
    """The functions of megalith.programs, which need NumPy; the plugin does not load them."""
    if name in ("save_program", "load_program", "Program"):
        from megalith import programs
        return getattr(programs, name)
    if name in ("MegalithError", "Code"):
        from megalith import errors
        return getattr(errors, name)
    raise AttributeError(f"module 'megalith' has no attribute '{name}'")
