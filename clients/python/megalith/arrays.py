"""Arrays between NumPy and the wire: dtypes by JAX's short names, elements row-major and little-endian."""

import dataclasses
import importlib
from typing import Any, Sequence, Tuple

import numpy as np

from megalith.errors import Code, MegalithError, invalid

# Short name -> NumPy's name. A name that NumPy does not know is one of ml_dtypes (which comes with JAX).
_NUMPY_NAMES = {
    "bool": "bool", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64", "u8": "uint8", "u16": "uint16",
    "u32": "uint32", "u64": "uint64", "f16": "float16", "f32": "float32", "f64": "float64", "c64": "complex64",
    "c128": "complex128", "bf16": "bfloat16", "i2": "int2", "i4": "int4", "u2": "uint2", "u4": "uint4",
    "f4_e2m1fn": "float4_e2m1fn", "f8_e3m4": "float8_e3m4", "f8_e4m3": "float8_e4m3",
    "f8_e4m3b11fnuz": "float8_e4m3b11fnuz", "f8_e4m3fn": "float8_e4m3fn", "f8_e4m3fnuz": "float8_e4m3fnuz",
    "f8_e5m2": "float8_e5m2", "f8_e5m2fnuz": "float8_e5m2fnuz", "f8_e8m0fnu": "float8_e8m0fnu",
}
_SHORT_NAMES = {numpy_name: short for short, numpy_name in _NUMPY_NAMES.items()}
# Arrays of u32 words: a last axis of this length is added.
_KEY_WORDS = {"key<fry>": 2, "key<rbg>": 4, "key<urbg>": 4}


@dataclasses.dataclass(frozen=True)
class ArrayType:
    """Type of an array: dtype by JAX's short name ("f32", "bf16", "i4"), and shape."""

    dtype: str
    shape: Tuple[int, ...] = ()
    weak_type: bool = False

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"

    @property
    def nbytes(self) -> int:
        """Bytes of the elements on the wire and in NumPy."""
        words = _KEY_WORDS.get(self.dtype)
        width = 4 * words if words else 0 if self.dtype == "float0" else numpy_dtype(self.dtype).itemsize
        return width * int(np.prod(self.shape, dtype=np.int64))


def numpy_dtype(short: str) -> np.dtype:
    """NumPy's dtype of a short name. Raises MegalithError if there is none, or if ml_dtypes is needed and missing."""
    name = _NUMPY_NAMES.get(short)
    if name is None:
        raise invalid(f"NumPy has no dtype for '{short}'")
    if hasattr(np, name + "_" if name == "bool" else name):
        return np.dtype(name)
    try:
        return np.dtype(getattr(importlib.import_module("ml_dtypes"), name))
    except (ImportError, AttributeError):
        raise MegalithError(Code.FAILED_PRECONDITION,
                            f"dtype {short} needs a newer package ml_dtypes; pip install -U ml_dtypes") from None


def type_of(value: Any) -> ArrayType:
    """Type of an array, scalar or anything with dtype and shape (jax.ShapeDtypeStruct)."""
    if not (hasattr(value, "dtype") and hasattr(value, "shape")):
        value = as_numpy(value)
    short = _SHORT_NAMES.get(str(value.dtype))
    if short is None:
        raise invalid(f"arrays of dtype {value.dtype} cannot be sent; convert to a number, or keys with "
                      "jax.random.key_data")
    return ArrayType(short, tuple(int(d) for d in value.shape), bool(getattr(value, "weak_type", False)))


def as_numpy(value: Any) -> np.ndarray:
    """An array of what users pass. Python numbers, also in lists, become what they are in JAX: i32, f32, c64, bool."""
    if isinstance(value, bool):
        return np.asarray(value)
    if isinstance(value, int):
        if not -(2**31) <= value < 2**31:
            raise invalid(f"{value} is no i32; pass numpy.int64({value}) if 64 bits are meant")
        return np.asarray(value, np.int32)
    if isinstance(value, float):
        return np.asarray(value, np.float32)
    if isinstance(value, complex):
        return np.asarray(value, np.complex64)
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever __array__ of a foreign class raises
        raise invalid(f"a {type(value).__name__} is no array: {error}") from error
    if array.dtype == object:
        raise invalid(f"a {type(value).__name__} is no array of numbers")
    if isinstance(value, (list, tuple)):
        array = array.astype({"int64": np.int32, "float64": np.float32, "complex128": np.complex64}.get(
            array.dtype.name, array.dtype), copy=False)
    return array


def encode(array: np.ndarray) -> bytes:
    """The elements as the wire has them."""
    array = np.ascontiguousarray(array)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return array.tobytes()


def decode(dtype: str, shape: Sequence[int], data: bytes) -> np.ndarray:
    """An array of wire elements. Keys come as their u32 words, float0 as zeros of bool. Read-only: it shares `data`."""
    shape = tuple(shape)
    if dtype in _KEY_WORDS:
        dtype, shape = "u32", shape + (_KEY_WORDS[dtype],)
    if dtype == "float0":
        return np.zeros(shape, bool)
    kind = numpy_dtype(dtype)
    wanted = kind.itemsize * int(np.prod(shape, dtype=np.int64))
    if len(data) != wanted:
        raise MegalithError(Code.DATA_LOSS, f"{dtype}{list(shape)} takes {wanted} bytes, the service sent {len(data)}")
    return np.frombuffer(data, kind).reshape(shape)
