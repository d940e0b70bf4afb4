#!/usr/bin/env python3
"""Calls a running fleet: the gradient of a function that JAX printed, first as a program, then by its key.

usage: call.py HOST:PORT        needs python3-grpcio and python3-grpc-tools
"""

import pathlib
import struct
import sys
import tempfile

import grpc
from grpc_tools import protoc

PROGRAM = """{ lambda ; a:f32[3]. let
    b:f32[3] = tanh a
    c:f32[] = reduce_sum[axes=(0,) out_sharding=None] b
  in (c,) }"""


def load_stubs():
    """Generates Python code from the schemas of this repository into a temporary folder and imports it."""
    protos = pathlib.Path(__file__).resolve().parents[2] / "protos"
    out = tempfile.mkdtemp()
    files = [str(p) for p in protos.glob("megalith/*/v1/*.proto")]
    if protoc.main(["protoc", f"-I{protos}", f"--python_out={out}", f"--grpc_python_out={out}", *files]) != 0:
        raise SystemExit("call.py: protoc failed")
    sys.path.insert(0, out)
    from megalith.execute.v1 import execute_pb2, execute_pb2_grpc

    return execute_pb2, execute_pb2_grpc


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    execute_pb2, execute_pb2_grpc = load_stubs()
    x = {"dtype": "f32", "dims": [3], "data": struct.pack("<3f", 0.0, 0.5, 1.0)}
    request = execute_pb2.ExecuteRequest(
        chain={"source": {"jaxpr_text": PROGRAM}, "stack": [{"grad": {}}, {"jit": {}}]}, arguments=[{"tensor": x}]
    )
    with grpc.insecure_channel(sys.argv[1]) as channel:
        fleet = execute_pb2_grpc.ExecuteServiceStub(channel)
        try:
            first = fleet.Execute(request, timeout=60)
            again = fleet.Execute(execute_pb2.ExecuteRequest(key=first.key, arguments=[{"tensor": x}]), timeout=60)
        except grpc.RpcError as error:
            raise SystemExit(f"call.py: {error.code().name}: {error.details()}")
    for name, answer in (("program", first), ("key", again)):
        values = struct.unpack("<3f", answer.results[0].tensor.data)
        print(f"by {name:<7} {answer.key[:16]}...  gradient {values}")


if __name__ == "__main__":
    main()
