"""JAX functions as files for the fleet.

A program is two files: PATH is what jax.export writes (JAX, megalithctl and the compile service read it), PATH.json tells
the signature and how arguments and results nest, so that nobody needs JAX to run it.
"""

import dataclasses
import hashlib
import json
import os
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from megalith import arrays, display, transforms as transforms_module, trees
from megalith.arrays import ArrayType
from megalith.errors import Code, MegalithError, invalid

_FORMAT = "megalith-program"  # persistent: never change
_VERSION = 1
Path = Union[str, "os.PathLike[str]"]


@dataclasses.dataclass(frozen=True)
class Program:
    """A stored function: its export, and what its arguments and results are."""

    name: str
    export: bytes = dataclasses.field(repr=False)
    inputs: Tuple[ArrayType, ...]
    outputs: Tuple[ArrayType, ...]
    arguments: Any = dataclasses.field(repr=False)
    results: Any = dataclasses.field(repr=False)
    transforms: Tuple[str, ...] = ()
    made_by: str = ""

    @property
    def sha256(self) -> str:
        """Of the export."""
        return hashlib.sha256(self.export).hexdigest()

    def flatten(self, *args: Any) -> List[Any]:
        """The flat arguments. Raises MegalithError where they do not nest, or are not typed, as the function's were."""
        wanted = len(self.arguments["tuple"])
        if len(args) != wanted:
            raise invalid(f"{self.name} takes {wanted} arguments, got {len(args)}")
        leaves = trees.flatten(tuple(args), self.arguments, "args")
        for i, (leaf, t) in enumerate(zip(leaves, self.inputs)):
            if not hasattr(leaf, "dtype"):
                leaves[i] = leaf = np.asarray(leaf, arrays.numpy_dtype(t.dtype))
            got = getattr(leaf, "type", None) or arrays.type_of(leaf)
            if (got.dtype, got.shape) != (t.dtype, t.shape):
                raise invalid(f"array {i} of the arguments of {self.name} is to be {t}, got {got}")
        return leaves

    def unflatten(self, results: Sequence[Any]) -> Any:
        """What the function gives, of flat results."""
        return trees.unflatten(iter(results), self.results)

    def __call__(self, *args: Any) -> Any:
        """Runs it here through JAX, on JAX's default platform."""
        from jax import export
        exported = export.deserialize(bytearray(self.export))
        return self.unflatten(exported.call(*self.flatten(*args)))

    def __repr__(self) -> str:
        return f"Program({self.name}: {display.signature(self.inputs, self.outputs)})"

    def _repr_html_(self) -> str:
        rows = [(f"argument {i}", t) for i, t in enumerate(self.inputs)]
        rows += [(f"result {i}", t) for i, t in enumerate(self.outputs)]
        rows += [("transforms", ", ".join(self.transforms) or "none"), ("export", display.size(len(self.export))),
                 ("made by", self.made_by)]
        return display.table(f"Program {self.name}", rows)


def save_program(fn: Callable, args: Sequence[Any], path: Path, *, transforms: transforms_module.Stack = (),
                 kwargs: Optional[Dict[str, Any]] = None, static_argnums: Union[int, Sequence[int]] = (),
                 name: str = "", platforms: Sequence[str] = ("cpu",)) -> Program:
    """Stores a JAX function, for arguments of the types of `args`, at `path` and `path`.json.

    args            arrays, or jax.ShapeDtypeStructs, nested in dicts, lists, tuples and named tuples
    transforms      applied to `fn` first, innermost first: ["grad", "vmap(in_axes=(None, 0))"]
    kwargs          keyword arguments that become part of the program
    static_argnums  arguments that do; the stored function does not take them
    platforms       for whom JAX lowers it; Megalith runs what is lowered for CPUs

    Errors: MegalithError for arguments that a file cannot describe; what JAX raises when it traces `fn`.
    """
    import jax
    from jax import export
    function = fn if not kwargs else lambda *a: fn(*a, **kwargs)
    for t in transforms:
        function = transforms_module.apply(t, function)
    static = {n % len(args) for n in ([static_argnums] if isinstance(static_argnums, int) else static_argnums)}
    taken = tuple(a for i, a in enumerate(args) if i not in static)
    arguments = trees.describe(taken, "args")
    leaves = trees.flatten(taken, arguments, "args")
    types = [_type(leaf, i) for i, leaf in enumerate(leaves)]
    found: Dict[str, Any] = {}

    def flat(*values: Any) -> List[Any]:
        rest = iter(trees.refill(iter(values), taken))
        results = function(*(args[i] if i in static else next(rest) for i in range(len(args))))
        found["results"] = trees.describe(results, "the result")
        return trees.flatten(results, found["results"], "the result")

    structs = [jax.ShapeDtypeStruct(t.shape, arrays.numpy_dtype(t.dtype), weak_type=t.weak_type) for t in types]
    exported = export.export(jax.jit(flat), platforms=list(platforms))(*structs)
    program = Program(
        name=name or getattr(fn, "__name__", "function"), export=bytes(exported.serialize()), inputs=tuple(types),
        outputs=tuple(map(arrays.type_of, exported.out_avals)), arguments=arguments, results=found["results"],
        transforms=tuple(str(transforms_module.parse(t)) for t in transforms), made_by=f"jax {jax.__version__}")
    _write(program, os.fspath(path))
    return program


