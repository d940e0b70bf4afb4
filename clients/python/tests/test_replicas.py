"""Addresses by name, against servers of these tests' own."""

import concurrent.futures
import sys
import time
import types

import grpc
import pytest

from megalith import replicas
from megalith.errors import Code, MegalithError


def eventually(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Server:
    """Answers every method with `answer`, or with its own number."""

    def __init__(self, answer=b""):
        self.answer = answer
        self.calls = 0
        handler = grpc.unary_unary_rpc_method_handler(self._call)
        generic = type("Handler", (grpc.GenericRpcHandler,), {"service": lambda _, details: handler})()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), handlers=[generic])
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def _call(self, request, context):
        self.calls += 1
        return self.answer

    def stop(self):
        self.server.stop(0).wait()


@pytest.fixture
def servers():
    started = [Server(), Server()]
    yield started
    for server in started:
        server.stop()


def call(picked):
    return picked[1].unary_unary("/s/m")(b"", timeout=10)


class List(replicas.Source):
    def __init__(self, *addresses):
        self.list, self.age = addresses, None

    def addresses(self):
        return tuple(self.list)

    def stale(self):
        return self.age


def test_replicas_take_turns_and_come_and_go(servers):
    source = List(servers[0].address)
    channels = replicas.Replicas("x", source, grpc.insecure_channel)
    call(channels.pick())
    source.list = [s.address for s in servers]
    for _ in range(10):
        call(channels.pick())
    assert (servers[0].calls, servers[1].calls) == (6, 5)
    source.list = []
    with pytest.raises(MegalithError, match="no replica of 'x' is registered$") as caught:
        channels.pick()
    assert caught.value.code == Code.UNAVAILABLE
    source.age = 7.0
    with pytest.raises(MegalithError, match="the list is 7 s old"):
        channels.pick()
    channels.close()


def test_dead_replicas_are_passed_over(servers):
    channels = replicas.Replicas("x", List(*(s.address for s in servers)), grpc.insecure_channel)
    for _ in range(4):
        call(channels.pick())
    servers[0].stop()
    eventually(lambda: channels.pick()[0] and servers[0].address in channels._down)
    for _ in range(6):
        assert channels.pick()[0] == servers[1].address
    assert channels.pick([servers[1].address])[0] == servers[0].address  # of two, the one that was not tried
    channels.close()


def test_files_are_read_again_and_damage_leaves_the_last(tmp_path):
    path, now = tmp_path / "fleet.conf", [0.0]
    path.write_text("trace = b:1, a:1  # two\ncache = c:1\n")
    source = replicas.File(str(path), "trace", lambda: now[0])
    assert source.addresses() == ("a:1", "b:1")
    path.write_text("trace = d:1\n")
    assert source.addresses() == ("a:1", "b:1")
    now[0] = 3.0
    assert source.addresses() == ("d:1",) and source.stale() is None
    path.write_text("no equals sign\n")
    now[0] = 6.0
    assert source.addresses() == ("d:1",) and source.stale() == 3.0
    with pytest.raises(MegalithError) as caught:
        replicas.File(str(tmp_path / "none"), "trace")
    assert caught.value.code == Code.NOT_FOUND


# ps:0 at a:1 and b:1, ps:1 without any.
HEARTBEAT = bytes.fromhex("0a120a0470733a30120a0a03613a310a03623a31" "0a080a0470733a311200")


def test_heartbeats_are_read():
    assert replicas.heartbeat_addresses(HEARTBEAT) == {"ps:0": ["a:1", "b:1"], "ps:1": []}
    assert replicas.heartbeat_addresses(b"") == {}
    for cut in range(1, len(HEARTBEAT)):
        try:
            replicas.heartbeat_addresses(HEARTBEAT[:cut])
        except ValueError:
            pass


