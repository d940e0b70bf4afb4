#!/usr/bin/env python3
"""Writes the *.case files of this directory: StableHLO programs with inputs and the outputs XLA's CPU backend gives.

Needs JAX (0.9.2 wrote the files that are checked in). `python make_cases.py` rewrites all of them.

ops_*.case   one operation each, over element types, shapes and special values; the programs are spelled here.
jax_*.case   small JAX functions; the programs are what jax.jit(f).lower(...).as_text() prints for a platform JAX does not
             know, so that nothing platform-specific is in them.

Format: `== name` starts a case; `-- tolerance RTOL ATOL`, `-- program`, `-- input TYPE`, `-- output TYPE` start its
parts. Values follow in row-major order, separated by blanks; a complex number is `re,im`.
"""
import math
import os
import sys
import warnings

os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
warnings.filterwarnings("ignore")
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jax import lax
from jax._src.interpreters import mlir as jmlir
from jax._src.lib import xla_client
from jax._src.lib.mlir import ir
import jax._src.xla_bridge as xla_bridge

HERE = os.path.dirname(os.path.abspath(__file__))
MLIR = {"bool": "i1", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "ui8", "uint16": "ui16",
        "uint32": "ui32", "uint64": "ui64", "int4": "i4", "uint4": "ui4", "float16": "f16", "bfloat16": "bf16",
        "float32": "f32", "float64": "f64", "complex64": "complex<f32>", "complex128": "complex<f64>",
        "float8_e4m3fn": "f8E4M3FN", "float8_e5m2": "f8E5M2"}
SHORT = {v: k for k, v in {"bool": "bool", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64", "u8": "uint8",
                           "u16": "uint16", "u32": "uint32", "u64": "uint64", "i4": "int4", "u4": "uint4",
                           "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64",
                           "c64": "complex64", "c128": "complex128", "f8_e4m3fn": "float8_e4m3fn",
                           "f8_e5m2": "float8_e5m2"}.items()}
TOLERANCE = {"float64": (1e-11, 1e-12), "complex128": (1e-11, 1e-12), "float32": (2e-5, 2e-6),
             "complex64": (5e-5, 5e-6), "float16": (4e-3, 4e-3), "bfloat16": (2e-2, 2e-2),
             "float8_e4m3fn": (0.13, 0.13), "float8_e5m2": (0.26, 0.26)}


def dt(name):
    return np.dtype(getattr(ml_dtypes, name)) if not hasattr(np, name) else np.dtype(getattr(np, name))


def tt(a):
    """MLIR type of an array."""
    return "tensor<%s%s>" % ("".join("%dx" % d for d in a.shape), MLIR[a.dtype.name])


def run(text, args):
    backend = xla_bridge.get_backend("cpu")
    with jmlir.make_ir_context():
        code = jmlir.module_to_bytecode(ir.Module.parse(text))
    devices = xla_client.DeviceList(tuple(backend.local_devices()[:1]))
    executable = backend.compile_and_load(code, devices, xla_client.CompileOptions())
    buffers = [backend.buffer_from_pyval(np.asarray(a)) for a in args]
    results = executable.execute_sharded(buffers).disassemble_into_single_device_arrays()
    return [np.asarray(r[0]) for r in results]


def number(v, dtype):
    name = dtype.name
    if name == "bool":
        return "1" if v else "0"
    if dtype.kind in "iu" or name in ("int4", "uint4"):
        return str(int(v))
    if dtype.kind == "c":
        part = np.dtype("float32" if name == "complex64" else "float64")
        return number(v.real, part) + "," + number(v.imag, part)
    f = float(v)
    if math.isnan(f):
        return "-nan" if np.signbit(v) else "nan"
    if math.isinf(f):
        return "inf" if f > 0 else "-inf"
    if name == "float32":
        return np.format_float_positional(np.float32(v), trim="-") if 1e-4 < abs(f) < 1e7 or f == 0 else repr(
            np.float32(v)).split("(")[-1].rstrip(")")
    return repr(f)


def array(kind, a):
    values = " ".join(number(v, a.dtype) for v in a.ravel())
    return "-- %s %s[%s]\n%s\n" % (kind, SHORT[a.dtype.name], ",".join(map(str, a.shape)), values)


class Writer:
    def __init__(self, name):
        self.path = os.path.join(HERE, name + ".case")
        self.cases = []
        self.names = set()

    def add(self, name, text, args, scale=1, tolerance=None):
        if name in self.names:
            return
        self.names.add(name)
        args = [np.asarray(a) for a in args]
        try:
            outs = run(text, args)
        except Exception as e:  # XLA does not compile it: not a case
            print("skip", name, str(e).splitlines()[0][:120], file=sys.stderr)
            return
        loosest = (0.0, 0.0)
        for a in list(args) + outs:
            if any(o.dtype.kind in "fc" or o.dtype.name in TOLERANCE for o in outs):
                loosest = max(loosest, TOLERANCE.get(a.dtype.name, (0.0, 0.0)))
        rtol, atol = tolerance or (loosest[0] * scale, loosest[1] * scale)
        part = "== %s\n-- tolerance %g %g\n-- program\n%s\n" % (name, rtol, atol, text.rstrip("\n"))
        part += "".join(array("input", a) for a in args) + "".join(array("output", o) for o in outs)
        self.cases.append(part)

    def jax(self, name, f, *args, scale=5, tolerance=None):
        args = [np.asarray(a) for a in args]
        text = jax.jit(f, keep_unused=True).trace(*args).lower(lowering_platforms=("megalith",)).as_text()
        self.add(name, text, args, scale, tolerance)

    def close(self):
        with open(self.path, "w") as out:
            out.write("# from jax %s (XLA CPU), by conformance/cases/stablehlo/make_cases.py\n" % jax.__version__)
            out.write("\n".join(self.cases))
        print(os.path.basename(self.path), len(self.cases), os.path.getsize(self.path))


def main_of(body, args, results):
    """func @main around `body`, which names its arguments %0, %1, ... and its last values %r0, %r1, ..."""
    head = ", ".join("%%%d: %s" % (i, tt(a)) for i, a in enumerate(args))
    types = ", ".join(results)
    values = ", ".join("%%r%d" % i for i in range(len(results)))
    return "func.func public @main(%s) -> (%s) {\n%s\n  return %s : %s\n}" % (
        head, types, "\n".join("  " + line for line in body.strip().splitlines()), values, types)


INTS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float32", "float64", "bfloat16", "float16"]
COMPLEX = ["complex64", "complex128"]
SHAPES = [(), (0,), (1,), (3, 5), (37,)]
rng = np.random.default_rng(7)


def floats(name, shape, low=-3.0, high=3.0):
    if name.startswith("complex"):
        part = rng.uniform(low, high, shape) + 1j * rng.uniform(low, high, shape)
        return np.asarray(part).astype(dt(name))
    return np.asarray(rng.uniform(low, high, shape)).astype(dt(name))


def specials(name):
    big = {"float16": 3e4, "float8_e4m3fn": 300.0, "float8_e5m2": 3e4}.get(name, 1e30)
    small = {"float16": 1e-4, "float8_e4m3fn": 0.03, "float8_e5m2": 1e-4}.get(name, 1e-30)
    values = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 3.75, -7.25, small, -small, big, -big,
              math.inf, -math.inf, math.nan, 20.0, -20.0, 0.99, 1e-3]
    return np.array(values).astype(dt(name))


def ints(name, shape):
    info = ml_dtypes.iinfo(dt(name))
    return np.asarray(rng.integers(max(info.min, -100), min(info.max, 100), shape, endpoint=True)).astype(dt(name))


def int_specials(name):
    info = ml_dtypes.iinfo(dt(name))
    lo, hi = int(info.min), int(info.max)
    values = [0, 1, 2, 3, 5, 7, hi, hi - 1, lo, lo + 1] + ([-1, -2, -3, -7] if lo < 0 else [])
    return np.array([v for v in values if lo <= v <= hi]).astype(dt(name))


def pairs(values):
    """All pairs of the values (of a selection of them, if there are many), as two arrays."""
    if len(values) > 15 and values.dtype.kind != "c":
        values = values[[0, 1, 2, 3, 4, 6, 9, 10, 12, 14, 15, 16, 17, 18][:sum(i < len(values) for i in (
            0, 1, 2, 3, 4, 6, 9, 10, 12, 14, 15, 16, 17, 18))]]
    a, b = np.meshgrid(np.arange(len(values)), np.arange(len(values)), indexing="ij")
    return values[a.ravel()], values[b.ravel()]


