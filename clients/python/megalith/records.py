"""Cache, ledger and health of a fleet; parts of megalith.client.Client."""

import hashlib
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from megalith.results import (CacheEntry, CacheStatus, LedgerCheck, LedgerEntries, LedgerEntry, ScrubStatus, time_of)
from megalith.wire import Wire

_CACHE = "megalith.cache.v1.CacheService"
_LEDGER = "megalith.ledger.v1.LedgerService"
_HEALTH = "grpc.health.v1.Health"
_CHUNK_BYTES = 1 << 20
_PAGE = 1000


class Cache:
    """The content-addressed store."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def get(self, key: str, timeout: Optional[float] = None) -> bytes:
        """An entry's value. NOT_FOUND if there is none."""
        method = f"{_CACHE}/GetStream"
        chunks = self._wire.stream(method, self._wire.request(method, key=key), timeout)
        return b"".join(c.data for c in chunks)

    def info(self, key: str, timeout: Optional[float] = None) -> Optional[CacheEntry]:
        """What is known about an entry; None if there is none."""
        return next(iter(self.stat([key], timeout).found), None)

    def put(self, key: str, kind: str, components: Mapping[str, str], value: bytes,
            timeout: Optional[float] = None) -> bool:
        """Stores an entry; False if the key was there. `components` are the texts that the key covers."""
        method = f"{_CACHE}/PutStream"
        parts = [{"name": name, "digest": hashlib.sha256(text.encode()).hexdigest(), "text": text}
                 for name, text in sorted(components.items())]

        def chunks() -> Iterator[Any]:
            first = {"key": key, "kind": kind, "components": parts, "value": value[:_CHUNK_BYTES]}
            yield self._wire.request(method, first=first, total_bytes=len(value))
            for at in range(_CHUNK_BYTES, len(value), _CHUNK_BYTES):
                yield self._wire.request(method, data=value[at:at + _CHUNK_BYTES])
        return not self._wire.unary(method, chunks(), timeout).already_present

    def missing(self, keys: Sequence[str], timeout: Optional[float] = None) -> List[str]:
        """Which of the keys have no entry."""
        method = f"{_CACHE}/FindMissing"
        return list(self._wire.unary(method, self._wire.request(method, keys=keys), timeout).missing)

    def stat(self, keys: Sequence[str] = (), timeout: Optional[float] = None) -> CacheStatus:
        """Totals, and what is known about the given keys."""
        method = f"{_CACHE}/Stat"
        answer = self._wire.unary(method, self._wire.request(method, keys=keys), timeout)
        totals = {f.name: getattr(answer, f.name) for f in answer.DESCRIPTOR.fields if f.name != "found"}
        return CacheStatus(totals, tuple(map(_entry, answer.found)))

    def evict(self, keys: Sequence[str] = (), down_to_bytes: Optional[int] = None,
              timeout: Optional[float] = None) -> int:
        """Removes keys, or the least recently used entries down to a size; how many are gone."""
        method = f"{_CACHE}/Evict"
        size = {} if down_to_bytes is None else {"down_to_bytes": down_to_bytes}
        return int(self._wire.unary(method, self._wire.request(method, keys=keys, **size), timeout).removed)

    def explain(self, left: str, right: str, timeout: Optional[float] = None) -> Dict[str, Tuple[str, str]]:
        """In which components two keys differ: name -> their texts, or digests where they are long; "" is none."""
        method = f"{_CACHE}/Explain"
        answer = self._wire.unary(method, self._wire.request(method, left=left, right=right), timeout)
        return {d.name: (_shown(d.left), _shown(d.right)) for d in answer.differences}

    def scrub(self, bytes_per_second: int = 0, timeout: Optional[float] = None) -> Iterator[ScrubStatus]:
        """Checks and repairs all entries; yields how far it is, last the outcome."""
        method = f"{_CACHE}/Scrub"
        for status in self._wire.stream(method, self._wire.request(method, bytes_per_second=bytes_per_second), timeout):
            yield self._scrub_status(status)

    def control_scrub(self, action: str = "unspecified", bytes_per_second: int = 0,
                      timeout: Optional[float] = None) -> ScrubStatus:
        """State of the scrub; `action` may be pause, resume or stop."""
        method = f"{_CACHE}/ControlScrub"
        number = self._wire.schemas.enum_number("megalith.cache.v1.ControlScrubRequest.Action", action)
        request = self._wire.request(method, action=number, bytes_per_second=bytes_per_second)
        return self._scrub_status(self._wire.unary(method, request, timeout))

    def _scrub_status(self, status: Any) -> ScrubStatus:
        numbers = {f.name: getattr(status, f.name) for f in status.DESCRIPTOR.fields
                   if f.name not in ("state", "repairs")}
        repairs = tuple({f.name: getattr(r, f.name) for f in r.DESCRIPTOR.fields} for r in status.repairs)
        state = self._wire.schemas.enum_name("megalith.cache.v1.ScrubStatus.State", status.state)
        return ScrubStatus(state.lower(), numbers, repairs)


