"""A client of Megalith's services: trace, compile, execute, cache, ledger, health.

    import megalith.client
    with megalith.client.connect("127.0.0.1:9000") as fleet:
        gradient = fleet.compile(fleet.lower(jax.make_jaxpr(f)(x), ["grad"]))
        print(gradient(x))

Needs `pip install 'megalith[grpc]'`. Errors are MegalithError. Every call takes `timeout` in seconds, default that of
the client. Calls that may be repeated are repeated while a service cannot be reached. Threads: everything may be called
concurrently.
"""

import os
import struct
import threading
from typing import (Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union)

import numpy as np

from megalith import arrays, transforms as transforms_module
from megalith.arrays import ArrayType
from megalith.errors import Code, MegalithError, invalid
from megalith.programs import Program, load_program
from megalith.records import Cache, Health, Ledger
from megalith.results import (Buffer, Cost, Executable, Execution, KernelTime, LoweredProgram, ProcessInfo, Progress,
                              TracedProgram, TransformStep, time_of)
from megalith.transforms import Stack
from megalith.wire import Wire, error_fields

__all__ = ["Client", "connect", "Buffer", "Code", "Executable", "Execution", "LoweredProgram", "MegalithError",
           "Progress", "TracedProgram"]

_TRACE = "megalith.trace.v1.TraceService"
_COMPILE = "megalith.compile.v1.CompileService"
_EXECUTE = "megalith.execute.v1.ExecuteService"
_PARTS = ("trace", "compile", "execute", "cache", "ledger")

# Arrays above this travel in chunks: services accept messages of 64 MiB by default.
_STREAMED_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20

_ARTIFACT = b"ML\xefR"  # how MLIR bytecode begins

Source = Union[str, bytes, TracedProgram, LoweredProgram, Program, Any]
Compilable = Union[str, bytes, LoweredProgram, Program]


def connect(address: Union[str, Mapping[str, str]] = "", *, timeout: float = 60.0, credentials: Any = None) -> "Client":
    """A client of the fleet at "host:port" or "unix:path"; default: the variable MEGALITH_ADDRESS.

    Names may stand for addresses: "megalith:///execute", "zk://host:2181/execute", "agent://host:8002/entry:0", or several
    replicas "host:port,host:port" (megalith.replicas).
    Services of their own are given as {"trace": address, "compile": address, "execute": address, "cache": address};
    "ledger" is then the one to ask for evidence, the first given by default. `credentials` are grpc.ChannelCredentials;
    default: no TLS. Nothing is sent before the first call.
    """
    return Client(address or os.environ.get("MEGALITH_ADDRESS", ""), timeout=timeout, credentials=credentials)


