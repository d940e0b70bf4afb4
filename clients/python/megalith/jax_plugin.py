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
    _keep_programs()


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


def _keep_programs():
    """JAX_COMPILATION_CACHE_DIR: JAX keeps compiled programs of platforms that it knows by name, and asks for nothing else
    than that their executables serialize, as Megalith's do."""
    from jax._src import compilation_cache
    is_used = compilation_cache.is_cache_used
    compilation_cache.is_cache_used = lambda backend: is_used(_KnownBackend if backend.platform == PLATFORM else backend)


class _KnownBackend:
    platform = "cpu"
    supports_executable_serialization = True


def _register_rules():
    from jax._src.interpreters import mlir
    # Without this JAX drops donation and warns.
    if PLATFORM not in mlir._platforms_with_donation:
        mlir._platforms_with_donation.append(PLATFORM)
    from jax._src.export import _export
    mlir.register_lowering(_export.call_exported_p, _call_exported_rule(_export._call_exported_lowering),
                           platform=PLATFORM)
    from megalith import jax_callbacks
    jax_callbacks.register(PLATFORM)
    from jax._src.lax import ann, control_flow, linalg
    _run_branches_for_cpu(mlir, control_flow)
    mlir.register_lowering(ann.approx_top_k_p, mlir.lower_fun(_approx_top_k, multiple_results=True), platform=PLATFORM)
    cpu = mlir._platform_specific_lowerings["cpu"]
    mlir._platform_specific_lowerings[PLATFORM] = _Rules(mlir, mlir._platform_specific_lowerings[PLATFORM])
    for name in _LINALG:
        primitive = getattr(linalg, f"{name}_p", None)
        if primitive in cpu:
            mlir._platform_specific_lowerings[PLATFORM][primitive] = cpu[primitive]


class _Rules(dict):
    """Lowering rules for Megalith. A primitive that has none, not even one for all platforms, but one for CPUs is lowered
    by that: what it writes may be run here too, and if not, compiling says which call it is."""

    def __init__(self, mlir, rules):
        super().__init__(rules)
        self._any_platform, self._cpu = mlir._lowerings, mlir._platform_specific_lowerings["cpu"]

    def __contains__(self, primitive):
        return super().__contains__(primitive) or (primitive not in self._any_platform and primitive in self._cpu)

    def __missing__(self, primitive):
        return self._cpu[primitive]

    def own(self, primitive):
        return super().__contains__(primitive)


def _run_branches_for_cpu(mlir, control_flow):
    """lax.platform_dependent: the branch for CPUs is Megalith's if there is none for Megalith itself, unless there is a
    default and the branch uses what only XLA's CPU backend has."""
    from jax._src import core, ffi
    lower_index = mlir._lowerings[control_flow.platform_index_p].rule
    lower_cond = mlir._lowerings[control_flow.cond_p].rule

    def can_lower(jaxpr):
        return all(e.primitive is not ffi.ffi_call_p
                   and (e.primitive in mlir._lowerings or mlir._platform_specific_lowerings[PLATFORM].own(e.primitive))
                   and all(map(can_lower, core.jaxprs_in_params(e.params))) for e in jaxpr.eqns)

    def named(platforms, branches=None):
        if any(p is not None and PLATFORM in p for p in platforms):
            return platforms
        for i, p in enumerate(platforms):
            if p is not None and "cpu" in p:
                if branches is None or None not in platforms or can_lower(branches[i].jaxpr):
                    return (*platforms[:i], (*p, PLATFORM), *platforms[i + 1:])
        return platforms

    def index_rule(ctx, *, platforms):
        # Which one does not matter here: of one platform, the rule below keeps a single branch.
        return lower_index(ctx, platforms=named(platforms))

    def cond_rule(ctx, *args, branches, branches_platforms=None, **params):
        if branches_platforms is not None:
            params["branches_platforms"] = named(branches_platforms, branches)
        return lower_cond(ctx, *args, branches=branches, **params)

    mlir.register_lowering(control_flow.platform_index_p, index_rule, platform=PLATFORM)
    mlir.register_lowering(control_flow.cond_p, cond_rule, platform=PLATFORM)


def _approx_top_k(operand, *, k, reduction_dimension, recall_target, is_max_k, reduction_input_size_override,
                  aggregate_to_topk):
    """JAX asks XLA to approximate; the exact answer has every recall, in as many elements as JAX expects."""
    from jax import lax
    from jax._src.lax import ann
    values, _ = ann.approx_top_k_p.abstract_eval(
        operand.aval, k=k, reduction_dimension=reduction_dimension, recall_target=recall_target, is_max_k=is_max_k,
        reduction_input_size_override=reduction_input_size_override, aggregate_to_topk=aggregate_to_topk)[0]
    dimension = reduction_dimension % operand.ndim
    positions = lax.broadcasted_iota("int32", operand.shape, dimension)
    # Sorted upwards; for the largest the order is that of the negated numbers, which keeps ties in place.
    keys = lax.neg(operand) if is_max_k else operand
    _, best, where = lax.sort((keys, operand, positions), dimension=dimension, is_stable=True, num_keys=1)
    count = values.shape[dimension]
    return [lax.slice_in_dim(best, 0, count, axis=dimension), lax.slice_in_dim(where, 0, count, axis=dimension)]


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