class Ledger:
    """The hash-chained record of what a service decided."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def query(self, *, kind: str = "unspecified", service: str = "", trace_id: str = "", key: str = "",
              since_unix_nanos: int = 0, until_unix_nanos: int = 0, limit: Optional[int] = None,
              timeout: Optional[float] = None) -> LedgerEntries:
        """Entries that match all given filters, oldest first, at most `limit`. Kinds: transform, lower, compile, ..."""
        method = f"{_LEDGER}/Query"
        number = self._wire.schemas.enum_number("megalith.ledger.v1.Kind", kind)
        entries, page = LedgerEntries(), ""
        while limit is None or len(entries) < limit:
            request = self._wire.request(
                method, kind=number, service=service, trace_id=trace_id, key=key, since_unix_nanos=since_unix_nanos,
                until_unix_nanos=until_unix_nanos, page_token=page,
                page_size=_PAGE if limit is None else min(_PAGE, limit - len(entries)))
            answer = self._wire.unary(method, request, timeout)
            entries.extend(map(self._entry, answer.entries))
            page = answer.next_page_token
            if not page:
                break
        return entries

    def verify(self, timeout: Optional[float] = None) -> LedgerCheck:
        """Reads the whole ledger and checks every hash."""
        method = f"{_LEDGER}/Verify"
        a = self._wire.unary(method, self._wire.request(method), timeout)
        return LedgerCheck(a.intact, a.entries, a.head_sha256, a.broken_sequence, a.broken_segment, a.reason)

    def append(self, kind: str, decision: str, *, outcome: str = "ok", policy: str = "", key: str = "",
               alternatives: Sequence[str] = (), inputs: Optional[Mapping[str, str]] = None,
               evidence: Optional[Mapping[str, str]] = None, timeout: Optional[float] = None) -> int:
        """Adds an entry and returns its position once it is on the device. `inputs` are SHA-256 digests by name."""
        method = f"{_LEDGER}/Append"
        entry = {
            "kind": self._wire.schemas.enum_number("megalith.ledger.v1.Kind", kind), "decision": decision,
            "outcome": outcome, "policy": policy, "key": key, "alternatives": list(alternatives),
            "inputs": [{"name": n, "sha256": d} for n, d in (inputs or {}).items()],
            "evidence": [{"name": n, "value": v} for n, v in (evidence or {}).items()]}
        return int(self._wire.unary(method, self._wire.request(method, entry=entry), timeout).sequence)

    def _entry(self, e: Any) -> LedgerEntry:
        return LedgerEntry(
            sequence=e.sequence, time=time_of(e.unix_nanos), service=e.service,
            kind=self._wire.schemas.enum_name("megalith.ledger.v1.Kind", e.kind).lower(), trace_id=e.trace_id,
            decision=e.decision, outcome=e.outcome, policy=e.policy, alternatives=tuple(e.alternatives),
            inputs={d.name: d.sha256 for d in e.inputs}, evidence={v.name: v.value for v in e.evidence}, key=e.key,
            previous_sha256=e.previous_sha256, sha256=e.sha256)


class Health:
    """Whether services serve."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def check(self, service: str = "", timeout: Optional[float] = None) -> str:
        """"SERVING" or "NOT_SERVING" of a service by its full name, or of the process."""
        method = f"{_HEALTH}/Check"
        return self._name(self._wire.unary(method, self._wire.request(method, service=service), timeout))

    def watch(self, service: str = "", timeout: Optional[float] = None) -> Iterator[str]:
        """The state now and whenever it changes, until `timeout`."""
        method = f"{_HEALTH}/Watch"
        yield from map(self._name, self._wire.stream(method, self._wire.request(method, service=service), timeout))

    def _name(self, answer: Any) -> str:
        return self._wire.schemas.enum_name("grpc.health.v1.HealthCheckResponse.ServingStatus", answer.status)


def _entry(info: Any) -> CacheEntry:
    return CacheEntry(info.key, info.kind, {c.name: _shown(c) for c in info.components}, info.value_bytes,
                      time_of(info.created_unix_nanos), info.in_memory)


def _shown(component: Any) -> str:
    return component.text or component.digest
