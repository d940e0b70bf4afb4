"""What the services answer, as Python sees it."""

import dataclasses
import datetime
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from megalith import display
from megalith.arrays import ArrayType

if TYPE_CHECKING:
    from megalith.client import Client


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a compilation is: its stage, the share that is done, seconds since the request arrived."""

    stage: str
    fraction: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class TransformStep:
    """One transform's work on a program."""

    transform: str
    eqns_in: int
    eqns_out: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class TracedProgram:
    """A program after its transforms."""

    jaxpr: str
    program_bytes: bytes = dataclasses.field(repr=False)
    inputs: Tuple[ArrayType, ...]
    outputs: Tuple[ArrayType, ...]
    key: str
    steps: Tuple[TransformStep, ...]
    timings: Mapping[str, float]
    trace_id: str

    def __str__(self) -> str:
        return self.jaxpr

    def _repr_html_(self) -> str:
        rows = [(s.transform, f"{s.eqns_in} -> {s.eqns_out}", f"{s.seconds * 1e3:.2f} ms") for s in self.steps]
        return (display.table(f"Program {display.signature(self.inputs, self.outputs)}", rows,
                              ("transform", "equations", "time")) + display.folded("jaxpr", self.jaxpr))


@dataclasses.dataclass(frozen=True)
class LoweredProgram:
    """A program as StableHLO."""

    stablehlo: str = dataclasses.field(repr=False)
    inputs: Tuple[ArrayType, ...]
    outputs: Tuple[ArrayType, ...]
    canonical_digest: str
    key: str
    steps: Tuple[TransformStep, ...]
    timings: Mapping[str, float]
    trace_id: str

    def __str__(self) -> str:
        return self.stablehlo

    def _repr_html_(self) -> str:
        rows = [("canonical digest", self.canonical_digest), ("key", self.key)]
        return (display.table(f"StableHLO {display.signature(self.inputs, self.outputs)}", rows)
                + display.folded("module", self.stablehlo))


@dataclasses.dataclass(frozen=True)
class Cost:
    """An estimate from the program alone."""

    flops: float
    transcendentals: float
    bytes_accessed: float
    peak_bytes: float


@dataclasses.dataclass(frozen=True, eq=False)
class Executable:
    """A compiled program of the fleet. Calling it runs it: arrays in, a list of arrays out."""

    key: str
    inputs: Tuple[ArrayType, ...]
    outputs: Tuple[ArrayType, ...]
    cost: Cost
    cache: str
    timings: Mapping[str, float]
    trace_id: str
    client: "Client" = dataclasses.field(repr=False)
    package: bytes = dataclasses.field(default=b"", repr=False)

    def __call__(self, *args: Any, timeout: Optional[float] = None) -> List[np.ndarray]:
        """The results on `args`, which are arrays or Buffers, in the order of the signature."""
        return self.client.execute(self, *args, timeout=timeout).results

    def _repr_html_(self) -> str:
        rows: List[Tuple[str, Any]] = [("key", self.key), ("cache", self.cache), ("flops", f"{self.cost.flops:,.0f}"),
                                       ("memory at peak", display.size(self.cost.peak_bytes))]
        rows += [(name, f"{seconds * 1e3:.2f} ms") for name, seconds in self.timings.items()]
        return display.table(f"Executable {display.signature(self.inputs, self.outputs)}", rows)


class Buffer:
    """An array that stays with the execute service until free(), or until the service ends.

    numpy.asarray(buffer) and buffer.numpy() bring it here. As a context manager it is freed at the end.
    """

    def __init__(self, client: "Client", handle: str, type: ArrayType) -> None:
        self.client = client
        self.handle = handle
        self.type = type

    @property
    def shape(self) -> Tuple[int, ...]:
        """Sizes of the dimensions."""
        return self.type.shape

    def numpy(self, timeout: Optional[float] = None) -> np.ndarray:
        """The elements, copied here."""
        return self.client.get(self, timeout=timeout)

    def free(self) -> None:
        """Gives the memory back; again is no error."""
        self.client.free(self)

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def __enter__(self) -> "Buffer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.free()

    def __repr__(self) -> str:
        return f"Buffer({self.type}, {self.handle!r})"

    def _repr_html_(self) -> str:
        return display.table(f"Buffer {self.type}", [("size", display.size(self.type.nbytes)), ("handle", self.handle),
                                                     ("at", self.client.address)])