def complex_specials(name):
    parts = [0.0, -0.0, 1.0, -1.5, math.inf, -math.inf, math.nan, 2.25]
    return np.array([complex(a, b) for a in parts for b in parts]).astype(dt(name))


def unary(w, op, x, result=None, label="", **kw):
    result = result or tt(x)
    sep = " -> " if op.startswith("chlo") else None
    sig = ("%s -> %s" % (tt(x), result)) if sep else ("%s" % result if result == tt(x) else "(%s) -> %s" % (tt(x), result))
    if op == "stablehlo.is_finite":
        sig = "(%s) -> %s" % (tt(x), result)
    w.add("%s %s%s" % (op.split(".")[1], SHORT[x.dtype.name], label),
          main_of("%%r0 = %s %%0 : %s" % (op, sig), [x], [result]), [x], **kw)


def binary(w, op, x, y, result=None, label="", **kw):
    result = result or tt(x)
    if op.startswith("chlo"):
        sig = "%s, %s -> %s" % (tt(x), tt(y), result)
    else:
        sig = result
    w.add("%s %s%s" % (op.split(".")[1], SHORT[x.dtype.name], label),
          main_of("%%r0 = %s %%0, %%1 : %s" % (op, sig), [x, y], [result]), [x, y], **kw)


def shape_label(shape):
    return " [%s]" % ",".join(map(str, shape))


def with_type(a, name):
    return tt(a).replace(MLIR[a.dtype.name], MLIR[name])


def ops_unary():
    w = Writer("ops_unary")
    real_only = ["ceil", "floor", "round_nearest_afz", "round_nearest_even"]
    inexact = ["abs", "cbrt", "cosine", "exponential", "exponential_minus_one", "log", "log_plus_one", "logistic",
               "negate", "rsqrt", "sign", "sine", "sqrt", "tan", "tanh"]
    for op in real_only + inexact:
        for name in FLOATS:
            x = specials(name)
            # Trigonometry of huge arguments is a matter of argument reduction, which XLA does in fewer digits.
            if op in ("cosine", "sine", "tan"):
                x = x[np.abs(np.where(np.isfinite(x.astype("f8")), x.astype("f8"), 0)) < 1e5]
            unary(w, "stablehlo." + op, x, label=" special")
        unary(w, "stablehlo." + op, floats("float32", (37,), 0.1 if op in ("log", "sqrt", "rsqrt") else -3), label=" [37]")
    for shape in SHAPES:
        unary(w, "stablehlo.tanh", floats("float32", shape), label=shape_label(shape))
        unary(w, "stablehlo.negate", floats("bfloat16", shape), label=shape_label(shape))
    for op in inexact:
        for name in COMPLEX:
            x = floats(name, (19,))
            result = tt(x) if op != "abs" else with_type(x, "float32" if name == "complex64" else "float64")
            unary(w, "stablehlo." + op, x, result, scale=4)
    for name in ["float8_e4m3fn", "float8_e5m2"]:
        for op in ["negate", "abs", "exponential", "floor", "sign"]:
            unary(w, "stablehlo." + op, specials(name))
    for name in FLOATS:
        unary(w, "stablehlo.is_finite", specials(name), with_type(specials(name), "bool"))
    for op in ["abs", "negate", "sign", "not", "popcnt", "count_leading_zeros"]:
        for name in INTS + ["int4", "uint4"]:
            if op in ("abs", "sign") and name.startswith("u"):
                continue
            if op == "popcnt" and name == "int4":  # XLA counts the bits of the byte that holds the number
                continue
            unary(w, "stablehlo." + op, int_specials(name))
    unary(w, "stablehlo.not", np.array([True, False, True]))
    for name in COMPLEX:
        x = complex_specials(name)
        part = "float32" if name == "complex64" else "float64"
        unary(w, "stablehlo.real", x, with_type(x, part))
        unary(w, "stablehlo.imag", x, with_type(x, part))
    for e, m in ((5, 10), (8, 7), (4, 3), (8, 23), (5, 2), (11, 52), (1, 0), (2, 5)):
        for name in ("float32", "float64", "bfloat16"):
            x = np.concatenate([specials(name), floats(name, (20,), -70000, 70000), floats(name, (20,), -1e-3, 1e-3)])
            w.add("reduce_precision %s e%dm%d" % (SHORT[name], e, m),
                  main_of("%%r0 = stablehlo.reduce_precision %%0, format = e%dm%d : %s" % (e, m, tt(x)), [x], [tt(x)]),
                  [x], tolerance=(0, 0))
    w.close()


def ops_binary():
    w = Writer("ops_binary")
    arithmetic = ["add", "subtract", "multiply", "divide", "maximum", "minimum", "remainder", "power"]
    for op in arithmetic + ["atan2"]:
        for name in FLOATS:
            v = specials(name)[:19]
            if op == "remainder":  # fmod of numbers that differ by many orders: XLA's is approximate
                v = v[(np.abs(v.astype("f8")) < 1e6) & ((np.abs(v.astype("f8")) > 1e-6) | (v.astype("f8") == 0)) |
                      ~np.isfinite(v.astype("f8"))]
            x, y = pairs(v)
            binary(w, "stablehlo." + op, x, y, label=" special")
        binary(w, "stablehlo." + op, floats("float32", (37,), 0.1), floats("float32", (37,), 0.1), label=" [37]")
    for shape in SHAPES:
        binary(w, "stablehlo.add", floats("float32", shape), floats("float32", shape), label=shape_label(shape))
        binary(w, "stablehlo.multiply", floats("float16", shape), floats("float16", shape), label=shape_label(shape))
    for op in arithmetic:
        for name in INTS:
            x, y = pairs(int_specials(name))
            if op == "power":
                keep = np.abs(y.astype("i8" if name != "uint64" else "f8")) < 70
                x, y = x[keep], y[keep]
            binary(w, "stablehlo." + op, x, y)
    for op in ["and", "or", "xor", "shift_left", "shift_right_logical", "shift_right_arithmetic"]:
        for name in INTS:
            v = int_specials(name)
            if op.startswith("shift"):
                v = np.unique(np.concatenate([v, np.array([1, 4, 7, 8, 15, 31, 32, 63, 64]).astype(dt(name))]))
            binary(w, "stablehlo." + op, *pairs(v))
    for op in ["add", "multiply", "maximum", "minimum", "and", "or", "xor"]:
        binary(w, "stablehlo." + op, *pairs(np.array([True, False])))
    for name in ["int4", "uint4"]:
        for op in ["add", "subtract", "multiply", "maximum", "minimum", "and", "or", "xor"]:
            binary(w, "stablehlo." + op, *pairs(int_specials(name)))
    for name in COMPLEX:
        for op in ["add", "subtract", "multiply", "divide", "power", "atan2"]:
            binary(w, "stablehlo." + op, floats(name, (23,)), floats(name, (23,)), scale=4)
    for name, c in (("float32", "complex64"), ("float64", "complex128")):
        x, y = floats(name, (5,)), floats(name, (5,))
        w.add("complex " + SHORT[name], main_of("%%r0 = stablehlo.complex %%0, %%1 : %s" % with_type(x, c), [x, y],
                                                [with_type(x, c)]), [x, y])
    compares = [(n, "FLOAT") for n in FLOATS] + [(n, "TOTALORDER") for n in FLOATS] + [
        (n, "UNSIGNED" if n[0] == "u" else "SIGNED") for n in INTS] + [(c, "FLOAT") for c in COMPLEX]
    for name, kind in compares:
        v = specials(name) if name in FLOATS else complex_specials(name)[:20] if name in COMPLEX else int_specials(name)
        x, y = pairs(v)
        for direction in ["EQ", "NE"] + ([] if name in COMPLEX else ["GE", "GT", "LE", "LT"]):
            if kind == "TOTALORDER" and direction not in ("LT", "GE", "EQ"):
                continue
            r = with_type(x, "bool")
            w.add("compare %s %s %s" % (direction, SHORT[name], kind), main_of(
                "%%r0 = stablehlo.compare %s, %%0, %%1, %s : (%s, %s) -> %s" % (direction, kind, tt(x), tt(y), r),
                [x, y], [r]), [x, y])
    for name in ["float32", "bfloat16", "int32", "complex64", "bool", "float64", "int8"]:
        for scalar in (False, True):
            p = np.array(True) if scalar else rng.integers(0, 2, (3, 5)).astype(bool)
            a, b = [(floats(name, (3, 5)) if name in FLOATS + COMPLEX else ints(name, (3, 5)) if name != "bool" else
                     rng.integers(0, 2, (3, 5)).astype(bool)) for _ in range(2)]
            w.add("select %s%s" % (SHORT[name], " scalar" if scalar else ""), main_of(
                "%%r0 = stablehlo.select %%0, %%1, %%2 : %s, %s" % (tt(p), tt(a)), [p, a, b], [tt(a)]), [p, a, b])
    for name in FLOATS + ["int32", "uint8"]:
        x = specials(name) if name in FLOATS else int_specials(name)
        lo, hi = np.array(1).astype(dt(name)), np.array(3).astype(dt(name))
        sig = "(%s, %s, %s) -> %s" % (tt(lo), tt(x), tt(hi), tt(x))
        w.add("clamp %s scalar" % SHORT[name],
              main_of("%%r0 = stablehlo.clamp %%0, %%1, %%2 : %s" % sig, [lo, x, hi], [tt(x)]), [lo, x, hi])
        full = [np.roll(x, 3), x, np.roll(x, 5)]
        w.add("clamp %s" % SHORT[name], main_of("%%r0 = stablehlo.clamp %%0, %%1, %%2 : %s" % tt(x), full, [tt(x)]), full)
    w.close()


