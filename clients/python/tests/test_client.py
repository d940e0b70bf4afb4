"""The client against a real fleet."""

import socket
import threading

import ml_dtypes
import numpy as np
import pytest

import megalith.client
from megalith import transforms
from megalith.errors import Code, MegalithError

SINES = """{ lambda ; a:f32[3]. let
    b:f32[3] = sin a
    c:f32[] = reduce_sum[axes=(0,) out_sharding=None] b
  in (c,) }"""
X = np.array([0.0, 0.5, 1.0], np.float32)
ADD = """module { func.func public @main(%a: tensor<2xDTYPE>) -> tensor<2xDTYPE> { return %a : tensor<2xDTYPE> } }"""


def failed(call):
    with pytest.raises(MegalithError) as caught:
        call()
    return caught.value


def test_trace_gives_the_gradient(fleet):
    traced = fleet.trace(SINES, ["grad", transforms.jit()])
    assert "cos" in traced.jaxpr
    assert [str(t) for t in traced.outputs] == ["f32[3]"]
    assert [s.transform for s in traced.steps][0].startswith("grad")
    assert fleet.trace(traced).jaxpr == traced.jaxpr


def test_lower_compile_execute(fleet):
    stages = []
    executable = fleet.compile(fleet.lower(SINES, ["grad"]), progress=lambda p: stages.append(p.stage))
    np.testing.assert_allclose(executable(X)[0], np.cos(X), rtol=1e-6)
    assert stages
    assert fleet.compile(fleet.lower(SINES, ["grad"])).cache == "hit"
    assert executable([0, 0, 0])[0].tolist() == [1, 1, 1]  # lists take the program's dtype
    assert fleet.load(executable)
    assert fleet.unload(executable)
    assert len(fleet.package(executable)) > 0


def test_run_answers_with_a_key(fleet):
    first = fleet.run(SINES, X, transforms=["value_and_grad"], profile=True)
    again = fleet.execute(first.key, X)
    assert first.results[0] == again.results[0]
    np.testing.assert_array_equal(first.results[1], again.results[1])
    assert first.profile and first.trace_id


def test_python_numbers_take_the_dtype_of_the_program(fleet):
    program = "{ lambda ; a:f32[] b:i32[]. let c:f32[] = sin a in (c, b) }"
    first = fleet.run(program, 0, 3)
    assert [(r.dtype, float(r)) for r in first.results] == [(np.float32, 0.0), (np.int32, 3.0)]
    assert fleet.execute(first.key, 0, 4).results[1] == 4
    answer, = fleet.execute_stream([(first.key, (0, 5))])
    assert answer.results[1] == 5
    with pytest.raises(MegalithError, match="does not fit i32"):
        fleet.execute(first.key, 0, 2**40)
    module = ADD.replace("2xDTYPE", "f64")
    assert fleet.run(module, 0.1).results[0] == 0.1  # with all its digits
    with pytest.raises(MegalithError, match="argument 1 expects i32"):
        fleet.execute(first.key, 0, 1.5)


def test_exports_run_in_one_call(fleet):
    import jax
    import jax.numpy as jnp

    def function(x):
        return jnp.sin(x).sum()
    exported = jax.export.export(jax.jit(function), platforms=["cpu"])(X).serialize()
    first = fleet.run(exported, X)
    np.testing.assert_allclose(first.results[0], np.sin(X).sum(), rtol=1e-6)
    assert fleet.run(bytes(exported), X).key == first.key
    text = jax.jit(function).lower(X).as_text()
    assert fleet.run(text, X).key == first.key
    lowered = fleet.lower(exported)
    assert fleet.run(lowered, X).key == first.key
    assert fleet.compile(lowered).key == first.key


def test_exports_are_transformed(fleet):
    import jax
    import jax.numpy as jnp
    exported = jax.export.export(jax.jit(lambda x: jnp.sin(x).sum()), platforms=["cpu"])(X).serialize()
    gradient = fleet.run(exported, X, transforms=["grad"])
    np.testing.assert_allclose(gradient.results[0], np.cos(X), rtol=1e-6)
    assert "cos" in fleet.trace(exported, ["grad"]).jaxpr
    batch = np.stack([X, 2 * X])
    several = fleet.run(exported, batch, transforms=["vmap"])
    np.testing.assert_allclose(several.results[0], np.sin(batch).sum(1), rtol=1e-6)