@dataclasses.dataclass(frozen=True)
class KernelTime:
    """One kernel of a profiled run, over all its calls."""

    name: str
    kind: str
    shapes: str
    calls: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Execution:
    """One run: arrays, or Buffers where they were asked for."""

    results: List[Any]
    key: str
    timings: Mapping[str, float]
    trace_id: str
    profile: Tuple[KernelTime, ...] = ()

    def _repr_html_(self) -> str:
        rows = [(f"result {i}", str(getattr(r, "type", None) or f"{r.dtype}{list(r.shape)}"))
                for i, r in enumerate(self.results)]
        rows += [(name, f"{seconds * 1e3:.2f} ms") for name, seconds in self.timings.items()]
        rows += [(k.name, f"{k.calls} calls, {k.seconds * 1e6:.1f} us") for k in self.profile]
        return display.table(f"Run of {self.key[:16]}", rows)


@dataclasses.dataclass(frozen=True)
class LedgerEntry:
    """A decision of a service, and on what grounds. Hashes chain every entry to the one before."""

    sequence: int
    time: datetime.datetime
    service: str
    kind: str
    trace_id: str
    decision: str
    outcome: str
    policy: str
    alternatives: Tuple[str, ...]
    inputs: Dict[str, str]
    evidence: Dict[str, str]
    key: str
    previous_sha256: str
    sha256: str

    def _repr_html_(self) -> str:
        return display.table(f"Entry {self.sequence} of {self.service}",
                             [(f.name, getattr(self, f.name)) for f in dataclasses.fields(self)])


class LedgerEntries(List[LedgerEntry]):
    """Entries, oldest first; a table in notebooks."""

    def _repr_html_(self) -> str:
        rows = [(e.sequence, f"{e.time:%H:%M:%S.%f}"[:-3], e.service, e.kind, e.decision, e.outcome, e.key[:12],
                 e.trace_id[:12]) for e in self]
        return display.table(f"{len(self)} entries", rows,
                             ("entry", "time", "service", "kind", "decision", "outcome", "key", "trace"))


@dataclasses.dataclass(frozen=True)
class LedgerCheck:
    """Whether a ledger is as it was written; if not, the first entry that is not."""

    intact: bool
    entries: int
    head_sha256: str
    broken_sequence: int = 0
    broken_segment: str = ""
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class CacheEntry:
    """An entry of the cache without its value."""

    key: str
    kind: str
    components: Dict[str, str]
    value_bytes: int
    created: datetime.datetime
    in_memory: bool


@dataclasses.dataclass(frozen=True)
class CacheStatus:
    """Totals of the cache, by the names of megalith.cache.v1.StatResponse, and the entries that were asked for."""

    totals: Dict[str, int]
    found: Tuple[CacheEntry, ...]

    def _repr_html_(self) -> str:
        return display.table("Cache", [(k, display.size(v) if k.endswith("_bytes") else v)
                                       for k, v in self.totals.items()])


@dataclasses.dataclass(frozen=True)
class ScrubStatus:
    """How far a pass over the cache is, by the names of megalith.cache.v1.ScrubStatus."""

    state: str
    numbers: Dict[str, int]
    repairs: Tuple[Dict[str, Any], ...]


@dataclasses.dataclass(frozen=True)
class ProcessInfo:
    """What a process of the fleet is."""

    process: str
    version: str
    services: Tuple[str, ...]
    started: datetime.datetime


def time_of(unix_nanos: int) -> datetime.datetime:
    """A time of the wire, in UTC."""
    return datetime.datetime.fromtimestamp(unix_nanos / 1e9, datetime.timezone.utc)
