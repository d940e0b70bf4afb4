"""Runs in a root folder without packages of the build machine (test_wheel.sh): what the wheel carries must do."""

import concurrent.futures
import importlib.util
import os
import re

import jax
import jax.numpy as jnp
import numpy as np

import megalith
import megalith.wire

if importlib.util.find_spec("tensorflow"):  # before the plugin: its symbols must not reach us
    import tensorflow  # noqa: F401


def plugin():
    x = jnp.linspace(0, 1, 4096).reshape(64, 64)
    assert x.devices().pop().platform == "megalith"
    np.testing.assert_allclose(jax.jit(jax.grad(lambda x: jnp.sin(x @ x).sum()))(x)[0, 0],
                               jax.jit(jax.grad(lambda x: jnp.sin(x @ x).sum()), backend="cpu")(np.asarray(x))[0, 0],
                               rtol=1e-4)
    softmax = jax.jit(lambda x: jax.nn.softmax(x * 2 + 1), compiler_options={"tier": "1"})  # machine code by LLVM
    np.testing.assert_allclose(softmax(x).sum(-1), np.ones(64), rtol=1e-5)
    square = np.asarray(x) + 8 * np.eye(64, dtype=np.float32)
    symmetric = square + square.T
    np.testing.assert_allclose(jnp.linalg.eigvalsh(symmetric), np.linalg.eigvalsh(symmetric), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(jnp.linalg.svd(square)[1], np.linalg.svd(square)[1], rtol=1e-4, atol=1e-3)
    heard = []
    noisy = jax.jit(lambda x: jax.debug.callback(lambda v: heard.append(float(v)), x) or jax.pure_callback(
        np.sin, jax.ShapeDtypeStruct((), jnp.float32), x))
    assert abs(noisy(1.0) - np.sin(1)) < 1e-6
    jax.effects_barrier()
    assert heard == [1.0]


def client_and_grpc():
    """A gRPC server and a client in the process that holds the plugin."""
    import grpc
    import megalith.client
    answer = megalith.wire.schemas().message("megalith.info.v1.GetInfoResponse")(process="smoke", version="1")
    handler = grpc.method_handlers_generic_handler("megalith.info.v1.InfoService", {
        "GetInfo": grpc.unary_unary_rpc_method_handler(lambda request, context: answer,
                                                       response_serializer=type(answer).SerializeToString)})
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with megalith.client.connect(f"127.0.0.1:{port}") as fleet:
        assert fleet.info().process == "smoke"
    server.stop(None).wait()


def programs():
    path = "/tmp/program"
    megalith.save_program(lambda p: {"y": jnp.cos(p["x"])}, ({"x": np.float32(0)},), path)
    assert megalith.load_program(path)({"x": np.float32(0)})["y"] == 1


def where_libraries_are_from():
    """Everything the plugin may need must be the wheel's; libc and libstdc++ are the system's."""
    with open("/proc/self/maps") as maps:
        files = sorted(set(re.findall(r"(/\S+\.so[\d.]*)$", maps.read(), re.M)))
    folder = megalith.libraries()
    carried = sorted(os.path.basename(f) for f in files if f.startswith(folder))
    print("from the wheel:", " ".join(carried))
    for name in ("libmegalith_pjrt.so", "libmegalith_pjrt_client.so", "libmegalith_codegen_llvm.so"):
        assert name in carried, f"{name} was not loaded from {folder}"
    if any(name.startswith("libopenblas") for name in os.listdir(folder)):
        assert any(name.startswith("libopenblas") for name in carried), "OpenBLAS was not loaded from the wheel"


if __name__ == "__main__":
    plugin()
    client_and_grpc()
    programs()
    where_libraries_are_from()
    print(f"smoke: jax {jax.__version__} on the plugin, grpcio beside it"
          + (", tensorflow too" if importlib.util.find_spec("tensorflow") else ""))