class Client:
    """Calls the services of one fleet; made by connect()."""

    def __init__(self, address: Union[str, Mapping[str, str]], *, timeout: float = 60.0,
                 credentials: Any = None) -> None:
        if not address:
            raise invalid("no address: pass \"host:port\", or set MEGALITH_ADDRESS")
        addresses = {part: address for part in _PARTS} if isinstance(address, str) else dict(address)
        unknown = sorted(set(addresses) - set(_PARTS))
        if unknown or not addresses:
            raise invalid(f"services are {', '.join(_PARTS)}; got {', '.join(unknown) or 'none'}")
        addresses.setdefault("ledger", next(iter(addresses.values())))
        wires = {a: Wire(a, timeout, credentials) for a in dict.fromkeys(addresses.values())}
        self._wires: Dict[str, Wire] = {part: wires[a] for part, a in addresses.items()}
        self._all = list(wires.values())
        self.address = ", ".join(wires)
        self._compiled: Dict[str, Executable] = {}  # by digest of a saved program; guarded by _lock
        self._lock = threading.Lock()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends the channels; calls under way fail."""
        for wire in self._all:
            wire.close()

    def __repr__(self) -> str:
        return f"megalith.client.connect({self.address!r})"

    @property
    def cache(self) -> Cache:
        """The content-addressed store."""
        return Cache(self._wire("cache"))

    @property
    def ledger(self) -> Ledger:
        """The record of decisions."""
        return Ledger(self._wire("ledger"))

    @property
    def health(self) -> Health:
        """Whether the services serve."""
        return Health(self._all[0])

    def info(self, timeout: Optional[float] = None) -> ProcessInfo:
        """What the process at the address is."""
        method = "megalith.info.v1.InfoService/GetInfo"
        a = self._all[0].unary(method, self._all[0].request(method), timeout)
        return ProcessInfo(a.process, a.version, tuple(a.services), time_of(a.started_unix_nanos))

    def trace(self, program: Source, transforms: Stack = (), *, x64: bool = False, policy: str = "unspecified",
              name: str = "", timeout: Optional[float] = None) -> TracedProgram:
        """Applies transforms to a program.

        program     text as JAX prints it, what jax.make_jaxpr(f)(*args) gives, a TracedProgram, or its program_bytes;
                    or a StableHLO program, which is raised to a jaxpr: a LoweredProgram, text, a portable artifact or
                    export of JAX as bytes, a saved Program
        transforms  innermost first: ["grad", "vmap(in_axes=(0, None))"], or megalith.transforms
        x64         64-bit mode; taken from a make_jaxpr's types where they need it
        policy      what to do with what the service does not know: strict or hardened
        """
        method = f"{_TRACE}/Trace"
        wire = self._wire("trace")
        request = wire.request(method, source=_source(program, x64, name), stack=_stack(transforms),
                               options=self._trace_options(policy))
        a = wire.unary(method, request, timeout)
        return TracedProgram(a.jaxpr_text, a.program_bytes, _types(a.in_avals), _types(a.out_avals), a.key,
                             _steps(a.steps), _timings(a.timings), a.ids.trace_id)

    def lower(self, program: Source, transforms: Stack = (), *, x64: bool = False, policy: str = "unspecified",
              name: str = "", timeout: Optional[float] = None) -> LoweredProgram:
        """As trace(), then lowers the result to StableHLO. A StableHLO program without transforms stays what it is."""
        method = f"{_TRACE}/Lower"
        wire = self._wire("trace")
        request = wire.request(method, source=_source(program, x64, name), stack=_stack(transforms),
                               options=self._trace_options(policy))
        a = wire.unary(method, request, timeout)
        return LoweredProgram(a.stablehlo_text, _types(a.in_avals), _types(a.out_avals), a.canonical_digest, a.key,
                              _steps(a.steps), _timings(a.timings), a.ids.trace_id)

    def compile_events(self, program: Compilable, *, target: str = "", options: Optional[Mapping[str, str]] = None,
                       priority: str = "unspecified", policy: str = "unspecified", ignore_cache: bool = False,
                       return_package: bool = False, timeout: Optional[float] = None,
                       ) -> Iterator[Union[Progress, Executable]]:
        """As compile(), yielding Progress while the service works, last the Executable. Dropping it cancels."""
        method = f"{_COMPILE}/Compile"
        wire = self._wire("compile")
        request = wire.request(
            method, **_compilable(program), return_package=return_package,
            options={"target": target, "extra": dict(options or {}), "ignore_cache": ignore_cache,
                     "priority": wire.schemas.enum_number("megalith.compile.v1.Priority", priority),
                     "policy": wire.schemas.enum_number("megalith.common.v1.Policy", policy)})
        for event in wire.stream(method, request, timeout):
            if event.WhichOneof("kind") == "progress":
                yield Progress(event.progress.stage, event.progress.fraction, event.progress.seconds)
            else:
                yield self._executable(wire, event.result)

    def compile(self, program: Compilable, *, progress: Optional[Callable[[Progress], None]] = None,
                **options: Any) -> Executable:
        """Compiles, or finds the result of an earlier compilation.

        program   a LoweredProgram, StableHLO text, a portable artifact or export of JAX as bytes, a saved Program
        progress  called with how far it is
        options   those of compile_events(): target, options (of the backend), priority (interactive, batch,
                  background), policy, ignore_cache, return_package, timeout
        """
        for event in self.compile_events(program, **options):
            if isinstance(event, Executable):
                return event
            if progress is not None:
                progress(event)
        raise MegalithError(Code.INTERNAL, "the compile service ended its answer without a result")

    def execute(self, program: Union[str, Executable], *args: Any, return_buffers: bool = False, profile: bool = False,
                timeout: Optional[float] = None) -> Execution:
        """Runs an Executable, or a key, on arrays and Buffers. `profile` times every kernel."""
        key = program if isinstance(program, str) else program.key
        known = None if isinstance(program, str) else program
        return self._execute({"key": key}, args, known, return_buffers, profile, timeout)

    def run(self, program: Source, *args: Any, transforms: Stack = (), target: str = "", x64: bool = False,
            return_buffers: bool = False, profile: bool = False, timeout: Optional[float] = None) -> Execution:
        """Traces, compiles and runs a program in one call; the answer's key makes the next call shorter.

        program     as trace() takes it: fleet.run(exported.serialize(), x) runs what jax.export made
        """
        chain = {"source": _source(program, x64, ""), "stack": _stack(transforms),
                 "compile_options": {"target": target}}
        return self._execute({"chain": chain}, args, None, return_buffers, profile, timeout)

    def run_program(self, program: Union[str, "os.PathLike[str]", Program], *args: Any,
                    timeout: Optional[float] = None) -> Any:
        """Runs what megalith.save_program stored: takes and gives what the function did. Compiled once per client."""
        if not isinstance(program, Program):
            program = load_program(program)
        with self._lock:
            executable = self._compiled.get(program.sha256)
        if executable is None:
            executable = self.compile(program, timeout=timeout)
            with self._lock:
                self._compiled[program.sha256] = executable
        return program.unflatten(self.execute(executable, *program.flatten(*args), timeout=timeout).results)

    def execute_stream(self, requests: Iterable[Tuple[Union[str, Executable], Sequence[Any]]],
                       timeout: Optional[float] = None) -> Iterator[Union[Execution, MegalithError]]:
        """Runs (program, arguments) one after the other on one stream; what fails yields its error and it goes on."""
        method = f"{_EXECUTE}/ExecuteStream"
        wire = self._wire("execute")

        def messages() -> Iterator[Any]:
            for number, (program, args) in enumerate(requests):
                typed = (program, None) if isinstance(program, str) else (program.key, program.inputs)
                yield wire.request(method, id=number, request={
                    "key": typed[0], "arguments": _arguments(
                        [_prepared(a, typed[1], i, True) for i, a in enumerate(args)],
                        [_is_weak(a, typed[1]) for a in args])})
        for answer in wire.stream(method, messages(), timeout):
            if answer.WhichOneof("outcome") == "response":
                yield self._execution(answer.response)
            else:
                detail = answer.error.detail
                yield MegalithError(Code(answer.error.code), detail.message, method=method, address=wire.address,
                                    **error_fields(detail))

    def put(self, array: Any, timeout: Optional[float] = None) -> Buffer:
        """Stores an array with the execute service."""
        value = arrays.as_numpy(array)
        return self._put(value, arrays.type_of(value), timeout)

    def get(self, buffer: Union[Buffer, str], timeout: Optional[float] = None) -> np.ndarray:
        """The elements of a Buffer, or of a handle."""
        method = f"{_EXECUTE}/GetBufferStream"
        wire = self._wire("execute")
        handle = buffer.handle if isinstance(buffer, Buffer) else buffer
        dtype, dims, parts = "", (), []
        for chunk in wire.stream(method, wire.request(method, handle=handle), timeout):
            if chunk.HasField("type"):
                dtype, dims = chunk.type.dtype, tuple(chunk.type.dims)
            parts.append(chunk.data)
        return arrays.decode(dtype, dims, b"".join(parts))

    def free(self, *buffers: Union[Buffer, str], timeout: Optional[float] = None) -> int:
        """Gives buffers back; how many of them existed."""
        method = f"{_EXECUTE}/FreeBuffer"
        wire = self._wire("execute")
        handles = [b.handle if isinstance(b, Buffer) else b for b in buffers]
        return int(wire.unary(method, wire.request(method, handles=handles), timeout).freed)

    def load(self, program: Union[str, Executable], timeout: Optional[float] = None) -> bool:
        """Brings an executable into the memory of the service; True if it was there."""
        return self._keep("Load", program, timeout)

    def unload(self, program: Union[str, Executable], timeout: Optional[float] = None) -> bool:
        """Gives the executable's memory back; True if it was loaded."""
        return self._keep("Unload", program, timeout)

    def package(self, program: Union[str, Executable], timeout: Optional[float] = None) -> bytes:
        """The package of a compiled program."""
        method = f"{_COMPILE}/GetExecutable"
        wire = self._wire("compile")
        key = program if isinstance(program, str) else program.key
        return b"".join(c.data for c in wire.stream(method, wire.request(method, key=key), timeout))

    def _wire(self, part: str) -> Wire:
        wire = self._wires.get(part)
        if wire is None:
            raise invalid(f"this client has no address of the {part} service")
        return wire

    def _trace_options(self, policy: str) -> dict:
        return {"policy": self._wire("trace").schemas.enum_number("megalith.common.v1.Policy", policy)}

    def _keep(self, verb: str, program: Union[str, Executable], timeout: Optional[float]) -> bool:
        wire = self._wire("execute")
        method = f"{_EXECUTE}/{verb}"
        key = program if isinstance(program, str) else program.key
        return bool(wire.unary(method, wire.request(method, key=key), timeout).was_loaded)

    def _put(self, value: np.ndarray, type: ArrayType, timeout: Optional[float]) -> Buffer:
        method = f"{_EXECUTE}/PutBufferStream"
        wire = self._wire("execute")
        data = memoryview(arrays.encode(value))

        def chunks() -> Iterator[Any]:
            yield wire.request(method, type={"dtype": type.dtype, "dims": type.shape}, data=bytes(data[:_CHUNK_BYTES]))
            for at in range(_CHUNK_BYTES, len(data), _CHUNK_BYTES):
                yield wire.request(method, data=bytes(data[at:at + _CHUNK_BYTES]))
        answer = wire.unary(method, chunks(), timeout)
        return Buffer(self, answer.buffer.handle, type)

    def _execute(self, program: dict, args: Sequence[Any], known: Optional[Executable], return_buffers: bool,
                 profile: bool, timeout: Optional[float]) -> Execution:
        method = f"{_EXECUTE}/Execute"
        wire = self._wire("execute")
        # Numbers keep all their digits where the service only gives them the program's types.
        typed = "key" in program or any(k.startswith("stablehlo") for k in program["chain"]["source"])
        values: List[Any] = []
        weak: List[bool] = []  # Python numbers, which take the dtype of the program's argument
        passing: List[Buffer] = []  # arrays too large for one message
        try:
            for i, argument in enumerate(args):
                value = _prepared(argument, known.inputs if known else None, i, typed)
                weak.append(_is_weak(argument, known.inputs if known else None))
                if not isinstance(value, Buffer) and value.nbytes > _STREAMED_BYTES:
                    value = self._put(value, arrays.type_of(value), timeout)
                    passing.append(value)
                values.append(value)
            large = known is not None and sum(t.nbytes for t in known.outputs) > _STREAMED_BYTES
            request = wire.request(method, **program, arguments=_arguments(values, weak), profile=profile,
                                   return_buffers=return_buffers or large)
            answer = self._execution(wire.unary(method, request, timeout))
            if large and not return_buffers:
                passing.extend(answer.results)
                answer.results[:] = [self.get(b, timeout) for b in answer.results]
            return answer
        finally:
            if passing:
                self.free(*passing, timeout=timeout)

    def _execution(self, answer: Any) -> Execution:
        results: List[Any] = []
        for r in answer.results:
            if r.WhichOneof("kind") == "tensor":
                results.append(arrays.decode(r.tensor.dtype, r.tensor.dims, r.tensor.data))
            else:
                results.append(Buffer(self, r.buffer.handle, _type(r.buffer.type)))
        kernels = tuple(KernelTime(k.name, k.kind, k.shapes, k.calls, k.seconds) for k in answer.profile.kernels)
        return Execution(results, answer.key, _timings(answer.timings), answer.ids.trace_id, kernels)

    def _executable(self, wire: Wire, a: Any) -> Executable:
        cost = Cost(a.cost.flops, a.cost.transcendentals, a.cost.bytes_accessed, a.cost.peak_bytes)
        outcome = wire.schemas.enum_name("megalith.compile.v1.CacheOutcome", a.cache).lower()
        return Executable(a.key, _types(a.signature.inputs), _types(a.signature.outputs), cost, outcome,
                          _timings(a.timings), a.ids.trace_id, self, a.package)


