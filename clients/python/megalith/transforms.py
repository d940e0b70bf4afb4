"""Transforms of programs, by JAX's names and with its parameters.

A stack is a sequence of transforms, innermost first; text does too: ["grad(argnums=(0, 1))", "vmap"].
"""

import ast
import dataclasses
import inspect
from typing import Any, Callable, Mapping, Optional, Sequence, Tuple, Union

from megalith.errors import invalid

Axes = Union[None, int, Sequence[Optional[int]]]
ArgNums = Union[int, Sequence[int]]


@dataclasses.dataclass(frozen=True)
class Transform:
    """A transform with its parameters; made by the functions of this module."""

    name: str
    params: Mapping[str, Any]

    def __str__(self) -> str:
        return self.name + (f"({', '.join(f'{k}={v!r}' for k, v in self.params.items())})" if self.params else "")


TransformLike = Union[Transform, str]


def jit() -> Transform:
    """jax.jit."""
    return Transform("jit", {})


def grad(argnums: ArgNums = 0, has_aux: bool = False) -> Transform:
    """jax.grad."""
    return _differentiated("grad", argnums, has_aux)


def value_and_grad(argnums: ArgNums = 0, has_aux: bool = False) -> Transform:
    """jax.value_and_grad: the value, then the gradient."""
    return _differentiated("value_and_grad", argnums, has_aux)


def vmap(in_axes: Axes = 0, out_axes: Axes = 0, axis_size: Optional[int] = None,
         axis_name: Optional[str] = None) -> Transform:
    """jax.vmap; axes are of flat arguments and results."""
    params = {"in_axes": in_axes, "out_axes": out_axes}
    params.update({k: v for k, v in (("axis_size", axis_size), ("axis_name", axis_name)) if v is not None})
    return Transform("vmap", params)


def jvp() -> Transform:
    """jax.jvp: takes primals, then tangents."""
    return Transform("jvp", {})


def linearize() -> Transform:
    """jax.linearize: takes primals, then tangents."""
    return Transform("linearize", {})


def vjp(num_primals: int) -> Transform:
    """jax.vjp: takes primals, then cotangents."""
    return Transform("vjp", {"num_primals": num_primals})


def linear_transpose(num_primals: int) -> Transform:
    """jax.linear_transpose: takes primals, for their types, then cotangents."""
    return Transform("linear_transpose", {"num_primals": num_primals})


def jacfwd(argnums: ArgNums = 0) -> Transform:
    """jax.jacfwd."""
    return Transform("jacfwd", {"argnums": argnums})


def jacrev(argnums: ArgNums = 0) -> Transform:
    """jax.jacrev."""
    return Transform("jacrev", {"argnums": argnums})


def hessian(argnums: ArgNums = 0) -> Transform:
    """jax.hessian."""
    return Transform("hessian", {"argnums": argnums})


def checkpoint(policy: Optional[str] = None, prevent_cse: bool = True) -> Transform:
    """jax.checkpoint; `policy` is a name in jax.checkpoint_policies."""
    return Transform("checkpoint", {"policy": policy, "prevent_cse": prevent_cse})


def parse(transform: TransformLike) -> Transform:
    """A transform, also of text such as "grad(argnums=(0, 1))"."""
    if isinstance(transform, Transform):
        return transform
    try:
        tree = ast.parse(transform.strip(), mode="eval").body
        call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
        make = _BY_NAME[call.func.id]
        values = [ast.literal_eval(a) for a in call.args]
        named = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
        inspect.signature(make).bind(*values, **named)
    except (AttributeError, KeyError, SyntaxError, TypeError, ValueError) as error:
        raise invalid(f"'{transform}' is no transform ({error}); known are {', '.join(_BY_NAME)}") from None
    return make(*values, **named)


def to_wire(transform: TransformLike) -> dict:
    """Fields of the message megalith.trace.v1.Transform."""
    t = parse(transform)
    p = dict(t.params)
    if "argnums" in p:
        numbers = p["argnums"]
        p["argnums"] = {"index": [numbers] if isinstance(numbers, int) else list(numbers),
                        "is_tuple": not isinstance(numbers, int)}
    for name in ("in_axes", "out_axes"):
        if name in p:
            axes = p[name]
            uniform = axes is None or isinstance(axes, int)
            p[name] = {"uniform": uniform,
                       "axis": [{} if a is None else {"index": a} for a in ([axes] if uniform else axes)]}
    return {t.name: {k: v for k, v in p.items() if v is not None}}


def apply(transform: TransformLike, function: Callable) -> Callable:
    """The Python function that JAX makes of `function`."""
    import jax
    t = parse(transform)
    if t.name not in ("jit", "grad", "value_and_grad", "vmap", "jacfwd", "jacrev", "hessian", "checkpoint"):
        raise invalid(f"{t.name} changes the arguments of a function; call jax.{t.name} in a function of your own")
    params = dict(t.params)
    if t.name == "checkpoint" and params["policy"] is not None:
        params["policy"] = getattr(jax.checkpoint_policies, params["policy"])
    return getattr(jax, t.name)(function, **params)


def _differentiated(name: str, argnums: ArgNums, has_aux: bool) -> Transform:
    return Transform(name, {"argnums": argnums, "has_aux": has_aux})


_BY_NAME: Mapping[str, Callable[..., Transform]] = {
    f.__name__: f for f in (jit, grad, value_and_grad, vmap, jvp, linearize, vjp, linear_transpose, jacfwd, jacrev,
                            hessian, checkpoint)}

Stack = Sequence[TransformLike]
__all__: Tuple[str, ...] = ("Stack", "Transform", "TransformLike", "apply", "parse", *_BY_NAME)
