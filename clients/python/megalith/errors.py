"""What a failed call raises."""

import enum
from typing import Optional


class Code(enum.IntEnum):
    """Codes of gRPC, which every part of Megalith uses."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class MegalithError(Exception):
    """A call that did not succeed.

    code          what kind of error it is
    message       a sentence that tells what was found and what was wanted
    python_class  the class that JAX raises in this situation, such as "TypeError"; "" if there is none
    line, column  where in the program's text, from 1; 0 if the error has no position
    trace_id      finds the request in logs and ledgers; "" if it did not reach a service
    method        the RPC, such as "megalith.trace.v1.TraceService/Trace"; "" if none was called
    """

    def __init__(self, code: Code, message: str, *, python_class: str = "", line: int = 0, column: int = 0,
                 trace_id: str = "", method: str = "", address: Optional[str] = None) -> None:
        self.code = Code(code)
        self.message = message
        self.python_class = python_class
        self.line = line
        self.column = column
        self.trace_id = trace_id
        self.method = method
        self.address = address
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f" (line {self.line}, column {self.column})" if self.line else ""
        where = f" [{self.method} at {self.address}]" if self.address else ""
        return f"{self.code.name}: {self.message}{place}{where}"


def invalid(message: str) -> MegalithError:
    """An error for arguments that are wrong before anything is sent."""
    return MegalithError(Code.INVALID_ARGUMENT, message)
