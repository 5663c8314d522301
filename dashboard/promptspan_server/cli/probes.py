"""Asks the receivers and the dashboard whether they serve, without writing anything."""

from __future__ import annotations

import importlib.util
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from promptspan_server.cli.addresses import is_loopback
from promptspan_server.cli.failure import CommandError
from promptspan_server.cli.finding import Finding, Status

if TYPE_CHECKING:
    import grpc
    import httpx

_TIMEOUT_S = 5.0
_START = "start it with `promptspan up`, or name the right address"
_TOKEN = "set PROMPTSPAN_TOKEN to the token that it was started with"  # noqa: S105  a sentence
# An export request with no spans in it: accepted by every receiver, stored by none.
_EMPTY_EXPORT = b""
_GRPC_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def otlp_http(endpoint: str, token: str | None, *, option: str = "--endpoint") -> Finding:
    """Check an OTLP/HTTP receiver with an empty export.

    Args:
        endpoint: Base URL; `/v1/traces` is appended.
        token: Bearer token, if any.
        option: What the user sets to change the address.
    """
    check = "OTLP/HTTP"
    headers = {"Content-Type": "application/x-protobuf", **bearer(token)}
    try:
        reply = post(f"{endpoint.rstrip('/')}/v1/traces", _EMPTY_EXPORT, headers)
    except CommandError as error:
        return Finding(check, Status.fail, error.message, f"{_START} ({option})", unreachable=True)
    if reply.status_code in (401, 403):
        return Finding(check, Status.fail, f"{endpoint} refuses us ({reply.status_code})", _TOKEN)
    if reply.status_code != 200:
        detail = f"{endpoint} answers {reply.status_code} to an empty export"
        return Finding(check, Status.fail, detail, f"is it an OTLP receiver? {option} names another")
    return Finding(check, Status.ok, f"{endpoint} takes spans ({milliseconds(reply):.0f} ms)")


def otlp_grpc(target: str, token: str | None) -> Finding:
    """Check an OTLP/gRPC receiver with an empty export.

    Args:
        target: URL; https for TLS.
        token: Bearer token, if any.
    """
    check = "OTLP/gRPC"
    if importlib.util.find_spec("grpc") is None:
        return Finding(check, Status.skip, "grpcio is not installed", "pip install 'promptspan[local]'")
    import grpc

    parts = urlsplit(target)
    options = [("grpc.enable_http_proxy", 0 if is_loopback(parts.hostname or "") else 1)]
    channel: grpc.Channel
    if parts.scheme == "https":
        channel = grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials(), options)
    else:
        channel = grpc.insecure_channel(parts.netloc, options)
    began = time.perf_counter()
    with channel:
        try:
            channel.unary_unary(_GRPC_EXPORT)(
                _EMPTY_EXPORT,
                timeout=_TIMEOUT_S,
                metadata=tuple((name.lower(), value) for name, value in bearer(token).items()),
            )
        except grpc.RpcError as error:
            return _grpc_failed(check, target, error)
    return Finding(check, Status.ok, f"{target} takes spans ({(time.perf_counter() - began) * 1000:.0f} ms)")


def dashboard(url: str) -> Finding:
    """Check that the dashboard's server answers; it need not run."""
    check = "dashboard"
    try:
        reply = get(f"{url.rstrip('/')}/_stcore/health")
    except CommandError as error:
        return Finding(check, Status.skip, error.message, "`promptspan up` starts one")
    if reply.status_code != 200:
        return Finding(
            check, Status.warn, f"{url} answers {reply.status_code}", "is it another program's port?"
        )
    return Finding(check, Status.ok, f"{url} serves")


def milliseconds(reply: httpx.Response) -> float:
    """Return how long the answer took, without the time that it took us to get ready."""
    return reply.elapsed.total_seconds() * 1000


def bearer(token: str | None) -> dict[str, str]:
    """Return the header that presents the token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def post(url: str, body: bytes, headers: dict[str, str], timeout_s: float = _TIMEOUT_S) -> httpx.Response:
    """Send one request, without following redirects; loopback is reached directly, whatever proxies are set.

    Raises:
        CommandError: No answer.
    """
    return _request("POST", url, body, headers, timeout_s)


def get(url: str) -> httpx.Response:
    """As `post`, for a GET."""
    return _request("GET", url, b"", {}, _TIMEOUT_S)


def _request(method: str, url: str, body: bytes, headers: dict[str, str], timeout_s: float) -> httpx.Response:
    import httpx

    host = urlsplit(url).hostname
    if not url.startswith(("http://", "https://")) or not host:
        raise CommandError(f"{url} is not an address: http://host:port was expected")
    try:
        with httpx.Client(timeout=timeout_s, trust_env=not is_loopback(host)) as client:
            return client.request(method, url, content=body, headers=headers)
    except httpx.TimeoutException as error:
        raise CommandError(f"{url} does not answer within {timeout_s:.0f} s") from error
    except httpx.HTTPError as error:
        raise CommandError(f"{url} cannot be reached ({error or type(error).__name__})") from error


def _grpc_failed(check: str, target: str, error: grpc.RpcError) -> Finding:
    import grpc

    # Every error of a call is one: https://grpc.github.io/grpc/python/grpc.html#grpc.RpcError
    assert isinstance(error, grpc.Call)
    code = error.code()
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return Finding(check, Status.fail, f"{target} refuses us ({code.name})", _TOKEN)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        detail = f"{target} cannot be reached ({code.name})"
        return Finding(check, Status.fail, detail, f"{_START} (--grpc-endpoint)", unreachable=True)
    detail = f"{target} answers {code.name}: {error.details()}"
    return Finding(check, Status.fail, detail, "is it an OTLP receiver? --grpc-endpoint names another")
