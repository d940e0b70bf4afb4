"""Addresses by name: what may stand where the client takes an address, and one channel for each replica.

    host:port, unix:path                     that server
    host:port,host:port                      these replicas
    megalith:///SERVICE                      what MEGALITH_DISCOVERY lists: zk://..., or a file of lines
                                             "service = address, address"
    agent://HOST:PORT/ps:0                   the available replicas of a task, as an agent tells them
    zk://HOST:PORT[,...][/CHROOT]/SERVICE    who registered there (--discovery=zk://...); needs `pip install kazoo`
    zk://HOST:PORT[,...][/CHROOT]/BZID/service/NAME[/IDC:CLUSTER]/ps:0
                                             a task's replicas, as Monolith's agents registered them

The list is followed while the client lives. When what it comes from is lost, the last one stays in use.
"""

import functools
import json
import os
import re
import threading
import time
import urllib.parse
from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Tuple

from megalith.errors import Code, MegalithError, invalid

_AVAILABLE = 30  # ModelVersionStatus.State
_UNKNOWN = 0
_FLAP_SECONDS = 3.0  # how long a replica stays whose state fell to unknown under the same owner
_FILE_SECONDS = 2.0  # how old a file's content may be
_AGENT_SECONDS = 15.0  # between two heartbeats, as Monolith's clients ask
_TASK = re.compile(r"^(/.*)?/([-_0-9A-Za-z]+/service/[-_0-9A-Za-z]+)((?:/[-_0-9A-Za-z]+:[-_0-9A-Za-z]+)?/\w+:\d+)$")
_POLL_SECONDS = 1.0  # five times grpcio's own pace of polling
_TYPES = {"ps": 0, "entry": 1, "dense": 2}


class Source:
    """Where addresses come from. Threads: everything may be called concurrently."""

    def addresses(self) -> Tuple[str, ...]:
        """The replicas now, sorted."""
        raise NotImplementedError

    def stale(self) -> Optional[float]:
        """How many seconds old the list is; None while it is known to be current."""
        return None

    def close(self) -> None:
        """Stops following."""