def _source(program: Source, x64: bool, name: str) -> dict:
    fields: dict = {"fun_name": name, "x64": x64}
    if isinstance(program, str):
        fields["stablehlo_text" if _is_module(program) else "jaxpr_text"] = program
    elif isinstance(program, (bytes, bytearray)):
        fields["stablehlo_artifact" if _is_artifact(program) else "program_bytes"] = bytes(program)
    elif isinstance(program, LoweredProgram):
        fields["stablehlo_text"] = program.stablehlo
    elif isinstance(program, Program):
        fields["stablehlo_artifact"] = program.export
    elif isinstance(program, TracedProgram):
        fields["program_bytes"] = program.program_bytes
    elif hasattr(program, "jaxpr") and hasattr(program, "consts"):
        types = [arrays.type_of(a) for a in program.in_avals]
        fields["jaxpr_text"] = str(program)
        fields["in_avals"] = [_type_fields(t) for t in types]
        fields["consts"] = [_tensor(arrays.as_numpy(c)) for c in program.consts]
        fields["x64"] = x64 or any(t.dtype in ("i64", "u64", "f64", "c128") for t in types)
    else:
        raise invalid(f"a {type(program).__name__} is no program; pass jax.make_jaxpr(f)(*args), its text, or StableHLO")
    return fields