def test_make_jaxpr_with_constants(fleet):
    import jax
    table = np.arange(3, dtype=np.float32)
    jaxpr = jax.make_jaxpr(lambda x: x * table)(X)
    np.testing.assert_array_equal(fleet.run(jaxpr, X).results[0], X * table)


@pytest.mark.parametrize("name,dtype", [("bf16", ml_dtypes.bfloat16), ("f8E4M3FN", ml_dtypes.float8_e4m3fn),
                                        ("i4", ml_dtypes.int4), ("ui4", ml_dtypes.uint4), ("i1", np.bool_),
                                        ("f64", np.float64), ("complex<f32>", np.complex64), ("i64", np.int64)])
def test_dtypes_come_back_as_they_went(fleet, name, dtype):
    value = np.array([1, 0]).astype(dtype)
    result = fleet.compile(ADD.replace("DTYPE", name))(value)[0]
    assert result.dtype == value.dtype
    assert result.tobytes() == value.tobytes()


def test_buffers_stay_and_are_freed(fleet):
    executable = fleet.compile(fleet.lower(SINES, ["grad"]))
    with fleet.put(X) as buffer:
        assert buffer.shape == (3,)
        np.testing.assert_array_equal(np.asarray(buffer), X)
        kept = fleet.execute(executable, buffer, return_buffers=True).results[0]
        np.testing.assert_allclose(kept.numpy(), np.cos(X), rtol=1e-6)
        assert fleet.free(kept) == 1
        assert fleet.free(kept) == 0
    assert failed(buffer.numpy).code == Code.NOT_FOUND


def test_arrays_above_the_message_limit(fleet):
    n = 18 << 20  # 72 MiB
    program = ADD.replace("2xDTYPE", f"{n}xf32")
    value = np.arange(n, dtype=np.float32)
    np.testing.assert_array_equal(fleet.compile(program)(value)[0], value)


def test_stream_goes_on_after_an_error(fleet):
    executable = fleet.compile(fleet.lower(SINES))
    answers = list(fleet.execute_stream([(executable, [X]), ("0" * 64, [X]), (executable, [X])]))
    assert isinstance(answers[1], MegalithError) and answers[1].code == Code.NOT_FOUND
    assert answers[0].results[0] == answers[2].results[0]


def test_errors_tell_where(fleet):
    error = failed(lambda: fleet.trace("{ lambda ; a:f32[]. let\n    b:f32[] = frobnicate a in (b,) }"))
    assert error.code in (Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED)
    assert "frobnicate" in error.message
    assert error.trace_id
    assert error.method.endswith("TraceService/Trace")
    bad = failed(lambda: fleet.trace("{ lambda ; a:f32[]. let b = } "))
    assert bad.code == Code.INVALID_ARGUMENT and bad.line == 1 and bad.column > 0


def test_wrong_arguments_are_refused(fleet):
    executable = fleet.compile(fleet.lower(SINES))
    assert failed(lambda: executable(X[:2])).code == Code.INVALID_ARGUMENT
    assert failed(lambda: fleet.trace(SINES, ["sideways"])).code == Code.INVALID_ARGUMENT
    assert failed(lambda: fleet.trace(SINES, "grad")).code == Code.INVALID_ARGUMENT
    assert failed(lambda: fleet.trace(3)).code == Code.INVALID_ARGUMENT
    assert failed(lambda: fleet.put(object())).code == Code.INVALID_ARGUMENT
    assert failed(lambda: fleet.put(2**40)).code == Code.INVALID_ARGUMENT


def test_deadline(fleet):
    assert failed(lambda: fleet.trace(SINES, timeout=0)).code == Code.DEADLINE_EXCEEDED
    with socket.create_server(("127.0.0.1", 0)) as silent, \
            megalith.client.connect(f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.2) as waiting:
        assert failed(lambda: waiting.trace(SINES)).code == Code.DEADLINE_EXCEEDED


