#!/usr/bin/env python3
"""Times small calls of JAX on a fleet against a bare gRPC echo beside it, in turns.

    megalith --listen=unix:/tmp/megalith.sock &
    MEGALITH_ADDRESS=unix:/tmp/megalith.sock PYTHON bench/plugin/remote_vs_echo.py [--rounds 20]

PYTHON needs jax, grpcio and the package of clients/python. The echo is a server of grpcio's in a process of its own, on a
unix socket, with a handler that returns its bytes. Prints medians over the rounds and the ratio call / echo.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from concurrent import futures

CALLS = 300


def serve(address, ready):
    import grpc
    server = grpc.server(futures.ThreadPoolExecutor(1))
    method = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", {"Echo": method}),))
    server.add_insecure_port(address)
    server.start()
    ready.set()
    server.wait_for_termination()


def per_call(f):
    f()
    begin = time.perf_counter()
    for _ in range(CALLS):
        f()
    return (time.perf_counter() - begin) / CALLS


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    address = "unix:" + os.path.join(tempfile.mkdtemp(), "echo")
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    echo_server = spawn.Process(target=serve, args=(address, ready), daemon=True)
    echo_server.start()
    ready.wait()

    import grpc
    import jax
    import numpy as np
    echo = grpc.insecure_channel(address).unary_unary("/echo/Echo")
    device = jax.devices("megalith")[0]
    f = jax.jit(lambda x: x * 2 + 1)
    x = jax.device_put(np.ones(8, np.float32), device)
    data = bytes(100)
    cases = {
        "echo": lambda: echo(data),
        "jit, wait": lambda: jax.block_until_ready(f(x)),
        "jit, fetch": lambda: np.asarray(f(x)),
        "8 jits, fetch": lambda: np.asarray(f(f(f(f(f(f(f(f(x))))))))),
    }
    times = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            times[name].append(per_call(case))
    base = statistics.median(times["echo"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{name:14} {median * 1e6:8.1f} us  {median / base:6.2f}")
    echo_server.terminate()


if __name__ == "__main__":
    main()
