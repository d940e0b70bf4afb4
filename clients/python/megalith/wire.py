"""Messages and calls of the services, made from their schemas when first used.

The schemas are a FileDescriptorSet beside the shared libraries; no generated code, so that any protobuf from 4.21 on
does. They live in a pool of their own: a process may hold other copies of the same packages.
"""

import functools
import json
import os
import secrets
import time
from typing import Any, Iterator, List, Optional, Sequence, Tuple

import megalith
from megalith.errors import Code, MegalithError
from megalith.replicas import Replicas, open_source

SCHEMAS = "megalith_services.binpb"


class Schemas:
    """Message classes and methods by full name."""

    def __init__(self, path: str) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool
        with open(path, "rb") as file:
            files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
        self._pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self._pool.AddSerializedFile(file.SerializeToString())
        self._idempotent = [
            {"service": f"{file.package}.{service.name}", "method": method.name}
            for file in files.file for service in file.service for method in service.method
            if method.options.idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN]
        self._repeatable = {f"{m['service']}/{m['method']}" for m in self._idempotent}
        self._streams = {
            f"{file.package}.{service.name}/{method.name}": (method.client_streaming, method.server_streaming)
            for file in files.file for service in file.service for method in service.method}

    @functools.lru_cache(maxsize=None)
    def message(self, name: str) -> Any:
        """The class of a message."""
        from google.protobuf import message_factory
        descriptor = self._pool.FindMessageTypeByName(name)
        if hasattr(message_factory, "GetMessageClass"):
            return message_factory.GetMessageClass(descriptor)
        return message_factory.MessageFactory(self._pool).GetPrototype(descriptor)

    def enum_name(self, enum: str, number: int) -> str:
        """Name of an enumerator without the name of its type: "HIT", "COMPILE"."""
        descriptor = self._pool.FindEnumTypeByName(enum)
        value = descriptor.values_by_number.get(number)
        if value is None:
            return str(number)
        zero = descriptor.values_by_number[0].name
        prefix = zero[:-len("UNSPECIFIED")] if zero.endswith("UNSPECIFIED") else ""
        return value.name[len(prefix):] if value.name.startswith(prefix) else value.name

    def enum_number(self, enum: str, name: str) -> int:
        """Number of an enumerator by the name that enum_name gives, in any case."""
        descriptor = self._pool.FindEnumTypeByName(enum)
        for value in descriptor.values:
            if self.enum_name(enum, value.number) == name.upper():
                return value.number
        names = ", ".join(self.enum_name(enum, v.number).lower() for v in descriptor.values if v.number)
        raise MegalithError(Code.INVALID_ARGUMENT, f"'{name}' is none of {names}")

    def method(self, name: str) -> Any:
        """Request class, response class, and whether requests and responses are streams."""
        service, _, method = name.partition("/")
        descriptor = self._pool.FindServiceByName(service).FindMethodByName(method)
        return (self.message(descriptor.input_type.full_name), self.message(descriptor.output_type.full_name),
                *self._streams[name])

    def repeatable(self, name: str) -> bool:
        """Whether a method may be called again without harm."""
        return name in self._repeatable

    def retries(self) -> str:
        """gRPC's service config: calls that may be repeated are, while a service cannot be reached."""
        policy = {"maxAttempts": 4, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
                  "retryableStatusCodes": ["UNAVAILABLE"]}
        return json.dumps({"methodConfig": [{"name": self._idempotent, "retryPolicy": policy}]})


@functools.lru_cache(maxsize=None)
def schemas() -> Schemas:
    """The schemas of this package. Raises MegalithError if what they need is not installed."""
    path = os.path.join(megalith.libraries(), SCHEMAS)
    try:
        return Schemas(path)
    except ImportError as error:
        raise MegalithError(Code.FAILED_PRECONDITION,
                            f"the client needs grpcio and protobuf ({error}); pip install 'megalith[grpc]'") from None
    except OSError as error:
        raise MegalithError(Code.FAILED_PRECONDITION, f"{error}; install the wheel that `make wheel` builds, or set "
                            "MEGALITH_LIBRARIES to the folder of the compiled libraries") from None