def test_nobody_answers():
    with megalith.client.connect("unix:/nonexistent/socket", timeout=5) as nobody:
        assert failed(nobody.info).code in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)
    assert failed(nobody.info).code == Code.FAILED_PRECONDITION
    assert failed(lambda: megalith.client.Client("")).code == Code.INVALID_ARGUMENT
    assert failed(lambda: megalith.client.connect({"toaster": "a:1"})).code == Code.INVALID_ARGUMENT


def test_services_at_addresses_of_their_own(running):
    with megalith.client.connect({"trace": running.address}) as tracing:
        assert tracing.trace(SINES).key
        assert failed(lambda: tracing.put(X)).code == Code.INVALID_ARGUMENT


def test_transforms_read_their_text():
    assert transforms.parse("grad(argnums=(0, 1))") == transforms.grad((0, 1))
    assert transforms.to_wire("vmap(in_axes=(0, None))")["vmap"]["in_axes"] == {"uniform": False,
                                                                              "axis": [{"index": 0}, {}]}
    assert str(transforms.grad()) == "grad(argnums=0, has_aux=False)"


@pytest.mark.parametrize("text,inputs", [
    ("grad(argnums=0)", 1), ("value_and_grad", 1), ("jacfwd", 1), ("jacrev", 1), ("hessian", 1), ("checkpoint", 1),
    ("jvp", 2), ("linearize", 2), ("vjp(num_primals=1)", 2), ("vmap(axis_size=4)", 1), ("jit", 1)])
def test_every_transform_is_taken(fleet, text, inputs):
    assert len(fleet.trace(SINES, [text]).inputs) == inputs


def test_cache(fleet):
    executable = fleet.compile(fleet.lower(SINES, ["jit"]))
    assert fleet.cache.missing([executable.key, "0" * 64]) == ["0" * 64]
    assert fleet.cache.info(executable.key).value_bytes == len(fleet.cache.get(executable.key))
    other = fleet.compile(fleet.lower(SINES, ["grad"]))
    assert "program" in fleet.cache.explain(executable.key, other.key)
    assert fleet.cache.stat().totals["entries"] >= 2
    passes = list(fleet.cache.scrub())
    assert passes[-1].numbers["entries_done"] == passes[-1].numbers["entries_total"]
    assert fleet.cache.control_scrub().state == "idle"
    assert fleet.cache.evict([other.key]) == 1
    assert failed(lambda: fleet.cache.get(other.key)).code == Code.NOT_FOUND


def test_ledger(fleet):
    traced = fleet.trace(SINES, ["hessian"])
    entries = fleet.ledger.query(trace_id=traced.trace_id)
    assert entries and all(e.trace_id == traced.trace_id for e in entries)
    number = fleet.ledger.append("lifecycle", "a test", evidence={"why": "to see it"})
    last = fleet.ledger.query(kind="lifecycle")[-1]
    assert (last.sequence, last.decision, last.evidence) == (number, "a test", {"why": "to see it"})
    assert len(fleet.ledger.query(limit=2)) == 2
    assert fleet.ledger.verify().intact


def test_health(fleet):
    assert fleet.health.check() == "SERVING"
    watched = fleet.health.watch()
    assert next(watched) == "SERVING"
    watched.close()
    assert failed(lambda: fleet.health.check("no.such.Service")).code == Code.NOT_FOUND
    assert fleet.info().process


def test_many_threads(fleet):
    executable = fleet.compile(fleet.lower(SINES, ["grad"]))
    outcomes = []

    def work(n):
        outcomes.append(np.allclose(executable(X + n)[0], np.cos(X + n), rtol=1e-5, atol=1e-6))
    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert outcomes == [True] * 16


def test_reprs_are_html(fleet):
    lowered = fleet.lower(SINES, ["grad"])
    things = [fleet.trace(SINES, ["grad"]), lowered, fleet.compile(lowered), fleet.put(X), fleet.run(SINES, X),
              fleet.ledger.query(limit=3), fleet.ledger.query(limit=1)[0], fleet.cache.stat()]
    for thing in things:
        assert thing._repr_html_().startswith("<table>")
    assert "&lt;2&gt;" in megalith.client.Buffer(fleet, "<2>", megalith.arrays.ArrayType("f32"))._repr_html_()
