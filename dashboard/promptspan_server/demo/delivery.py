"""Sends bodies to an OTLP/HTTP receiver, and waits for one that is not there yet; notes deployments there."""

from __future__ import annotations

import gzip
import json
import time
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 5.0
_TIMEOUT_S = 30.0


class RefusedError(Exception):
    """The receiver will not take a body, however often it is sent."""


def deliver(bodies: Iterable[bytes], *, endpoint: str, token: str | None, stop: threading.Event) -> int:
    """Send bodies one after the other, each until it is acknowledged.

    Args:
        bodies: Serialized export requests.
        endpoint: Base URL of the receiver; ``/v1/traces`` is appended.
        token: Bearer token, if the receiver wants one.
        stop: Ends the sending early.

    Returns:
        How many bodies were acknowledged.

    Raises:
        RefusedError: The receiver answered with an error that does not pass.
    """
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    sent = 0
    for body in bodies:
        packed = gzip.compress(body, compresslevel=1)
        if not _send(f"{endpoint.rstrip('/')}/v1/traces", packed, headers, stop):
            break
        sent += 1
    return sent


def mark(marker: dict[str, str], *, endpoint: str, token: str | None, stop: threading.Event) -> bool:
    """Note a deployment where the spans go, as a pipeline would.

    Returns:
        Whether it was noted: a receiver that is no store of ours (a Collector) does not know of markers.
    """
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        return _send(f"{endpoint.rstrip('/')}/v1/markers", json.dumps(marker).encode(), headers, stop)
    except RefusedError:
        return False


def _send(url: str, body: bytes, headers: dict[str, str], stop: threading.Event) -> bool:
    pause_s = _FIRST_PAUSE_S
    while not stop.is_set():
        request = Request(url, data=body, headers=headers)  # noqa: S310 (http by contract)
        started = time.monotonic()
        try:
            with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                answer.read()
        except HTTPError as error:
            reason = error.read(200).decode("utf-8", "replace")
            if error.code not in {408, 429, 500, 502, 503, 504}:
                raise RefusedError(f"{url} answered {error.code}: {reason}") from error
        except (URLError, OSError):
            pass
        else:
            return True
        stop.wait(max(0.0, pause_s - (time.monotonic() - started)))
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
    return False