def ops_convert():
    w = Writer("ops_convert")
    names = ["bool"] + INTS + FLOATS + COMPLEX + ["float8_e4m3fn", "float8_e5m2", "int4", "uint4"]
    for a in names:
        if a == "bool":
            x = np.array([True, False])
        elif a in INTS + ["int4", "uint4"]:
            x = int_specials(a)
        elif a in COMPLEX:
            x = floats(a, (7,), -300, 300)
        else:
            x = np.concatenate([specials(a), floats(a, (15,), -300, 300)])
        for b in names:
            if a == b or (a in COMPLEX and b not in COMPLEX):
                continue
            r = with_type(x, b)
            w.add("convert %s to %s" % (SHORT[a], SHORT[b]),
                  main_of("%%r0 = stablehlo.convert %%0 : (%s) -> %s" % (tt(x), r), [x], [r]), [x],
                  tolerance=(0, 0))
    for a, b in (("float32", "int32"), ("uint32", "float32"), ("int64", "float64"), ("bfloat16", "uint16"),
                 ("int8", "uint8")):
        x = np.arange(6).reshape(2, 3).astype(dt(a))
        r = with_type(x, b)
        w.add("bitcast_convert %s to %s" % (SHORT[a], SHORT[b]), main_of(
            "%%r0 = stablehlo.bitcast_convert %%0 : (%s) -> %s" % (tt(x), r), [x], [r]), [x], tolerance=(0, 0))
    for a, sa, b, sb in (("uint32", (3, 2), "uint64", (3,)), ("uint64", (3,), "uint32", (3, 2)),
                         ("float32", (2,), "uint8", (2, 4)), ("uint8", (2, 4), "float32", (2,))):
        x = rng.integers(0, 100, sa).astype(dt(a))
        r = "tensor<%s%s>" % ("".join("%dx" % d for d in sb), MLIR[b])
        w.add("bitcast_convert %s%s" % (SHORT[a], shape_label(sa)), main_of(
            "%%r0 = stablehlo.bitcast_convert %%0 : (%s) -> %s" % (tt(x), r), [x], [r]), [x], tolerance=(0, 0))
    w.close()


def ops_chlo():
    w = Writer("ops_chlo")
    domains = {"acos": (-1, 1), "acosh": (1, 50), "asin": (-1, 1), "asinh": (-50, 50), "atan": (-5, 5),
               "atanh": (-0.99, 0.99), "bessel_i1e": (-40, 40), "cosh": (-5, 5), "digamma": (-4.9, 20),
               "erf": (-4, 4), "erf_inv": (-0.999, 0.999), "erfc": (-4, 9), "lgamma": (-4.9, 40), "sinh": (-5, 5),
               "square": (-5, 5), "tan": (-1.5, 1.5)}
    for op, (low, high) in domains.items():
        for name in FLOATS:
            unary(w, "chlo." + op, floats(name, (29,), low, high), scale=5)
        for name in ("float32", "float64"):
            v = specials(name)
            if op in ("tan",):
                v = v[np.abs(np.nan_to_num(v, posinf=0, neginf=0)) < 1e5]
            unary(w, "chlo." + op, v, label=" special", scale=5)
    for op in ["acos", "acosh", "asin", "asinh", "atanh", "cosh", "sinh", "square", "tan", "conj"]:
        for name in COMPLEX:
            unary(w, "chlo." + op, floats(name, (17,)), scale=10)
    unary(w, "chlo.erf_inv", np.array([0.0, 1e-12, 1e-5, 0.1, 0.5, 0.9, 0.999, 0.9999999, 1 - 1e-15, -1 + 1e-10, 1.0, -1.0]),
          label=" tails", scale=5)
    for op in ["is_inf", "is_pos_inf", "is_neg_inf"]:
        for name in FLOATS:
            unary(w, "chlo." + op, specials(name), with_type(specials(name), "bool"))
    for name in ("float32", "float64", "bfloat16", "float16"):
        x, y = pairs(specials(name)[:19])
        binary(w, "chlo.next_after", x, y, tolerance=(0, 0))
    for name in ("float32", "float64"):
        binary(w, "chlo.zeta", floats(name, (29,), 1.1, 20), floats(name, (29,), 0.1, 20), scale=5)
        binary(w, "chlo.polygamma", np.arange(12).astype(dt(name)), floats(name, (12,), 0.5, 20), scale=5)
        s, q = np.meshgrid([0.5, 1.0, 2.0, 3.0, 2.5], [0.0, -1.0, -0.5, 1.0, 0.5])
        binary(w, "chlo.zeta", s.ravel().astype(dt(name)), q.ravel().astype(dt(name)), label=" special", scale=5)
        n, x = np.meshgrid([0.0, 1.0, 2.0, 0.5, -1.0], [0.0, -1.0, -0.5, 1.0, 2.5])
        binary(w, "chlo.polygamma", n.ravel().astype(dt(name)), x.ravel().astype(dt(name)), label=" special", scale=5)
    for name in ["float32", "bfloat16", "int32", "uint8", "float64"]:
        x = floats(name, (3, 7)) if name in FLOATS else ints(name, (3, 7))
        if name == "float32":
            x[0, :4] = [np.nan, -np.nan, np.inf, -0.0]
            x[1, :4] = [0.0, -0.0, 0.0, 1.0]
        v, i = with_type(x[:, :4], name), with_type(x[:, :4], "int32")
        w.add("top_k " + SHORT[name], main_of("%%r0, %%r1 = chlo.top_k(%%0, k = 4) : %s -> (%s, %s)" % (tt(x), v, i),
                                              [x], [v, i]), [x], tolerance=(0, 0))
    w.close()


