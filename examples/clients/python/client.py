"""Calls a running fleet: traces and runs the gradient of a program, then writes a row of a table and reads it back.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python client.py HOST:PORT
"""

import pathlib
import sys
import tempfile

import grpc
import numpy as np
from grpc_tools import protoc

PROGRAM = "{ lambda ; a:f32[3]. let b:f32[3] = tanh a; c:f32[] = reduce_sum[axes=(0,) out_sharding=None] b in (c,) }"


def load_schemas(folder):
    """Makes Python code of the schemas in `folder` and imports it."""
    protos = pathlib.Path(__file__).resolve().parents[3] / "protos"
    names = ("common", "compile", "execute", "ir", "table", "trace")
    files = [f"megalith/{name}/v1/{name}.proto" for name in names]
    if protoc.main(["protoc", f"-I{protos}", f"--python_out={folder}", f"--grpc_python_out={folder}", *files]) != 0:
        raise SystemExit("protoc failed")
    sys.path.insert(0, folder)


def main():
    with tempfile.TemporaryDirectory() as folder, grpc.insecure_channel(sys.argv[1]) as channel:
        load_schemas(folder)
        from megalith.execute.v1 import execute_pb2, execute_pb2_grpc
        from megalith.table.v1 import table_pb2, table_pb2_grpc
        from megalith.trace.v1 import trace_pb2, trace_pb2_grpc

        source, stack = {"jaxpr_text": PROGRAM}, [{"grad": {}}]
        traced = trace_pb2_grpc.TraceServiceStub(channel).Trace(trace_pb2.TraceRequest(source=source, stack=stack))
        print("the gradient has", len(traced.jaxpr_text.splitlines()), "lines")

        x = {"dtype": "f32", "dims": [3], "data": np.float32([0, 0.5, 1]).tobytes()}
        ran = execute_pb2_grpc.ExecuteServiceStub(channel).Execute(execute_pb2.ExecuteRequest(
            chain={"source": source, "stack": stack}, arguments=[{"tensor": x}]))
        print("gradient:", np.frombuffer(ran.results[0].tensor.data, np.float32))

        tables, ids = table_pb2_grpc.TableServiceStub(channel), np.int64([7]).tobytes()
        tables.CreateTable(table_pb2.CreateTableRequest(name="example_python", config={"segments": [{"dim": 2}]}))
        row = {"table": "example_python", "ids": ids, "values": np.float32([1.5, -2]).tobytes()}
        tables.Assign(table_pb2.AssignRequest(parts=[row]))
        found = tables.Lookup(table_pb2.LookupRequest(parts=[{"table": "example_python", "ids": ids}]))
        print("row:", np.frombuffer(found.rows, np.float32))


if __name__ == "__main__":
    main()