def _is_module(text: str) -> bool:
    """Whether text is StableHLO: it begins with a module, a function, or an alias, after comments."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("//")), "")
    return first.startswith(("module", "func.func", '"builtin.module"', "#", "!"))


def _is_artifact(data: Union[bytes, bytearray]) -> bool:
    """Whether bytes are a portable artifact, or an export of JAX: a table whose vector at slot 13 is an artifact."""
    if data.startswith(_ARTIFACT):
        return True
    try:
        (root,) = struct.unpack_from("<I", data)
        table = root - struct.unpack_from("<i", data, root)[0]
        if table < 0 or struct.unpack_from("<H", data, table)[0] < 32:
            return False
        (offset,) = struct.unpack_from("<H", data, table + 30)
        at = root + offset
        at += struct.unpack_from("<I", data, at)[0]
        return offset != 0 and data[at + 4:at + 8] == _ARTIFACT
    except struct.error:
        return False


def _compilable(program: Compilable) -> dict:
    if isinstance(program, LoweredProgram):
        return {"stablehlo_text": program.stablehlo}
    if isinstance(program, Program):
        return {"stablehlo_artifact": program.export}
    if isinstance(program, (bytes, bytearray)):
        return {"stablehlo_artifact": bytes(program)}
    if isinstance(program, str):
        return {"stablehlo_text": program}
    raise invalid(f"a {type(program).__name__} cannot be compiled; pass what lower() gives, StableHLO, or a saved "
                  "program")


def _prepared(argument: Any, types: Optional[Tuple[ArrayType, ...]], index: int, wide: bool) -> Any:
    """An array or Buffer; Python numbers and lists take the dtype of the program's argument, if it is known here."""
    if isinstance(argument, Buffer):
        return argument
    if types is not None and index < len(types) and isinstance(argument, (bool, int, float, complex, list, tuple)):
        return np.asarray(argument, arrays.numpy_dtype(types[index].dtype))
    if wide and _is_weak(argument, types) and not (isinstance(argument, int) and abs(argument) >= 2**63):
        return np.asarray(argument, {int: np.int64, float: np.float64, complex: np.complex128}[type(argument)])
    return arrays.as_numpy(argument)


