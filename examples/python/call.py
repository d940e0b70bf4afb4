#!/usr/bin/env python3
"""Calls a running fleet: the gradient of a function that JAX printed, first as a program, then by its key.

usage: call.py HOST:PORT        needs python3-grpcio, python3-protobuf and protoc (protobuf-compiler)
"""

import pathlib
import struct
import subprocess
import sys
import tempfile

import grpc

PROGRAM = """{ lambda ; a:f32[3]. let
    b:f32[3] = tanh a
    c:f32[] = reduce_sum[axes=(0,) out_sharding=None] b
  in (c,) }"""


def load_messages(folder):
    """Generates Python messages from the schemas of this repository into `folder` and imports those of execute."""
    protos = pathlib.Path(__file__).resolve().parents[2] / "protos"
    files = sorted(protos.glob("megalith/*/v1/*.proto"))
    subprocess.run(["protoc", f"-I{protos}", f"--python_out={folder}", *files], check=True)
    sys.path.insert(0, folder)
    from megalith.execute.v1 import execute_pb2

    return execute_pb2


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        execute_pb2 = load_messages(folder)
    x = {"dtype": "f32", "dims": [3], "data": struct.pack("<3f", 0.0, 0.5, 1.0)}
    request = execute_pb2.ExecuteRequest(
        chain={"source": {"jaxpr_text": PROGRAM}, "stack": [{"grad": {}}, {"jit": {}}]}, arguments=[{"tensor": x}]
    )
    with grpc.insecure_channel(sys.argv[1]) as channel:
        execute = channel.unary_unary(
            "/megalith.execute.v1.ExecuteService/Execute",
            request_serializer=execute_pb2.ExecuteRequest.SerializeToString,
            response_deserializer=execute_pb2.ExecuteResponse.FromString,
        )
        try:
            first = execute(request, timeout=60)
            again = execute(execute_pb2.ExecuteRequest(key=first.key, arguments=[{"tensor": x}]), timeout=60)
        except grpc.RpcError as error:
            raise SystemExit(f"call.py: {error.code().name}: {error.details()}")
    for name, answer in (("program", first), ("key", again)):
        values = struct.unpack("<3f", answer.results[0].tensor.data)
        print(f"by {name:<7} {answer.key[:16]}...  gradient {values}")


if __name__ == "__main__":
    main()
