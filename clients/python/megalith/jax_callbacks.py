"""Python functions that compiled programs call: jax.debug.print, jax.pure_callback, io_callback and what uses them.

Lowering such a function gives it a number and writes the custom call `megalith.host_call` with it. The plugin holds the
numbers of a program as long as the program exists or runs, and calls back through one C function (host_callbacks.h of
clients/pjrt), from whatever thread runs the program.
"""

import atexit
import ctypes
import inspect
import itertools
import math
import os
import threading
import traceback
import weakref

import jax
import numpy as np
from jax._src import callback as jax_callback
from jax._src import checkify, config, core, debugging, dtypes, ffi, sharding_impls
from jax._src import mesh as mesh_lib
from jax._src.interpreters import mlir
from jax._src.lib import xla_client
from jax._src.partition_spec import PartitionSpec as P
from jax._src.sharding_impls import SdyArray, SdyArrayList

import megalith

_TARGET = "megalith.host_call"
_INSPECT_TARGET = "megalith.inspect_sharding"
_FUNCTION_FAILED, _WRONG_ARRAYS = 1, 2


class _Array(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_uint64), ("dims", ctypes.POINTER(ctypes.c_int64)),
                ("num_dims", ctypes.c_uint64)]


_HOLD = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64)
_RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_uint64)
_CALL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64, ctypes.POINTER(_Array), ctypes.c_size_t, ctypes.POINTER(_Array),
                         ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)


class _Callbacks(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("hold", _HOLD), ("release", _RELEASE), ("call", _CALL),
                ("has_lock", ctypes.c_void_p), ("unlock", ctypes.c_void_p), ("lock", ctypes.c_void_p)]


class _Function:
    """One function as one program calls it. Alive as long as something lowered or compiled from it is."""

    def __init__(self, number, function, inputs, outputs, tokens, partitioned):
        self.number = number
        self.function = function
        self.inputs = [_shape_and_dtype(a) for a in inputs]
        self.outputs = [_shape_and_dtype(a) for a in outputs]
        self.tokens = tokens  # arrays before the others that carry nothing
        self.partitioned = partitioned  # called with the parts that devices have of arrays of these shapes
        self.x64 = config.enable_x64.value  # of the thread that lowers, not of one that runs programs

    def __call__(self, *args):
        """The results for these arrays, checked as JAX does for its own CPU backend."""
        with config.enable_x64(self.x64):
            return self._results(args)

    def _results(self, args):
        results = self.function(*args)
        if len(results) != len(self.outputs):
            raise RuntimeError("Mismatched number of outputs from callback. "
                               f"Expected: {len(self.outputs)}, Actual: {len(results)}")
        results = [dtypes.canonicalize_value(np.asarray(r)) for r in results]
        for i, (result, (shape, dtype)) in enumerate(zip(results, self.outputs)):
            if result.shape != shape:
                raise RuntimeError(f"Incorrect output shape for return value #{i}: "
                                   f"Expected: {shape}, Actual: {result.shape}")
            if result.dtype != dtype:
                raise RuntimeError(f"Incorrect output dtype for return value #{i}: "
                                   f"Expected: {dtype}, Actual: {result.dtype}")
        return results


_numbers = itertools.count(1)
_alive = weakref.WeakValueDictionary()  # number -> function
_held = {}  # number -> [function, how many programs hold it]
_lock = threading.RLock()  # the collector may release a program while its thread holds another


def _shape_and_dtype(aval):
    aval = core.physical_aval(aval)
    return tuple(aval.shape), np.dtype(bool) if aval.dtype == dtypes.float0 else np.dtype(aval.dtype)


@_HOLD
def _hold(number):
    with _lock:
        entry = _held.get(number)
        if entry is None:
            function = _alive.get(number)
            if function is None:
                return 0
            entry = _held[number] = [function, 0]
        entry[1] += 1
        return 1