def _is_weak(argument: Any, types: Optional[Tuple[ArrayType, ...]]) -> bool:
    """True for a Python number whose dtype the service is to choose: that of the program's argument."""
    return types is None and type(argument) in (int, float, complex)


def _arguments(values: Sequence[Any], weak: Sequence[bool]) -> List[dict]:
    kinds = [{"buffer": v.handle} if isinstance(v, Buffer) else {"tensor": _tensor(v)} for v in values]
    return [{**kind, "weak": w} for kind, w in zip(kinds, weak)]


def _tensor(value: np.ndarray) -> dict:
    t = arrays.type_of(value)
    return {"dtype": t.dtype, "dims": t.shape, "data": arrays.encode(value)}


def _stack(transforms: Stack) -> List[dict]:
    if isinstance(transforms, (str, transforms_module.Transform)):
        raise invalid(f"transforms are a list, innermost first; got {transforms}")
    return [transforms_module.to_wire(t) for t in transforms]


def _type(t: Any) -> ArrayType:
    return ArrayType(t.dtype, tuple(t.dims), t.weak_type)


def _type_fields(t: ArrayType) -> dict:
    return {"dtype": t.dtype, "dims": t.shape, "weak_type": t.weak_type}


def _types(types: Iterable[Any]) -> Tuple[ArrayType, ...]:
    return tuple(map(_type, types))


def _steps(steps: Iterable[Any]) -> Tuple[TransformStep, ...]:
    return tuple(TransformStep(s.transform, s.eqns_in, s.eqns_out, s.seconds) for s in steps)


def _timings(timings: Iterable[Any]) -> Dict[str, float]:
    return {t.name: t.seconds for t in timings}