def ops_linalg():
    w = Writer("ops_linalg")
    dots = [((3, 4), (4, 5), "[]", "[]", "[1]", "[0]", "3x5"), ((4, 3), (5, 4), "[]", "[]", "[0]", "[1]", "3x5"),
            ((2, 3, 4), (2, 4, 5), "[0]", "[0]", "[2]", "[1]", "2x3x5"), ((3,), (3,), "[]", "[]", "[0]", "[0]", ""),
            ((2, 3), (3, 2), "[]", "[]", "[0, 1]", "[1, 0]", ""), ((2, 3), (4,), "[]", "[]", "[]", "[]", "2x3x4"),
            ((0, 4), (4, 5), "[]", "[]", "[1]", "[0]", "0x5"), ((3, 0), (0, 5), "[]", "[]", "[1]", "[0]", "3x5"),
            ((9, 70), (70, 19), "[]", "[]", "[1]", "[0]", "9x19"), ((5, 2, 3), (3, 5, 4), "[0]", "[1]", "[2]", "[0]", "5x2x4")]
    for k, (sa, sb, ba, bb, ca, cb, out) in enumerate(dots):
        for name in ["float32", "float64", "int32", "complex64", "bfloat16"] if k < 5 else ["float32", "float64"] if k == 8 else ["float32"]:
            x, y = [(floats(name, s) if name in FLOATS + COMPLEX else ints(name, s)) for s in (sa, sb)]
            r = "tensor<%s%s>" % (out + "x" if out else "", MLIR[name])
            batch = "batching_dims = %s x %s, " % (ba, bb) if ba != "[]" else ""
            w.add("dot_general %d %s" % (k, SHORT[name]), main_of(
                "%%r0 = stablehlo.dot_general %%0, %%1, %scontracting_dims = %s x %s : (%s, %s) -> %s" %
                (batch, ca, cb, tt(x), tt(y), r), [x, y], [r]), [x, y], scale=5)
    for a, b, c in [("bfloat16", "bfloat16", "float32"), ("int8", "int8", "int32"), ("float32", "float32", "float64"),
                    ("uint8", "uint8", "uint8"), ("int64", "int64", "int64"), ("float16", "float16", "float32")]:
        x, y = [(floats(n, s) if n in FLOATS else ints(n, s)) for n, s in ((a, (4, 6)), (b, (6, 3)))]
        r = "tensor<4x3x%s>" % MLIR[c]
        w.add("dot_general %s to %s" % (SHORT[a], SHORT[c]), main_of(
            "%%r0 = stablehlo.dot_general %%0, %%1, contracting_dims = [1] x [0] : (%s, %s) -> %s" % (tt(x), tt(y), r),
            [x, y], [r]), [x, y], scale=5)
    conv = [  # lhs, rhs, dim_numbers, window, feature groups, batch groups, result
        ((2, 9, 3), (3, 3, 4), "[b, 0, f]x[0, i, o]->[b, 0, f]", "stride = [2], pad = [[1, 0]]", 1, 1, "2x4x4"),
        ((1, 3, 8, 8), (4, 3, 3, 3), "[b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1]", "stride = [1, 2], pad = [[1, 1], [0, 1]]", 1, 1, "1x4x8x4"),
        ((2, 6, 5, 4), (3, 2, 1, 8), "[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]", "lhs_dilate = [2, 1], rhs_dilate = [1, 2]", 4, 1, "2x9x3x8"),
        ((4, 5, 3), (2, 3, 6), "[b, 0, f]x[0, i, o]->[b, 0, f]", "pad = [[1, 1]]", 1, 2, "2x6x6"),
        ((1, 7, 2), (3, 2, 2), "[b, 0, f]x[0, i, o]->[b, 0, f]", "reverse = [true]", 1, 1, "1x5x2"),
        ((1, 4, 5, 6, 2), (2, 2, 2, 2, 3), "[b, 0, 1, 2, f]x[0, 1, 2, i, o]->[b, 0, 1, 2, f]", "stride = [1, 2, 1]", 1, 1, "1x3x2x5x3"),
        ((2, 3), (3, 4), "[b, f]x[i, o]->[b, f]", "", 1, 1, "2x4"),
        ((1, 7, 2), (3, 2, 2), "[b, 0, f]x[0, i, o]->[0, b, f]", "pad = [[-1, 2]]", 1, 1, "6x1x2")]
    for k, (sa, sb, dn, window, fg, bg, out) in enumerate(conv):
        for name in ["float32", "complex64", "int32", "bfloat16", "float64"] if k in (0, 2) else ["float32"]:
            x, y = [(floats(name, s) if name in FLOATS + COMPLEX else ints(name, s)) for s in (sa, sb)]
            r = "tensor<%sx%s>" % (out, MLIR[name])
            w.add("convolution %d %s" % (k, SHORT[name]), main_of(
                "%%r0 = stablehlo.convolution(%%0, %%1) dim_numbers = %s, window = {%s} "
                "{batch_group_count = %d : i64, feature_group_count = %d : i64} : (%s, %s) -> %s" %
                (dn, window, bg, fg, tt(x), tt(y), r), [x, y], [r]), [x, y], scale=5)
    for name in COMPLEX:
        for n in (1, 2, 8, 15, 7, 32, 12):
            x = floats(name, (2, n))
            for kind in ("FFT", "IFFT"):
                w.add("fft %s %s %d" % (kind, SHORT[name], n), main_of(
                    "%%r0 = stablehlo.fft %%0, type = %s, length = [%d] : (%s) -> %s" % (kind, n, tt(x), tt(x)), [x],
                    [tt(x)]), [x], scale=5)
            real = "float32" if name == "complex64" else "float64"
            y = floats(real, (2, n))
            r = "tensor<2x%dx%s>" % (n // 2 + 1, MLIR[name])
            w.add("fft RFFT %s %d" % (SHORT[real], n), main_of(
                "%%r0 = stablehlo.fft %%0, type = RFFT, length = [%d] : (%s) -> %s" % (n, tt(y), r), [y], [r]), [y],
                scale=5)
            z = floats(name, (2, n // 2 + 1))
            r = "tensor<2x%dx%s>" % (n, MLIR[real])
            w.add("fft IRFFT %s %d" % (SHORT[name], n), main_of(
                "%%r0 = stablehlo.fft %%0, type = IRFFT, length = [%d] : (%s) -> %s" % (n, tt(z), r), [z], [r]), [z],
                scale=5)
        x = floats(name, (2, 3, 4))
        w.add("fft FFT 2d " + SHORT[name], main_of(
            "%%r0 = stablehlo.fft %%0, type = FFT, length = [3, 4] : (%s) -> %s" % (tt(x), tt(x)), [x], [tt(x)]), [x],
            scale=5)
        z = floats(name, (4, 3, 4))
        real = "float32" if name == "complex64" else "float64"
        r = "tensor<4x3x6x%s>" % MLIR[real]
        w.add("fft IRFFT 3d " + SHORT[name], main_of(
            "%%r0 = stablehlo.fft %%0, type = IRFFT, length = [4, 3, 6] : (%s) -> %s" % (tt(z), r), [z], [r]), [z],
            scale=5)
    for name in ["float32", "float64", "complex64"]:
        a = floats(name, (2, 4, 4))
        spd = (a @ np.conj(np.swapaxes(a, -1, -2)) + 4 * np.eye(4)).astype(dt(name))
        for lower in ("true", "false"):  # one triangle is unspecified: keep the other
            keep = np.tril(np.ones((4, 4))) if lower == "true" else np.triu(np.ones((4, 4)))
            mask = np.broadcast_to(keep, (2, 4, 4)).astype(dt(name))
            w.add("cholesky %s %s" % (SHORT[name], lower), main_of(
                "%%2 = stablehlo.cholesky %%0, lower = %s : %s\n%%r0 = stablehlo.multiply %%2, %%1 : %s" %
                (lower, tt(spd), tt(spd)), [spd, mask], [tt(spd)]), [spd, mask], scale=100)
        t = floats(name, (2, 4, 4)) + 3 * np.eye(4).astype(dt(name))
        for left in (True, False):
            b = floats(name, (2, 4, 3) if left else (2, 3, 4))
            for lower in ("true", "false"):
                for trans in ("NO_TRANSPOSE", "TRANSPOSE", "ADJOINT"):
                    for unit in ("true", "false"):
                        w.add("triangular_solve %s %s %s %s %s" % (SHORT[name], left, lower, trans, unit), main_of(
                            '%%r0 = "stablehlo.triangular_solve"(%%0, %%1) <{left_side = %s, lower = %s, transpose_a = '
                            '#stablehlo<transpose %s>, unit_diagonal = %s}> : (%s, %s) -> %s' %
                            (str(left).lower(), lower, trans, unit, tt(t), tt(b), tt(b)), [t, b], [tt(b)]), [t, b],
                            scale=100)
    w.close()


def shaped(w, name, form, args, results, **kw):
    """`form` with {0}, {1}.. replaced by the types of the arguments and {r} by the result's."""
    text = form
    for i, a in enumerate(args):
        text = text.replace("{%d}" % i, tt(a))
    text = text.replace("{r}", results[0])
    w.add(name, main_of("%r0 = " + text, args, results), args, **kw)


def t(shape, name):
    return "tensor<%s%s>" % ("".join("%dx" % d for d in shape), MLIR[name])


def ops_shape():
    w = Writer("ops_shape")
    for name in ["float32", "int8", "complex128", "bfloat16", "bool", "int64"]:
        x = (rng.integers(0, 2, (2, 3, 4)) if name == "bool" else np.arange(24).reshape(2, 3, 4)).astype(dt(name))
        s = SHORT[name]
        shaped(w, "transpose " + s, "stablehlo.transpose %0, dims = [2, 0, 1] : ({0}) -> {r}", [x], [t((4, 2, 3), name)])
        shaped(w, "reverse " + s, "stablehlo.reverse %0, dims = [0, 2] : {0}", [x], [tt(x)])
        shaped(w, "slice " + s, "stablehlo.slice %0 [0:2, 1:3, 0:4:3] : ({0}) -> {r}", [x], [t((2, 2, 2), name)])
        shaped(w, "broadcast_in_dim " + s, "stablehlo.broadcast_in_dim %0, dims = [0, 3, 1] : ({0}) -> {r}",
               [x[:, :1]], [t((2, 4, 5, 1), name)])
        shaped(w, "concatenate " + s, "stablehlo.concatenate %0, %1, %0, dim = 1 : ({0}, {1}, {0}) -> {r}",
               [x, x[:, :2]], [t((2, 8, 4), name)])
        shaped(w, "reshape " + s, "stablehlo.reshape %0 : ({0}) -> {r}", [x], [t((4, 6), name)])
        pad = np.array(1).astype(dt(name))
        shaped(w, "pad " + s, "stablehlo.pad %0, %1, low = [1, -1, 0], high = [0, 2, -2], interior = [0, 1, 2] : ({0}, {1}) -> {r}",
               [x, pad], [t((3, 6, 8), name)])
        for k, (i, j, l) in enumerate([(0, 0, 0), (1, 1, 1), (-5, 9, 100), (1, 2, 2)]):
            idx = [np.array(v, np.int32) for v in (i, j, l)]
            shaped(w, "dynamic_slice %s %d" % (s, k), "stablehlo.dynamic_slice %0, %1, %2, %3, sizes = [1, 2, 3] : "
                   "({0}, {1}, {2}, {3}) -> {r}", [x] + idx, [t((1, 2, 3), name)])
            u = (x[:1, :2, :3] + 50).astype(dt(name)) if name != "bool" else ~x[:1, :2, :3]
            shaped(w, "dynamic_update_slice %s %d" % (s, k), "stablehlo.dynamic_update_slice %0, %1, %2, %3, %4 : "
                   "({0}, {1}, {2}, {3}, {4}) -> {r}", [x, u] + idx, [tt(x)])
    for name in INTS + FLOATS + COMPLEX:
        for dim in (0, 1):
            r = t((3, 5), name)
            w.add("iota %s %d" % (SHORT[name], dim), main_of("%%r0 = stablehlo.iota dim = %d : %s" % (dim, r), [], [r]), [])
    big = np.arange(37 * 23, dtype=np.float32).reshape(37, 23)
    shaped(w, "transpose large", "stablehlo.transpose %0, dims = [1, 0] : ({0}) -> {r}", [big], [t((23, 37), "float32")])
    empty = np.zeros((0, 3), np.float32)
    shaped(w, "transpose empty", "stablehlo.transpose %0, dims = [1, 0] : ({0}) -> {r}", [empty], [t((3, 0), "float32")])
    shaped(w, "slice empty", "stablehlo.slice %0 [1:1, 2:23:7] : ({0}) -> {r}", [big], [t((0, 3), "float32")])
    one = np.array(2.5, np.float32)
    shaped(w, "pad empty", "stablehlo.pad %0, %1, low = [2, 0], high = [1, 1], interior = [3, 0] : ({0}, {1}) -> {r}",
           [empty, one], [t((3, 4), "float32")])
    shaped(w, "pad cut away", "stablehlo.pad %0, %1, low = [-37, 0], high = [4, -22], interior = [0, 0] : ({0}, {1}) -> {r}",
           [big, one], [t((4, 1), "float32")])
    shaped(w, "concatenate empty", "stablehlo.concatenate %0, %1, dim = 0 : ({0}, {1}) -> {r}",
           [empty, np.ones((2, 3), np.float32)], [t((2, 3), "float32")])
    shaped(w, "get_dimension_size", "stablehlo.get_dimension_size %0, dim = 1 : ({0}) -> {r}", [big], ["tensor<i32>"])
    u64 = np.array(2**63 + 5, np.uint64)
    shaped(w, "dynamic_slice unsigned start", "stablehlo.dynamic_slice %0, %1, %1, sizes = [2, 2] : ({0}, {1}, {1}) -> {r}",
           [big, u64], [t((2, 2), "float32")])
    w.close()


REDUCERS = {"add": 0, "multiply": 1, "maximum": "lo", "minimum": "hi", "and": "ones", "or": 0}


def init_of(op, name):
    v = REDUCERS[op]
    if name == "bool":
        return np.array(op in ("and", "minimum", "multiply"))
    if name in FLOATS:
        v = {"lo": -np.inf, "hi": np.inf}.get(v, v)
    else:
        info = np.iinfo(name)
        v = {"lo": info.min, "hi": info.max, "ones": -1 if name[0] == "i" else info.max}.get(v, v)
    return np.array(v).astype(dt(name))


def values_for(name, shape):
    if name == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    return floats(name, shape) if name in FLOATS + COMPLEX else ints(name, shape)


def ops_reduction():
    w = Writer("ops_reduction")
    for op in REDUCERS:
        for name in ["float32", "float64", "bfloat16", "int32", "uint8", "bool", "int64"]:
            if op in ("and", "or") and name in FLOATS:
                continue
            x = values_for(name, (3, 5, 4))
            init = init_of(op, name)
            for dims, out in (("[0]", (5, 4)), ("[2]", (3, 5)), ("[0, 2]", (5,)), ("[0, 1, 2]", ()), ("[]", (3, 5, 4))):
                if name != "float32" and dims not in ("[2]", "[0, 1, 2]"):
                    continue
                shaped(w, "reduce %s %s %s" % (op, SHORT[name], dims),
                       "stablehlo.reduce(%%0 init: %%1) applies stablehlo.%s across dimensions = %s : ({0}, {1}) -> {r}" %
                       (op, dims), [x, init], [t(out, name)], scale=5)
    for n in (31, 32, 33, 257, 1000):
        x = floats("float32", (3, n))
        shaped(w, "reduce rows of %d" % n, "stablehlo.reduce(%0 init: %1) applies stablehlo.add across dimensions = [1] : "
               "({0}, {1}) -> {r}", [x, np.float32(0)], ["tensor<3xf32>"], scale=5)
    shaped(w, "reduce initial value", "stablehlo.reduce(%0 init: %1) applies stablehlo.add across dimensions = [0] : "
           "({0}, {1}) -> {r}", [floats("float32", (4, 3)), np.float32(10)], ["tensor<3xf32>"], scale=5)
    shaped(w, "reduce nothing", "stablehlo.reduce(%0 init: %1) applies stablehlo.add across dimensions = [0] : "
           "({0}, {1}) -> {r}", [floats("float32", (0, 3)), np.float32(10)], ["tensor<3xf32>"])
    nan = specials("float32")
    for op in ("maximum", "minimum"):
        shaped(w, "reduce %s of special values" % op, "stablehlo.reduce(%%0 init: %%1) applies stablehlo.%s across dimensions = [0] : "
               "({0}, {1}) -> {r}" % op, [nan, init_of(op, "float32")], ["tensor<f32>"])
    x, i = floats("float32", (4, 50)), np.broadcast_to(np.arange(50, dtype=np.int32), (4, 50))
    x[1, 7] = x[1, 33] = 9
    x[2, 5] = np.nan
    w.add("reduce two operands (argmax)", """func.func public @main(%%0: %s, %%1: %s) -> (tensor<4xf32>, tensor<4xi32>) {
  %%c = stablehlo.constant dense<0xFF800000> : tensor<f32>
  %%z = stablehlo.constant dense<0> : tensor<i32>
  %%r:2 = stablehlo.reduce(%%0 init: %%c), (%%1 init: %%z) across dimensions = [1] : (%s, %s, tensor<f32>, tensor<i32>) -> (tensor<4xf32>, tensor<4xi32>)
   reducer(%%a: tensor<f32>, %%c1: tensor<f32>) (%%b: tensor<i32>, %%d: tensor<i32>)  {
    %%2 = stablehlo.compare GT, %%a, %%c1, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %%3 = stablehlo.compare NE, %%a, %%a, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %%4 = stablehlo.or %%2, %%3 : tensor<i1>
    %%5 = stablehlo.compare EQ, %%a, %%c1, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
    %%6 = stablehlo.compare LT, %%b, %%d, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    %%7 = stablehlo.and %%5, %%6 : tensor<i1>
    %%8 = stablehlo.or %%4, %%7 : tensor<i1>
    %%9 = stablehlo.select %%4, %%a, %%c1 : tensor<i1>, tensor<f32>
    %%10 = stablehlo.select %%8, %%b, %%d : tensor<i1>, tensor<i32>
    stablehlo.return %%9, %%10 : tensor<f32>, tensor<i32>
  }
  return %%r#0, %%r#1 : tensor<4xf32>, tensor<4xi32>
}""" % (tt(x), tt(i), tt(x), tt(i)), [x, i])
    windows = [  # shape, attributes, result
        ((4, 6), "window_dimensions = array<i64: 2, 3>", (3, 4)),
        ((4, 6), "padding = dense<[[1, 0], [1, 1]]> : tensor<2x2xi64>, window_dimensions = array<i64: 2, 3>, window_strides = array<i64: 2, 2>", (2, 3)),
        ((4, 6), "base_dilations = array<i64: 1, 2>, window_dilations = array<i64: 2, 1>, window_dimensions = array<i64: 2, 3>", (2, 9)),
        ((4, 6), "padding = dense<[[3, 0], [0, 0]]> : tensor<2x2xi64>, window_dimensions = array<i64: 4, 1>", (4, 6)),
        ((4, 6), "padding = dense<[[0, 0], [0, 5]]> : tensor<2x2xi64>, window_dimensions = array<i64: 1, 6>", (4, 6)),
        ((4, 6), "padding = dense<[[0, 0], [5, 0]]> : tensor<2x2xi64>, window_dimensions = array<i64: 1, 6>", (4, 6)),
        ((40,), "padding = dense<[[-1, 2]]> : tensor<1x2xi64>, window_dimensions = array<i64: 5>, window_strides = array<i64: 3>", (13,)),
        ((2, 5, 5, 3), "window_dimensions = array<i64: 1, 2, 2, 1>, window_strides = array<i64: 1, 2, 2, 1>", (2, 2, 2, 3))]
    for k, (shape, attrs, out) in enumerate(windows):
        for op in ("add", "maximum", "multiply"):
            for name in ["float32", "int32", "bfloat16"] if k in (1, 3) else ["float32"]:
                x = values_for(name, shape)
                s = "tensor<%s>" % MLIR[name]
                w.add("reduce_window %d %s %s" % (k, op, SHORT[name]), """func.func public @main(%%0: %s, %%1: %s) -> %s {
  %%2 = "stablehlo.reduce_window"(%%0, %%1) <{%s}> ({
  ^bb0(%%a: %s, %%b: %s):
    %%3 = stablehlo.%s %%a, %%b : %s
    stablehlo.return %%3 : %s
  }) : (%s, %s) -> %s
  return %%2 : %s
}""" % (tt(x), s, t(out, name), attrs, s, s, op, s, s, tt(x), s, t(out, name), t(out, name)),
                      [x, init_of(op, name)], scale=5)
    for k, (shape, attrs, out) in enumerate([
            ((4, 6), "window_dimensions = array<i64: 2, 3>, window_strides = array<i64: 2, 3>", (2, 2)),
            ((4, 6), "window_dimensions = array<i64: 2, 3>", (3, 4)),
            ((4, 6), "padding = dense<[[0, 1], [1, 1]]> : tensor<2x2xi64>, window_dimensions = array<i64: 2, 2>, window_strides = array<i64: 2, 1>", (2, 7))]):
        for name in ("float32", "int32"):
            x, source = values_for(name, shape), values_for(name, out)
            s = "tensor<%s>" % MLIR[name]
            w.add("select_and_scatter %d %s" % (k, SHORT[name]), """func.func public @main(%%0: %s, %%1: %s, %%2: %s) -> %s {
  %%3 = "stablehlo.select_and_scatter"(%%0, %%1, %%2) <{%s}> ({
  ^bb0(%%a: %s, %%b: %s):
    %%4 = stablehlo.compare GE, %%a, %%b : (%s, %s) -> tensor<i1>
    stablehlo.return %%4 : tensor<i1>
  }, {
  ^bb0(%%a: %s, %%b: %s):
    %%4 = stablehlo.add %%a, %%b : %s
    stablehlo.return %%4 : %s
  }) : (%s, %s, %s) -> %s
  return %%3 : %s
}""" % (tt(x), tt(source), s, tt(x), attrs, s, s, s, s, s, s, s, s, tt(x), tt(source), s, tt(x), tt(x)),
                  [x, source, np.array(0).astype(dt(name))], scale=5)
    for name in ["float32", "float64", "bfloat16", "int32", "uint8"]:
        x = specials(name) if name in FLOATS else ints(name, (40,))
        kind = "TOTALORDER" if name in FLOATS else "UNSIGNED" if name[0] == "u" else "SIGNED"
        i = np.arange(len(x), dtype=np.int32)
        for d in ("LT", "GT"):
            s = "tensor<%s>" % MLIR[name]
            w.add("sort %s %s" % (SHORT[name], d), """func.func public @main(%%0: %s, %%1: %s) -> (%s, %s) {
  %%2:2 = "stablehlo.sort"(%%0, %%1) <{dimension = 0 : i64, is_stable = true}> ({
  ^bb0(%%a: %s, %%b: %s, %%c: tensor<i32>, %%d: tensor<i32>):
    %%3 = stablehlo.compare %s, %%a, %%b, %s : (%s, %s) -> tensor<i1>
    stablehlo.return %%3 : tensor<i1>
  }) : (%s, %s) -> (%s, %s)
  return %%2#0, %%2#1 : %s, %s
}""" % (tt(x), tt(i), tt(x), tt(i), s, s, d, kind, s, s, tt(x), tt(i), tt(x), tt(i), tt(x), tt(i)), [x, i])
    w.close()


def ops_control():
    w = Writer("ops_control")
    w.add("while", """func.func public @main(%n: tensor<i32>, %x: tensor<3xf32>) -> (tensor<i32>, tensor<3xf32>) {
  %c = stablehlo.constant dense<0> : tensor<i32>
  %0:2 = stablehlo.while(%i = %c, %v = %x) : tensor<i32>, tensor<3xf32>
  cond {
    %1 = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
    stablehlo.return %1 : tensor<i1>
  } do {
    %one = stablehlo.constant dense<1> : tensor<i32>
    %1 = stablehlo.add %i, %one : tensor<i32>
    %2 = stablehlo.add %v, %x : tensor<3xf32>
    stablehlo.return %1, %2 : tensor<i32>, tensor<3xf32>
  }
  return %0#0, %0#1 : tensor<i32>, tensor<3xf32>
}""", [np.int32(5), floats("float32", (3,))])
    case = """func.func public @main(%i: tensor<i32>, %x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "stablehlo.case"(%i) ({
    %1 = stablehlo.negate %x : tensor<3xf32>
    stablehlo.return %1 : tensor<3xf32>
  }, {
    %1 = stablehlo.add %x, %x : tensor<3xf32>
    stablehlo.return %1 : tensor<3xf32>
  }, {
    stablehlo.return %x : tensor<3xf32>
  }) : (tensor<i32>) -> tensor<3xf32>
  return %0 : tensor<3xf32>
}"""
    for i in (0, 1, 2, 7, -1):
        w.add("case %d" % i, case, [np.int32(i), floats("float32", (3,))])
    for p in (True, False):
        w.add("if %s" % p, """func.func public @main(%p: tensor<i1>, %x: tensor<3xf32>) -> (tensor<3xf32>, tensor<f32>) {
  %z = stablehlo.constant dense<0.0> : tensor<f32>
  %0:2 = "stablehlo.if"(%p) ({
    %1 = stablehlo.negate %x : tensor<3xf32>
    stablehlo.return %1, %z : tensor<3xf32>, tensor<f32>
  }, {
    %1 = stablehlo.reduce(%x init: %z) applies stablehlo.add across dimensions = [0] : (tensor<3xf32>, tensor<f32>) -> tensor<f32>
    stablehlo.return %x, %1 : tensor<3xf32>, tensor<f32>
  }) : (tensor<i1>) -> (tensor<3xf32>, tensor<f32>)
  return %0#0, %0#1 : tensor<3xf32>, tensor<f32>
}""", [np.array(p), floats("float32", (3,))])
    w.add("call and barrier", """module {
  func.func public @main(%x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
    %0 = call @twice(%x) : (tensor<3xf32>) -> tensor<3xf32>
    %1:2 = stablehlo.optimization_barrier %0, %x : tensor<3xf32>, tensor<3xf32>
    %2 = stablehlo.custom_call @Sharding(%1#0) : (tensor<3xf32>) -> tensor<3xf32>
    %3 = func.call @twice(%1#1) : (tensor<3xf32>) -> tensor<3xf32>
    return %2, %3 : tensor<3xf32>, tensor<3xf32>
  }
  func.func private @twice(%x: tensor<3xf32>) -> tensor<3xf32> {
    %0 = stablehlo.add %x, %x : tensor<3xf32>
    return %0 : tensor<3xf32>
  }
}""", [floats("float32", (3,))])
    for alg, n in (("THREE_FRY", 2), ("PHILOX", 2), ("PHILOX", 3), ("DEFAULT", 2), ("DEFAULT", 3)):
        for name in ("uint32", "uint64", "uint8", "uint16"):
            for shape in ((), (5,), (3, 3), (2, 3), (3, 4), (5, 7), (7, 5, 3), (3, 2, 5)):
                if name != "uint32" and shape not in ((5,), (3, 3)):
                    continue
                state = np.array([0x123456789abcdef0, 0xfffffffffffffffe, 7][:n], np.uint64)
                r = t(shape, name)
                w.add("rng_bit_generator %s %d %s%s" % (alg, n, SHORT[name], shape_label(shape)), main_of(
                    "%%r0, %%r1 = stablehlo.rng_bit_generator %%0, algorithm = %s : (%s) -> (%s, %s)" %
                    (alg, tt(state), tt(state), r), [state], [tt(state), r]), [state])
    for name in ("partition_id", "replica_id"):
        w.add(name, main_of("%%r0 = stablehlo.%s : tensor<ui32>" % name, [], ["tensor<ui32>"]), [])
    w.close()


def jax_index():
    w = Writer("jax_index")
    x = floats("float32", (5, 4))
    i = np.array([0, 3, -1, 9, 2], np.int32)
    w.jax("take clip", lambda x, i: jnp.take(x, i, axis=0, mode="clip"), x, i)
    w.jax("take fill", lambda x, i: jnp.take(x, i, axis=1, mode="fill", fill_value=-1), x, i)
    w.jax("take wrap", lambda x, i: jnp.take(x, i, axis=0, mode="wrap"), x, i)
    w.jax("fancy index", lambda x, i: x[i % 5, i % 4], x, i)
    w.jax("take_along_axis", lambda x: jnp.take_along_axis(x, jnp.argsort(x, axis=1), axis=1), x)
    w.jax("batched gather", lambda x, i: jax.vmap(lambda a, b: a[b])(x, i % 4), x, i)
    w.jax("batched slice", lambda x, i: jax.vmap(lambda a, b: lax.dynamic_slice(a, (b,), (2,)))(x, i), x, i)
    w.jax("scatter add drop", lambda x, i: x.at[i].add(1.5, mode="drop"), x, i)
    w.jax("scatter set drop", lambda x, i: x.at[:, i].set(2.0, mode="drop"), x, i)
    w.jax("scatter repeated", lambda x, i: x.at[jnp.zeros(5, int)].add(x), x, i)
    w.jax("scatter mul min max", lambda x, i: (x.at[i % 5].multiply(2.0), x.at[i % 5].min(0.1), x.at[i % 5].max(0.1)), x, i)
    w.jax("scatter apply", lambda x: x.at[1:3, 0].apply(jnp.sin), x)
    w.jax("batched scatter", lambda x, i: jax.vmap(lambda a, b: a.at[b % 4].add(1.0))(x, i), x, i)
    w.jax("batched update slice", lambda x, i: jax.vmap(lambda a, b: lax.dynamic_update_slice(a, jnp.ones(2, "f"), (b,)))(x, i), x, i)
    w.jax("gather gradient", lambda x, i: jax.grad(lambda a: (a[i % 5] ** 2).sum())(x), x, i)
    w.jax("scatter integers", lambda i: jnp.zeros(6, jnp.int32).at[i].add(jnp.arange(5, dtype=jnp.int32), mode="drop"), i)
    w.jax("histogram", lambda i: jnp.bincount(i % 4, length=4), i)
    w.jax("segment_sum", lambda x, i: jax.ops.segment_sum(x, i % 3, 3), x, i)
    w.jax("one_hot", lambda i: jax.nn.one_hot(i, 4), i)
    w.jax("nonzero", lambda x: jnp.nonzero(x > 0, size=6, fill_value=-1), x)
    w.jax("roll", lambda x, i: (jnp.roll(x, 2, 0), jnp.roll(x, i[1], 1)), x, i)
    w.jax("sort", lambda x: (jnp.sort(x, 0), jnp.argsort(x, 1), jnp.sort(x.ravel(), descending=True)), x)
    w.jax("sort keys", lambda x, i: lax.sort((i % 3, x[:, 0], x[:, 1]), num_keys=2), x, i)
    w.jax("top_k", lambda x: lax.top_k(x, 3), x)
    w.jax("searchsorted", lambda x, i: jnp.searchsorted(jnp.sort(x.ravel()), x[0]), x, i)
    w.jax("unique", lambda i: jnp.unique(i % 3, size=4, return_counts=True), i)
    w.jax("argmax", lambda x: (jnp.argmax(x, 0), jnp.argmin(x, 1), jnp.argmax(x)), x)
    w.close()


def jax_math():
    w = Writer("jax_math")
    x = floats("float32", (4, 5))
    y = floats("float32", (4, 5), 0.2, 4)
    d = floats("float64", (3, 4), 0.2, 4)
    w.jax("softmax", lambda x: (jax.nn.softmax(x), jax.nn.log_softmax(x, 0), jax.nn.logsumexp(x)), x)
    w.jax("activations", lambda x: (jax.nn.gelu(x), jax.nn.silu(x), jax.nn.elu(x), jax.nn.softplus(x), jax.nn.relu6(x)), x)
    w.jax("statistics", lambda x: (x.mean(0), x.var(1), x.std(), jnp.median(x, 1), jnp.quantile(x, 0.3)), x)
    w.jax("cumulative", lambda x: (jnp.cumsum(x, 0), jnp.cumprod(x, 1), lax.cummax(x, 1), lax.cummin(x, 0, reverse=True),
                                   lax.cumlogsumexp(x, 1), lax.cumsum(x, 1, reverse=True)), x)
    w.jax("associative_scan", lambda x: lax.associative_scan(jnp.maximum, x, axis=0), x)
    w.jax("norms", lambda x: (jnp.linalg.norm(x), jnp.linalg.norm(x, axis=1), jnp.abs(x).max()), x)
    w.jax("special functions", lambda y: (lax.lgamma(y), lax.digamma(y), lax.erf(y), lax.erf_inv(y / 5), lax.bessel_i0e(y),
                                          lax.bessel_i1e(y)), y, scale=25)
    w.jax("special functions f64", lambda y: (lax.lgamma(y), lax.digamma(y), lax.erf(y), lax.erfc(y), lax.erf_inv(y / 5),
                                              lax.bessel_i1e(y)), d, scale=25)
    w.jax("igamma", lambda y: (lax.igamma(y, y + 0.5), lax.igammac(y, y + 0.5)), y, scale=25)
    w.jax("betainc", lambda y: jax.scipy.special.betainc(y, y + 0.5, y / 5), y, scale=25)
    w.jax("zeta polygamma", lambda y: (lax.zeta(y + 1.1, y), lax.polygamma(jnp.floor(y), y)), d, scale=25)
    w.jax("normal quantile", lambda y: jax.scipy.stats.norm.ppf(y / 5), y, scale=25)
    w.jax("inverse functions", lambda y: (jnp.arccosh(y + 1), jnp.arcsinh(y), jnp.arctanh(y / 5), jnp.arcsin(y / 5),
                                          jnp.arccos(y / 5), jnp.arctan(y), jnp.sinh(y), jnp.cosh(y), jnp.tan(y)), y)
    w.jax("complex", lambda x: (jnp.exp(1j * x), jnp.abs(x + 1j), jnp.angle(x - 1j), jnp.sqrt(x + 0j), jnp.log(x + 2j)), x)
    w.jax("complex exponential", lambda x: jnp.exp(x), (x + 1j * y).astype(np.complex64))
    w.jax("integer arithmetic", lambda a, b: (a // b, a % b, jnp.gcd(a, b), a ** 3, a << 2, a >> 1, ~a, a & b),
          ints("int32", (9,)), np.array([1, 2, 3, -4, 5, -6, 7, 8, 9], np.int32))
    w.jax("uint8", lambda a, b: (a // b, a % b, a * b, a - b), ints("uint8", (5,)), np.arange(1, 6, dtype=np.uint8))
    w.jax("rounding", lambda x: (jnp.round(x * 3), jnp.floor(x), jnp.ceil(x), jnp.trunc(x), jnp.rint(x)), x)
    w.jax("bits", lambda a: (lax.population_count(a), lax.clz(a), jnp.bitwise_xor(a, 5)), np.arange(-4, 5, dtype=np.int32))
    w.jax("nextafter", lambda x: (jnp.nextafter(x, 10.0), jnp.nextafter(x, -10.0), jnp.signbit(x), jnp.copysign(x, -1.0)), x)
    w.jax("frexp", lambda x: (jnp.frexp(x), jnp.ldexp(x, jnp.int32(3)), jnp.modf(x)), x)
    w.jax("bfloat16", lambda x: (x @ x.T, jnp.tanh(x), x.sum(), x / 3), x.astype(ml_dtypes.bfloat16))
    w.jax("float16", lambda x: (jnp.exp(x), x.mean(1), x * x), x.astype(np.float16))
    w.jax("float8", lambda x: x.astype(jnp.float8_e4m3fn).astype(jnp.float32) * 2, x)
    w.jax("polynomial", lambda x: jnp.polyval(jnp.array([1.0, -2, 3], "f"), x), x)
    w.jax("interp", lambda x: jnp.interp(x, jnp.linspace(-3, 3, 7), jnp.arange(7.0)), x.astype(np.float64))
    w.jax("where nan", lambda x: jnp.nan_to_num(jnp.where(x > 1, jnp.nan, x)), x)
    w.jax("threefry", lambda k: (jax.random.bits(k, (5,)), jax.random.uniform(k, (4,)), jax.random.split(k)),
          np.array([1, 2], np.uint32), tolerance=(0, 0))
    w.jax("normal", lambda k: jax.random.normal(k, (6,)), np.array([1, 2], np.uint32), scale=25)
    w.jax("constants", lambda: (jnp.arange(120, dtype=jnp.float32) / 7 + np.arange(120, dtype=np.float32),
                                jnp.array([0.1, 1e10, 3.3333333, 123456789, 1e-7, -0.0, np.inf, 16777217], "f"),
                                np.array([[1 + 2j, 3]]), np.array([True, False]), np.zeros((0, 3), "f"),
                                jnp.array([0.1, 448], jnp.float8_e4m3fn), np.array([200, 255], np.uint8)))
    w.close()


def jax_linalg():
    w = Writer("jax_linalg")
    a = floats("float32", (4, 4)) + 3 * np.eye(4, dtype=np.float32)
    b = floats("float32", (4, 3))
    spd = a @ a.T + np.eye(4, dtype=np.float32)
    w.jax("matmul", lambda a, b: (a @ b, jnp.einsum("ij,kj->ki", a, a), jnp.tensordot(a, a, 2), jnp.outer(a[0], b[0])), a, b)
    w.jax("einsum batch", lambda a: jnp.einsum("bij,bjk->bik", a, a), floats("float32", (3, 4, 4)))
    w.jax("lu", lambda a: lax.linalg.lu(a), a, scale=100)
    w.jax("solve inv det", lambda a, b: (jnp.linalg.solve(a, b), jnp.linalg.inv(a), jnp.linalg.det(a)), a, b, scale=100)
    w.jax("cholesky", lambda a: jnp.linalg.cholesky(a), spd, scale=100)
    w.jax("cholesky gradient", lambda a: jax.grad(lambda m: jnp.linalg.cholesky(m).sum())(a), spd, scale=100)
    w.jax("triangular_solve", lambda a, b: (jax.scipy.linalg.solve_triangular(a, b, lower=True),
                                            lax.linalg.triangular_solve(a, b.T, left_side=False, lower=False)), a, b, scale=100)
    w.jax("cho_solve", lambda a, b: jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(a), b), spd, b, scale=100)
    w.jax("expm", lambda a: jax.scipy.linalg.expm(a / 4), a.astype(np.float64), scale=100)
    w.jax("slogdet batch", lambda a: jnp.linalg.slogdet(a), np.stack([a, spd]), scale=100)
    w.jax("fft", lambda x: (jnp.fft.fft(x), jnp.fft.rfft(x), jnp.fft.irfft(jnp.fft.rfft(x))), floats("float32", (12,)))
    w.jax("fft2", lambda x: jnp.fft.fft2(x), floats("float32", (3, 5)))
    w.jax("convolve", lambda x: jnp.convolve(x, x[:3], mode="same"), floats("float32", (9,)))
    x = floats("float32", (1, 6, 6, 2))
    k = floats("float32", (3, 3, 2, 4))
    conv = lambda x, k, **kw: lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), **kw)
    w.jax("conv", conv, x, k)
    w.jax("conv gradient", jax.grad(lambda x, k: (conv(x, k) ** 2).sum(), argnums=(0, 1)), x, k, scale=25)
    w.jax("depthwise conv", lambda x, k: lax.conv_general_dilated(
        x, k, (2, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=2), x, floats("float32", (2, 3, 1, 4)))
    w.jax("conv transpose", lambda x, k: lax.conv_transpose(x, k, (2, 2), "SAME"), x, floats("float32", (3, 3, 2, 4)))
    w.jax("max pool gradient", jax.grad(lambda x: (lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") ** 2).sum()), x)
    w.jax("avg pool", lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 3, 3, 1), (1, 2, 2, 1), "SAME") / 9, x)
    w.close()


def jax_control():
    w = Writer("jax_control")
    x = floats("float32", (6, 3))
    w.jax("fori_loop", lambda n, x: lax.fori_loop(0, n, lambda i, c: c * 1.5 + i, x), np.int32(4), x)
    w.jax("while_loop", lambda x: lax.while_loop(lambda c: c[0] < 10, lambda c: (c[0] + 3, c[1] + 1), (0, x)), x)
    w.jax("nested loops", lambda n: lax.fori_loop(0, n, lambda i, c: lax.fori_loop(0, i, lambda j, d: d * 2 + 1, c), 1), np.int32(5))
    w.jax("scan", lambda x: lax.scan(lambda c, a: (0.9 * c + a, jnp.tanh(c)), jnp.zeros(3), x), x)
    w.jax("scan gradient", jax.grad(lambda x: lax.scan(lambda c, a: (jnp.sin(c) + a, c * a), jnp.zeros(3), x)[1].sum()), x, scale=25)
    w.jax("scan reverse", lambda x: lax.scan(lambda c, a: (c + a, c), jnp.zeros(3), x, reverse=True, unroll=2), x)
    w.jax("cond", lambda p, x: lax.cond(p, lambda x: x + 1, lambda x: x * 2, x), np.array(True), x)
    w.jax("switch", lambda i, x: lax.switch(i, [jnp.sin, jnp.cos, lambda x: x * x], x), np.int32(7), x)
    w.jax("vmap of while", lambda n: jax.vmap(lambda k: lax.while_loop(lambda c: c < 20, lambda c: c + k, 0))(n),
          np.array([1, 3, 7], np.int32))
    w.jax("vmap of cond", lambda p, x: jax.vmap(lambda a, b: lax.cond(a, jnp.sum, lambda v: v[0], b))(p, x), x[:, 0] > 0, x)
    w.jax("remat", jax.grad(lambda x: jax.checkpoint(lambda y: jnp.sin(jnp.sin(y)))(x).sum()), x)
    w.jax("composite", lambda x: lax.composite(lambda x, *, s: x * s, name="my.scale")(x, s=2.5), x)
    w.jax("inner jits", lambda x: (jnp.where(x > 0, x, 0.0), jnp.clip(x, -1, 1), jnp.where(x > 1, 1.0, x)), x)
    w.jax("hessian", jax.hessian(lambda x: jnp.sum(jnp.sin(x) * x[0])), x[0], scale=25)
    w.jax("jacobian", jax.jacfwd(lambda x: jnp.outer(x, jnp.tanh(x))), x[0], scale=25)
    w.jax("mlp step", lambda p, x: jax.tree.map(lambda a, g: a - 0.1 * g, p, jax.grad(lambda q: jnp.mean((jnp.tanh(
        x @ q) @ jnp.ones((4, 1))) ** 2))(p)), floats("float32", (3, 4)), x, scale=25)
    w.jax("attention", lambda q, k, v: jax.nn.softmax(q @ k.T / 2.0) @ v, floats("float32", (5, 4)), floats("float32", (6, 4)),
          floats("float32", (6, 3)), scale=25)
    w.jax("layer norm", lambda x: (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5), x)
    w.jax("newton", lambda y: lax.while_loop(lambda s: jnp.any(jnp.abs(s[0] ** 2 - y) > 1e-4) & (s[1] < 50),
                                             lambda s: (0.5 * (s[0] + y / s[0]), s[1] + 1), (y, 0)), np.abs(x) + 0.5)
    w.jax("ragged mask", lambda n: jnp.where(jnp.arange(6)[None] < n[:, None], 1.0, 0.0).sum(1), np.array([2, 5, 0], np.int32))
    w.close()


if __name__ == "__main__":
    makers = [ops_unary, ops_binary, ops_convert, ops_chlo, ops_linalg, ops_shape, ops_reduction, ops_control, jax_index,
              jax_math, jax_linalg, jax_control]
    only = sys.argv[1:]
    for make in makers:
        if not only or make.__name__ in only:
            rng = np.random.default_rng(7)
            make()