@_RELEASE
def _release(number):
    with _lock:
        entry = _held.get(number)
        if entry is None:
            return
        entry[1] -= 1
        if entry[1] == 0:
            del _held[number]


@_CALL
def _call(number, inputs, num_inputs, outputs, num_outputs, error, error_size):
    try:
        function = _held[number][0]
        first = function.tokens
        given = _parts(function.inputs, inputs, num_inputs, first) if function.partitioned else function.inputs
        if not (_fits(inputs, num_inputs, given, first) and _fits(outputs, num_outputs, function.outputs, first)):
            _write(f"function {number} takes or gives other arrays than its program", error, error_size)
            return _WRONG_ARRAYS
        results = function(*(_read(inputs[first + i], *spec) for i, spec in enumerate(given)))
        for i, result in enumerate(results):
            result = np.ascontiguousarray(result)
            ctypes.memmove(outputs[first + i].data, result.ctypes.data, result.nbytes)
        return 0
    except BaseException:  # whatever it is, the host of this call is not Python
        _write(f"a Python callback failed: {traceback.format_exc()}", error, error_size)
        return _FUNCTION_FAILED


def _fits(arrays, count, specs, first):
    return count == first + len(specs) and all(
        arrays[first + i].bytes == math.prod(shape) * dtype.itemsize for i, (shape, dtype) in enumerate(specs))


def _parts(specs, arrays, count, first):
    """The shapes and types of what one device has of arrays like these."""
    if count != first + len(specs):
        return specs
    return [(tuple(arrays[first + i].dims[:len(shape)]) if arrays[first + i].num_dims == len(shape) else shape, dtype)
            for i, (shape, dtype) in enumerate(specs)]


def _read(array, shape, dtype):
    """A copy: functions may keep what they are given, and the program uses its memory again."""
    out = np.empty(shape, dtype)
    ctypes.memmove(out.ctypes.data, array.data, out.nbytes)
    out.flags.writeable = False
    return out


def _write(text, where, size):
    encoded = text.encode(errors="replace")
    if len(encoded) >= size:  # the end of a traceback says most
        encoded = b"..." + encoded[len(encoded) - size + 4:]
    ctypes.memmove(where, encoded + b"\0", len(encoded) + 1)


_offered = None


def _offer():
    """Tells the plugin, once, where to call."""
    global _offered
    with _lock:
        if _offered is not None:
            return
        library = ctypes.CDLL(os.path.join(megalith.libraries(), "libmegalith_pjrt.so"))
        library.MegalithSetHostCallbacks.restype = None
        library.MegalithSetHostCallbacks.argtypes = [ctypes.POINTER(_Callbacks)]
        _offered = library.MegalithSetHostCallbacks
        lock = [ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p)
                for name in ("PyGILState_Check", "PyEval_SaveThread", "PyEval_RestoreThread")]
        _offered(_Callbacks(ctypes.sizeof(_Callbacks), _hold, _release, _call, *lock))
        atexit.register(_withdraw)


def _withdraw():
    """What has been launched prints before Python ends; nothing calls it afterwards."""
    try:
        jax.effects_barrier()
    finally:
        _offered(None)


def _set_sharding(module_context, op, sharding):
    """As JAX's own, which takes the module's context from 0.10 on."""
    if "ctx" in inspect.signature(mlir.set_sharding).parameters:
        mlir.set_sharding(module_context, op, sharding)
    else:
        mlir.set_sharding(op, sharding)


def _number(ctx, function):
    """Keeps a function alive as long as what is lowered, keeps JAX from storing the program, and gives its number."""
    _offer()
    _alive[function.number] = function
    ctx.module_context.add_host_callback(function)
    return np.uint64(function.number)


