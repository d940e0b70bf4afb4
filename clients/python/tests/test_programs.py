"""save_program and load_program, and stored programs on a real fleet."""

import collections
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import megalith
from megalith.errors import Code, MegalithError

Pair = collections.namedtuple("Pair", ["left", "right"])
PARAMS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, np.float32), "none": None}


def model(params, x):
    assert isinstance(params, dict)
    y = jnp.tanh(x @ params["w"] + params["b"])
    return {"y": y, "pair": Pair(y.sum(), [x])}


def failed(call):
    with pytest.raises(MegalithError) as caught:
        call()
    return caught.value


def test_what_is_saved_is_loaded(tmp_path):
    x = np.ones((4, 2), np.float32)
    saved = megalith.save_program(model, (PARAMS, x), tmp_path / "model")
    loaded = megalith.load_program(tmp_path / "model")
    assert loaded == saved
    assert [str(t) for t in loaded.inputs] == ["f32[3]", "f32[2,3]", "f32[4,2]"]
    assert "f32[4,3]" in loaded._repr_html_()
    result = loaded(PARAMS, x)
    assert result["pair"]._fields == ("left", "right")
    np.testing.assert_array_equal(result["y"], jax.jit(model)(PARAMS, x)["y"])


def test_jax_reads_the_file(tmp_path):
    megalith.save_program(jnp.sin, (1.0,), tmp_path / "sine")
    exported = jax.export.deserialize(bytearray((tmp_path / "sine").read_bytes()))
    assert exported.platforms == ("cpu",)


def test_transforms_static_and_keyword_arguments(tmp_path):
    def power(x, n, scale):
        return scale * x**n
    program = megalith.save_program(power, (np.float32(3), 2), tmp_path / "p", static_argnums=1, kwargs={"scale": 5.0},
                                    transforms=["grad"])
    assert program(np.float32(3)) == 30
    assert program.transforms == ("grad(argnums=0, has_aux=False)",)


def test_named_tuples_reach_the_function_as_they_were(tmp_path):
    program = megalith.save_program(lambda p: Pair(p.right, p.left), (Pair(np.float32(1), np.int32(2)),), tmp_path / "p")
    assert tuple(program(Pair(np.float32(1), np.int32(2)))) == (2, 1)


def test_wrong_arguments_are_refused(tmp_path):
    program = megalith.save_program(model, (PARAMS, np.ones((4, 2), np.float32)), tmp_path / "model")
    x = np.ones((4, 2), np.float32)
    assert "takes 2" in failed(lambda: program.flatten(PARAMS)).message
    assert "f32[4,2]" in failed(lambda: program.flatten(PARAMS, x[:1])).message
    assert "keys" in failed(lambda: program.flatten({"w": PARAMS["w"]}, x)).message
    assert "None" in failed(lambda: program.flatten(dict(PARAMS, none=1), x)).message


def test_what_a_file_cannot_hold_is_refused(tmp_path):
    assert failed(lambda: megalith.save_program(lambda s: 1.0, ("text",), tmp_path / "p")).code == Code.INVALID_ARGUMENT
    assert failed(lambda: megalith.save_program(lambda d: 1.0, ({(1, 2): 1.0},), tmp_path / "p")).code == \
        Code.INVALID_ARGUMENT
    key = jax.random.key(0)
    assert "key_data" in failed(lambda: megalith.save_program(lambda k: 1.0, (key,), tmp_path / "p")).message
    assert failed(lambda: megalith.save_program(jnp.sin, (1.0,), tmp_path / "p", transforms=["jvp"])).code == \
        Code.INVALID_ARGUMENT


@pytest.mark.parametrize("damage", [
    {"format": "other"}, {"version": 2}, {"sha256": "0" * 64}, {"arguments": "*"}, {"arguments": {"tuple": ["*", "*"]}},
    {"arguments": {"tuple": [{"named_tuple": "no name", "fields": [], "items": []}, "*"]}}, {"inputs": 1},
    {"inputs": [{}]}, {"results": {"set": []}}, {"results": 7}, {"name": None, "outputs": None}])
def test_damaged_sidecars_are_refused(tmp_path, damage):
    megalith.save_program(jnp.sin, (1.0,), tmp_path / "p")
    path = tmp_path / "p.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    failed(lambda: megalith.load_program(tmp_path / "p"))
    path.write_text("{")
    assert failed(lambda: megalith.load_program(tmp_path / "p")).code == Code.DATA_LOSS
    path.unlink()
    assert failed(lambda: megalith.load_program(tmp_path / "p")).code == Code.NOT_FOUND


def test_a_fleet_runs_it(fleet, tmp_path):
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)
    megalith.save_program(model, (PARAMS, x), tmp_path / "model")
    result = fleet.run_program(tmp_path / "model", PARAMS, x)
    expected = jax.jit(model)(PARAMS, x)
    np.testing.assert_allclose(result["y"], expected["y"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(result["pair"].left, expected["pair"].left, rtol=1e-5)
    np.testing.assert_array_equal(fleet.run_program(tmp_path / "model", PARAMS, 2 * x)["pair"].right[0], 2 * x)


def test_a_fleet_runs_what_needs_lapack(fleet, tmp_path):
    a = np.array([[2, 1], [1, 3]], np.float32)
    program = megalith.save_program(jnp.linalg.eigvalsh, (a,), tmp_path / "eigh")
    np.testing.assert_allclose(fleet.run_program(program, a), np.linalg.eigvalsh(a), rtol=1e-5)