def test_agents_are_asked_again_and_their_last_answer_stays():
    agent = Server(HEARTBEAT)
    source = replicas.Agent(grpc, agent.address, "ps:0", seconds=0.02)
    assert source.addresses() == ("a:1", "b:1") and source.stale() is None
    agent.answer = b""
    eventually(lambda: source.addresses() == ())
    agent.answer = HEARTBEAT
    eventually(lambda: source.addresses() == ("a:1", "b:1"))
    agent.stop()
    eventually(lambda: source.stale() is not None)
    assert source.addresses() == ("a:1", "b:1")
    source.close()
    with pytest.raises(MegalithError, match="does not answer"):
        replicas.Agent(grpc, agent.address, "ps:0")
    with pytest.raises(MegalithError, match="ps:0, entry:0"):
        replicas.Agent(grpc, agent.address, "x:0")


class FakeKazoo:
    """What ZooKeeper has of kazoo, driven by the test."""

    def __init__(self, hosts, auth_data=None):
        self.hosts, self.children, self.data = hosts, {}, {}
        FakeKazoo.last = self

    def add_listener(self, listener):
        self.listener = listener

    def start(self, timeout):
        self.listener("CONNECTED")

    def ensure_path(self, path):
        pass

    def ChildrenWatch(self, path):
        return lambda function: self.children.update({path: function})

    def DataWatch(self, path):
        return lambda function: self.data.update({path: function})

    def stop(self):
        pass

    close = stop


@pytest.fixture
def kazoo(monkeypatch):
    client = types.ModuleType("kazoo.client")
    client.KazooClient = FakeKazoo
    monkeypatch.setitem(sys.modules, "kazoo", types.ModuleType("kazoo"))
    monkeypatch.setitem(sys.modules, "kazoo.client", client)


def node(address, stat):
    return f'{{"address": "{address}", "stat": {stat}}}'.encode()


def test_tasks_follow_their_nodes(kazoo):
    source = replicas.open_source(grpc, "zk://h:1,i:1/root/b/service/m/lf:default/ps:0")
    zk, base = FakeKazoo.last, "/b/service/m/lf:default/ps:0"
    assert zk.hosts == "h:1,i:1/root"
    mine, other = types.SimpleNamespace(ephemeralOwner=1), types.SimpleNamespace(ephemeralOwner=2)
    zk.children[base](["1", "2"])
    zk.data[f"{base}/1"](node("a:1", 30), mine)
    zk.data[f"{base}/2"](b"damaged", other)
    assert source.addresses() == ("a:1",)
    zk.data[f"{base}/1"](node("a:1", 0), mine)  # flaps
    assert source.addresses() == ("a:1",)
    zk.data[f"{base}/1"](node("a:1", 0), other)  # another one
    assert source.addresses() == ()
    zk.data[f"{base}/2"](node("b:1", 30), other)
    zk.listener("SUSPENDED")
    assert source.addresses() == ("b:1",) and source.stale() >= 0
    zk.listener("CONNECTED")
    zk.children[base](["1"])
    assert source.addresses() == () and source.stale() is None


def test_services_follow_their_names(kazoo, monkeypatch):
    monkeypatch.setenv("MEGALITH_DISCOVERY", "zk://h:1/prod")
    source = replicas.open_source(grpc, "megalith:///table")
    assert FakeKazoo.last.hosts == "h:1/prod"
    FakeKazoo.last.children["/megalith/services/table"](["a:1", "unix:%2frun%2fx"])
    assert source.addresses() == ("a:1", "unix:/run/x")


def test_targets_that_name_nothing_are_refused(monkeypatch):
    monkeypatch.delenv("MEGALITH_DISCOVERY", raising=False)
    assert replicas.open_source(grpc, "a:1, b:2").addresses() == ("a:1", "b:2")
    for target in ("zk://h:1", "zk://h:1/", "megalith:///", "zk://h:1//x", "megalith:///table"):
        with pytest.raises(MegalithError) as caught:
            replicas.open_source(grpc, target)
        assert caught.value.code == Code.INVALID_ARGUMENT
    monkeypatch.setitem(sys.modules, "kazoo", None)
    with pytest.raises(MegalithError, match="pip install kazoo"):
        replicas.open_source(grpc, "zk://h:1/table")