def _inspect_sharding_rule(ctx, value, *, callback):
    """inspect_array_sharding: the plugin tells where the value lies while it compiles the program for several devices."""
    axes = ctx.module_context.axis_context
    mesh = mesh_lib.thread_resources.env.physical_mesh
    if isinstance(axes, sharding_impls.SPMDAxisContext):
        mesh, devices = axes.mesh, axes.mesh._flat_devices_tuple
    elif isinstance(axes, sharding_impls.ShardingContext):
        devices = axes.device_assignment
        if axes.abstract_mesh is not None:
            mesh = mesh_lib.Mesh(np.array(devices).reshape(axes.abstract_mesh.axis_sizes), axes.abstract_mesh.axis_names)
    else:
        raise NotImplementedError(type(axes))

    def tell(sharding):
        if mesh.empty:
            callback(sharding_impls.GSPMDSharding(devices, sharding))
        else:
            spec = P() if sharding.is_manual() else sharding_impls.parse_flatten_op_sharding(sharding, mesh)[0]
            callback(sharding_impls.NamedSharding(mesh, spec))

    if len(devices) == 1:
        tell(sharding_impls.replicated_hlo_sharding)
        return []

    def read(encoded):
        op_sharding = xla_client.OpSharding()
        op_sharding.ParseFromString(encoded.tobytes())
        tell(xla_client.HloSharding.from_proto(op_sharding))
        return []

    number = _number(ctx, _Function(next(_numbers), read, [core.ShapedArray((0,), np.uint8)], [], 0, True))
    lower = ffi.build_ffi_lowering_function(_INSPECT_TARGET, has_side_effect=True)
    lower(ctx.replace(avals_out=[]), value, id=number)
    return []


def _emit_python_callback(ctx, callback, token, operands, operand_avals, result_avals, *, has_side_effect, partitioned,
                          sharding):
    function = _Function(next(_numbers), callback, operand_avals, result_avals, 1 if token else 0, partitioned)
    number = _number(ctx, function)
    tokens = [core.abstract_token] if token else []
    ctx = ctx.replace(avals_in=[*tokens, *operand_avals], avals_out=[*tokens, *result_avals])
    lower = ffi.build_ffi_lowering_function(_TARGET, has_side_effect=has_side_effect)
    flags = {"partitioned": True} if partitioned else {}
    op = lower(ctx, *([token] if token else []), *operands, id=number, **flags)
    if sharding is not None:
        if token and result_avals and isinstance(sharding, SdyArrayList):  # one for every result
            sharding = SdyArrayList([SdyArray(mesh_shape=(), dim_shardings=[], logical_device_ids=()),
                                     *sharding.shardings])
        _set_sharding(ctx.module_context, op, sharding)
    results = list(op.results)
    return (results[1:], results[0], function) if token else (results, None, function)


def register(platform):
    """Gives `platform` rules for JAX's callbacks."""
    emit_elsewhere = jax_callback.emit_python_callback

    def emit_python_callback(ctx, callback, token, operands, operand_avals, result_avals, *, has_side_effect,
                             returns_token=True, partitioned=False, sharding=None):
        if tuple(ctx.module_context.platforms) != (platform,):
            return emit_elsewhere(ctx, callback, token, operands, operand_avals, result_avals,
                                  has_side_effect=has_side_effect, returns_token=returns_token,
                                  partitioned=partitioned, sharding=sharding)
        if partitioned and result_avals:
            raise ValueError("Partitioned callback not supported with return values.")
        return _emit_python_callback(ctx, callback, token, operands, operand_avals, result_avals,
                                     has_side_effect=has_side_effect, partitioned=partitioned, sharding=sharding)

    jax_callback.emit_python_callback = emit_python_callback
    mlir.register_lowering(debugging.debug_callback_p, debugging.debug_callback_lowering, platform=platform)
    mlir.register_lowering(debugging.debug_print_p, debugging.debug_print_lowering_rule, platform=platform)
    mlir.register_lowering(debugging.inspect_sharding_p, _inspect_sharding_rule, platform=platform)
    mlir.register_lowering(checkify.check_p, checkify.check_lowering_rule, platform=platform)