class Fixed(Source):
    """Addresses that do not change."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self._addresses = tuple(addresses)

    def addresses(self) -> Tuple[str, ...]:
        return self._addresses


class File(Source):
    """One service of a file of lines "service = address, address" with # comments, read again when it is old."""

    def __init__(self, path: str, service: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._service, self._clock = path, service, clock
        self._lock = threading.Lock()
        self._read = self._good = clock()  # guarded by _lock, as the list
        try:
            self._list = self._load()
        except OSError as error:
            raise MegalithError(Code.NOT_FOUND, f"discovery: {error}") from None

    def addresses(self) -> Tuple[str, ...]:
        with self._lock:
            now = self._clock()
            if now - self._read >= _FILE_SECONDS:
                self._read = now
                try:
                    self._list, self._good = self._load(), now
                except (OSError, MegalithError):
                    pass  # the last good content stays in use
            return self._list

    def stale(self) -> Optional[float]:
        with self._lock:
            return None if self._good == self._read else self._clock() - self._good

    def _load(self) -> Tuple[str, ...]:
        found: Tuple[str, ...] = ()
        with open(self._path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                text = line.split("#", 1)[0].strip()
                name, equals, addresses = text.partition("=")
                if text and not equals:
                    raise invalid(f"{self._path}, line {number}: expected 'service = address, address'")
                if name.strip() == self._service:
                    found = tuple(sorted(a.strip() for a in addresses.split(",") if a.strip()))
        return found


class Agent(Source):
    """A task's replicas, asked of AgentService again and again on a thread of its own."""

    def __init__(self, grpc: Any, address: str, task: str, seconds: float = _AGENT_SECONDS) -> None:
        kind = task.partition(":")[0]
        if kind not in _TYPES:
            raise invalid(f"an agent knows tasks such as ps:0, entry:0, dense:0; got '{task}'")
        self._task, self._seconds = task, seconds
        self._request = bytes([8, _TYPES[kind]]) if _TYPES[kind] else b""
        self._channel = grpc.insecure_channel(address)
        self._call = self._channel.unary_unary("/monolith.serving.agent_service.AgentService/HeartBeat")
        self._error = grpc.RpcError
        self._lock = threading.Lock()
        self._list: Tuple[str, ...] = ()  # guarded by _lock, as _good
        self._good: Optional[float] = None
        self._current = False
        self._stop = threading.Event()
        try:
            self._ask()
        except grpc.RpcError as error:
            self._channel.close()
            raise MegalithError(Code.UNAVAILABLE,
                                f"the agent at {address} does not answer: {error.details()}") from None
        self._thread = threading.Thread(target=self._follow, name="megalith-agent", daemon=True)
        self._thread.start()

    def addresses(self) -> Tuple[str, ...]:
        with self._lock:
            return self._list

    def stale(self) -> Optional[float]:
        with self._lock:
            return None if self._current or self._good is None else time.monotonic() - self._good

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._channel.close()

    def _ask(self) -> None:
        found = heartbeat_addresses(self._call(self._request, timeout=5.0)).get(self._task, ())
        with self._lock:
            self._list, self._good, self._current = tuple(sorted(found)), time.monotonic(), True

    def _follow(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._ask()
            except (self._error, ValueError):
                with self._lock:
                    self._current = False


class ZooKeeper(Source):
    """Replicas below a path, followed by kazoo's watches."""

    def __init__(self, servers: str, path: str, is_task: bool, start_seconds: float = 5.0) -> None:
        try:
            from kazoo.client import KazooClient
        except ImportError:
            raise MegalithError(Code.FAILED_PRECONDITION, "zk:// needs kazoo: pip install kazoo, or give "
                                "agent://HOST:PORT/TASK or the addresses") from None
        auth = os.environ.get("ZK_AUTH")
        self._client = KazooClient(hosts=servers, auth_data=[("digest", auth)] if auth else None)
        self._path, self._is_task = path, is_task
        self._lock = threading.Lock()
        # Guarded by _lock: address, owner, held until (0: available).
        self._nodes: Dict[str, Tuple[str, int, float]] = {}
        self._lost: Optional[float] = None  # guarded by _lock
        self._client.add_listener(self._on_state)
        try:
            self._client.start(timeout=start_seconds)
        except Exception as error:  # kazoo has several classes for it, by version
            raise MegalithError(Code.UNAVAILABLE, f"zookeeper at '{servers}' cannot be reached: {error}") from None
        self._watched: Set[str] = set()
        if not is_task:
            self._client.ensure_path(path)  # a watch of children needs a node
        self._client.ChildrenWatch(path)(self._on_children)

    def addresses(self) -> Tuple[str, ...]:
        now = time.monotonic()
        with self._lock:
            return tuple(sorted({a for a, _, until in self._nodes.values() if until == 0 or until > now}))

    def stale(self) -> Optional[float]:
        with self._lock:
            return None if self._lost is None else time.monotonic() - self._lost

    def close(self) -> None:
        self._client.stop()
        self._client.close()

    def _on_state(self, state: str) -> None:
        with self._lock:
            if state == "CONNECTED":
                self._lost = None
            elif self._lost is None:
                self._lost = time.monotonic()

    def _on_children(self, names: List[str]) -> None:
        with self._lock:
            for gone in set(self._nodes) - set(names):
                del self._nodes[gone]
            if not self._is_task:
                self._nodes = {name: (urllib.parse.unquote(name), 0, 0.0) for name in names}
                return
            fresh = [name for name in names if name not in self._watched]
            self._watched = set(names)
        for name in fresh:
            self._client.DataWatch(f"{self._path}/{name}")(lambda data, stat, *_, n=name: self._on_data(n, data, stat))

    def _on_data(self, name: str, data: Optional[bytes], stat: Any) -> Optional[bool]:
        meta = replica_meta(data)
        with self._lock:
            before = self._nodes.pop(name, None)
            if data is None:
                self._watched.discard(name)
                return False  # ends this watch
            if meta is None:
                return None
            address, state = meta
            if state == _AVAILABLE:
                self._nodes[name] = (address, stat.ephemeralOwner, 0.0)
            elif state == _UNKNOWN and before is not None and before[:2] == (address, stat.ephemeralOwner):
                # Python agents fall to 0 for up to a second whenever they register again.
                self._nodes[name] = (address, stat.ephemeralOwner, before[2] or time.monotonic() + _FLAP_SECONDS)
        return None


def replica_meta(data: Optional[bytes]) -> Optional[Tuple[str, int]]:
    """Address and state of a node that an agent wrote; None for what cannot be called or read."""
    try:
        fields = json.loads(data or b"")
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    for key, missing in (("address", "0.0.0.0"), ("address_ipv6", "[::]")):
        address = fields.get(key)
        if isinstance(address, str) and address and not address.startswith(missing):
            state = fields.get("stat")
            return address, state if isinstance(state, int) else _UNKNOWN
    return None


def heartbeat_addresses(message: bytes) -> Dict[str, List[str]]:
    """A HeartBeatResponse as a dictionary. Raises ValueError for bytes that are none."""
    out: Dict[str, List[str]] = {}
    for entry in _fields(message, 1):
        key = b"".join(_fields(entry, 1)).decode()
        out[key] = [a.decode() for addresses in _fields(entry, 2) for a in _fields(addresses, 1)]
    return out


def _fields(message: bytes, number: int) -> List[bytes]:
    """The fields of bytes with this number; the messages here have no others."""
    out, at = [], 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 != 2:
            raise ValueError("not an answer of AgentService")
        size, at = _varint(message, at)
        if size > len(message) - at:
            raise ValueError("an answer of AgentService is cut")
        if tag >> 3 == number:
            out.append(message[at:at + size])
        at += size
    return out


def _varint(message: bytes, at: int) -> Tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value, at
        shift += 7
    raise ValueError("an answer of AgentService is cut")


def open_source(grpc: Any, target: str, discovery: str = "") -> Source:
    """Takes a target apart and begins to follow it. Raises MegalithError for one that names nothing."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme not in ("zk", "megalith", "agent"):
        return Fixed(a.strip() for a in target.split(","))
    authority, _, path = rest.partition("/")
    parts = path.split("/")
    if not path or "" in parts:
        raise invalid(f"'{target}' names no service: write {scheme}://HOST:PORT/SERVICE")
    if scheme == "agent":
        return Agent(grpc, authority, path)
    if not authority:
        discovery = discovery or os.environ.get("MEGALITH_DISCOVERY", "")
        if not discovery:
            raise invalid(f"'{target}' asks discovery, and there is none: set MEGALITH_DISCOVERY=zk://HOST:PORT, or to "
                          "a file")
        if not discovery.startswith("zk://"):
            return File(discovery, parts[-1])
        authority, _, chroot = discovery[len("zk://"):].partition("/")
        path = f"{chroot}/{path}" if chroot else path
        parts = path.split("/")
    task = _TASK.match("/" + path)
    if task is not None:
        return ZooKeeper(authority + (task[1] or ""), f"/{task[2]}{task[3]}", True)
    if parts[-3:-1] == ["megalith", "services"]:
        parts[-3:-1] = []
    chroot = "".join("/" + p for p in parts[:-1])
    return ZooKeeper(authority + chroot, f"/megalith/services/{urllib.parse.quote(parts[-1], safe=':')}", False)


class Replicas:
    """One channel for each replica of a source. Threads: everything may be called concurrently."""

    def __init__(self, target: str, source: Source, make_channel: Callable[[str], Any]) -> None:
        self._target, self._source, self._make = target, source, make_channel
        self._lock = threading.Lock()
        self._channels: Dict[str, Any] = {}  # guarded by _lock, as all below
        self._watches: Dict[str, Callable[[Any], None]] = {}
        self._down: Set[str] = set()
        self._ready: Set[str] = set()  # connected once
        self._next = 0

    def pick(self, tried: Iterable[str] = ()) -> Tuple[str, Any]:
        """The next replica that is not known to be down, else any; those tried only if there is no other."""
        addresses = self._source.addresses()
        with self._lock:
            for address in addresses:
                if address not in self._channels:
                    self._channels[address] = self._make(address)
                if len(addresses) > 1 and address not in self._watches:
                    channel = self._channels[address]
                    watch = self._watches[address] = functools.partial(self._on_state, address, channel)
                    channel.subscribe(watch)
            for gone in set(self._channels) - set(addresses):
                channel = self._channels.pop(gone)  # calls under way keep it
                if gone in self._watches:
                    channel.unsubscribe(self._watches.pop(gone))
                self._down.discard(gone)
                self._ready.discard(gone)
            fresh = [a for a in addresses if a not in set(tried)] or list(addresses)
            alive = [a for a in fresh if a not in self._down] or fresh
            if not alive:
                age = self._source.stale()
                lost = f"; the list is {age:.0f} s old, because discovery cannot be reached" if age else ""
                raise MegalithError(Code.UNAVAILABLE, f"no replica of '{self._target}' is registered{lost}")
            self._next += 1
            address = alive[self._next % len(alive)]
            return address, self._channels[address]

    def __len__(self) -> int:
        return len(self._source.addresses())

    def close(self) -> None:
        """Ends all channels; those that were watched a moment later, when gRPC's threads behind them are gone."""
        self._source.close()
        with self._lock:
            for address, channel in self._channels.items():
                if address not in self._watches:
                    channel.close()
                    continue
                channel.unsubscribe(self._watches[address])
                later = threading.Timer(_POLL_SECONDS, channel.close)
                later.daemon = True
                later.start()

    def _on_state(self, address: str, channel: Any, state: Any) -> None:
        with self._lock:
            if state.name == "READY":
                self._ready.add(address)
                self._down.discard(address)
                return
            # gRPC calls a connection that was lost idle; a call on it would only find out that nobody listens.
            lost = state.name == "IDLE" and address in self._ready
            if lost or state.name == "TRANSIENT_FAILURE":
                self._down.add(address)
        if lost:
            channel.subscribe(_ignore, try_to_connect=True)
            channel.unsubscribe(_ignore)


def _ignore(state: Any) -> None:
    """A watch that is set for its connecting alone."""
