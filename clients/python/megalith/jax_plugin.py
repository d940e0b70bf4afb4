"""Makes Megalith a platform of JAX. JAX imports this module and calls initialize() (entry point group jax_plugins)."""

import os

import megalith

PLATFORM = "megalith"

# Primitives for which JAX has rules for named platforms only, or a better one for CPU than for platforms it does not
# know. Their CPU rules send `lapack_*_ffi` custom calls, which Megalith runs.
_LINALG = ("eigh", "eig", "schur", "hessenberg", "tridiagonal", "geqp3", "geqrf", "householder_product", "lu", "svd")


def initialize():
    path = os.path.join(megalith.libraries(), "libmegalith_pjrt.so")
    if not os.path.exists(path):
        raise RuntimeError(f"{path} does not exist; install the wheel that `make wheel` builds, or set "
                           "MEGALITH_LIBRARIES to the folder of the compiled libraries")
    from jax._src import xla_bridge
    xla_bridge.register_plugin(PLATFORM, library_path=path, options=_options)
    _register_rules()


def _options():
    """Options of the client from the environment; JAX_PJRT_CLIENT_CREATE_OPTIONS is read by JAX itself."""
    options = {}
    devices = os.environ.get("MEGALITH_NUM_DEVICES")
    if devices:
        options["num_devices"] = int(devices)
    backend = os.environ.get("MEGALITH_BACKEND")
    if backend:
        options["backend"] = backend
    address = os.environ.get("MEGALITH_ADDRESS")
    if address:
        options["address"] = address
    return options


def _register_rules():
    from jax._src.interpreters import mlir
    # Without this JAX drops donation and warns.
    if PLATFORM not in mlir._platforms_with_donation:
        mlir._platforms_with_donation.append(PLATFORM)
    from jax._src.export import _export
    mlir.register_lowering(_export.call_exported_p, _call_exported_rule(_export._call_exported_lowering),
                           platform=PLATFORM)
    from jax._src.lax import linalg
    cpu = mlir._platform_specific_lowerings["cpu"]
    for name in _LINALG:
        primitive = getattr(linalg, f"{name}_p", None)
        if primitive in cpu:
            mlir._platform_specific_lowerings[PLATFORM][primitive] = cpu[primitive]


def _call_exported_rule(rule):
    """What was exported for CPUs may be called on Megalith: it runs what JAX lowers for them."""
    def lower(ctx, *args, exported):
        def name(platform):
            as_cpu = platform == PLATFORM and PLATFORM not in exported.platforms and "cpu" in exported.platforms
            return "cpu" if as_cpu else platform
        module_context = ctx.module_context.replace(platforms=tuple(map(name, ctx.module_context.platforms)))
        inner = ctx.replace(module_context=module_context)
        results = rule(inner, *args, exported=exported)
        if inner.tokens_out is not None:
            ctx.set_tokens_out(inner.tokens_out)
        return results
    return lower