def load_program(path: Path) -> Program:
    """What save_program stored. Errors: NOT_FOUND, DATA_LOSS (the two files do not belong together, or are damaged)."""
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            blob = file.read()
        with open(f"{path}.json", encoding="utf-8") as file:
            sidecar = json.load(file)
    except FileNotFoundError as error:
        raise MegalithError(Code.NOT_FOUND, f"{error.filename} does not exist; save_program writes PATH and PATH.json"
                            ) from None
    except (ValueError, OSError) as error:
        raise MegalithError(Code.DATA_LOSS, f"{path}.json cannot be read: {error}") from None
    if not isinstance(sidecar, dict) or sidecar.get("format") != _FORMAT:
        raise invalid(f"{path}.json is not what save_program writes")
    if sidecar.get("version") != _VERSION:
        raise MegalithError(Code.FAILED_PRECONDITION, f"{path}.json has version {sidecar.get('version')}, this package "
                            f"reads {_VERSION}")
    if sidecar.get("sha256") != hashlib.sha256(blob).hexdigest():
        raise MegalithError(Code.DATA_LOSS, f"{path} is not the file that {path}.json was written with")
    return _read(sidecar, blob, path)


def _read(sidecar: Dict[str, Any], blob: bytes, path: str) -> Program:
    try:
        inputs, outputs = (tuple(ArrayType(str(t["dtype"]), tuple(map(int, t["shape"])), bool(t["weak_type"]))
                                 for t in sidecar[side]) for side in ("inputs", "outputs"))
        arguments, results = sidecar["arguments"], sidecar["results"]
        if (trees.count(arguments), trees.count(results)) != (len(inputs), len(outputs)) or "tuple" not in arguments:
            raise invalid("its trees do not have as many leaves as there are types")
        return Program(str(sidecar["name"]), blob, inputs, outputs, arguments, results,
                       tuple(map(str, sidecar["transforms"])), str(sidecar["made_by"]))
    except (KeyError, TypeError, ValueError, AttributeError, MegalithError) as error:
        raise MegalithError(Code.DATA_LOSS, f"{path}.json is damaged: {error}") from None


def _write(program: Program, path: str) -> None:
    def types(side: Sequence[ArrayType]) -> List[Dict[str, Any]]:
        return [{"dtype": t.dtype, "shape": list(t.shape), "weak_type": t.weak_type} for t in side]
    sidecar = {"format": _FORMAT, "version": _VERSION, "name": program.name, "sha256": program.sha256,
               "inputs": types(program.inputs), "outputs": types(program.outputs), "arguments": program.arguments,
               "results": program.results, "transforms": list(program.transforms), "made_by": program.made_by}
    for name, data in ((path, program.export), (f"{path}.json", (json.dumps(sidecar, indent=1) + "\n").encode())):
        with open(f"{name}.partial", "wb") as file:
            file.write(data)
        os.replace(f"{name}.partial", name)


def _type(leaf: Any, index: int) -> ArrayType:
    if isinstance(leaf, (bool, int, float, complex)) or hasattr(leaf, "dtype") or isinstance(leaf, np.ndarray):
        import jax
        t = arrays.type_of(jax.eval_shape(lambda x: x, leaf))  # 64 bits only where JAX has them
        return dataclasses.replace(t, weak_type=isinstance(leaf, (int, float, complex)) or t.weak_type)
    raise invalid(f"leaf {index} of the arguments is a {type(leaf).__name__}; a file describes arrays in dicts, lists, "
                  "tuples and named tuples")