class Wire:
    """The replicas of one address or name, and calls by name on them. Threads: all methods may be called concurrently."""

    def __init__(self, address: str, timeout: float, credentials: Any = None) -> None:
        self.schemas = schemas()
        try:
            import grpc
        except ImportError as error:
            raise MegalithError(Code.FAILED_PRECONDITION,
                                f"the client needs grpcio ({error}); pip install 'megalith[grpc]'") from None
        self._grpc = grpc
        self.address = address
        self.timeout = timeout
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
                   ("grpc.service_config", self.schemas.retries())]
        self._replicas = Replicas(address, open_source(grpc, address), lambda a: (
            grpc.insecure_channel(a, options) if credentials is None else grpc.secure_channel(a, credentials, options)))
        self._closed = False

    def close(self) -> None:
        """Ends the channels and every call on them."""
        self._closed = True
        self._replicas.close()

    def unary(self, method: str, request: Any, timeout: Optional[float] = None) -> Any:
        """The answer to one request, or to an iterator of requests."""
        end = time.monotonic() + self._seconds(method, timeout)
        # Another replica is asked when one is gone, where that is safe.
        repeatable = self.schemas.repeatable(method) and not isinstance(request, Iterator)
        tried: List[str] = []
        while True:
            address, call = self._call(method, tried)
            tried.append(address)
            try:
                return call(request, timeout=max(0.001, end - time.monotonic()), metadata=_metadata())
            except self._grpc.RpcError as error:
                gone = error.code() is self._grpc.StatusCode.UNAVAILABLE
                if not (gone and repeatable and len(tried) < len(self._replicas) and time.monotonic() < end):
                    raise self._error(method, error) from None
            except ValueError as error:  # grpcio's answer to calls on a closed channel
                raise MegalithError(Code.FAILED_PRECONDITION, f"the client is closed ({error})", method=method) from None

    def stream(self, method: str, request: Any, timeout: Optional[float] = None) -> Iterator[Any]:
        """The answers to one request, or to an iterator of requests, as they come. Dropping the iterator cancels."""
        seconds = self._seconds(method, timeout)
        try:
            answers = self._call(method)[1](request, timeout=seconds, metadata=_metadata())
        except ValueError as error:
            raise MegalithError(Code.FAILED_PRECONDITION, f"the client is closed ({error})", method=method) from None
        try:
            yield from answers
        except self._grpc.RpcError as error:
            raise self._error(method, error) from None
        finally:
            answers.cancel()

    def request(self, method: str, **fields: Any) -> Any:
        """A request of a method."""
        return self.schemas.method(method)[0](**fields)

    def _seconds(self, method: str, timeout: Optional[float]) -> float:
        seconds = self.timeout if timeout is None else timeout
        if not seconds > 0:  # grpcio takes 0 for "none"
            raise MegalithError(Code.DEADLINE_EXCEEDED, f"a timeout of {seconds} s has passed before the call",
                                method=method, address=self.address)
        return seconds

    def _call(self, method: str, tried: Sequence[str] = ()) -> Tuple[str, Any]:
        if self._closed:
            raise MegalithError(Code.FAILED_PRECONDITION, "the client is closed", method=method)
        address, channel = self._replicas.pick(tried)
        request, response, streams_in, streams_out = self.schemas.method(method)
        kind = f"{'stream' if streams_in else 'unary'}_{'stream' if streams_out else 'unary'}"
        return address, getattr(channel, kind)(f"/{method}", request_serializer=request.SerializeToString,
                                               response_deserializer=response.FromString)

    def _error(self, method: str, error: Any) -> MegalithError:
        details: dict = {}
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                details = self._details(value)
        code = Code(error.code().value[0])
        return MegalithError(code, error.details() or "no message", method=method, address=self.address, **details)

    def _details(self, packed: bytes) -> dict:
        from google.protobuf.message import DecodeError
        detail = self.schemas.message("megalith.common.v1.ErrorDetail")
        try:
            status = self.schemas.message("google.rpc.Status").FromString(packed)
            for entry in status.details:
                if entry.type_url.rpartition("/")[2] == detail.DESCRIPTOR.full_name:
                    return error_fields(detail.FromString(entry.value))
        except DecodeError:
            return {}  # the code and the message stand without it
        return {}


def error_fields(detail: Any) -> dict:
    """What a megalith.common.v1.ErrorDetail adds to an error."""
    return {"python_class": detail.python_class, "line": detail.line, "column": detail.column,
            "trace_id": detail.trace_id}


def _metadata() -> Any:
    return (("traceparent", f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"),)
