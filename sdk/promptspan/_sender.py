"""Delivers batches over OTLP/HTTP: what counts as delivered, what is tried again, what is set aside."""

from __future__ import annotations

import json
import logging
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from ._encode import encode_request
from ._http import HttpClient, HttpError, Reply

if TYPE_CHECKING:
    from ._buffer import Batch
    from ._stats import Ledger
    from ._transport_config import TransportConfig

MAX_RETRY_AFTER_S = 60.0

_log = logging.getLogger("promptspan")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one reply means.

    Attributes:
        kind: ``taken``; ``later`` (try the same again); ``refused`` (something in this body); ``wrong`` (the endpoint
            or the credentials: somebody must mend it, nothing is lost meanwhile).
        reason: For people.
        retry_after_s: What the receiver asked for, or ``None``.
        rejected: Spans of an accepted request that were not taken.
    """

    kind: Literal["taken", "later", "refused", "wrong"]
    reason: str = ""
    retry_after_s: float | None = None
    rejected: int = 0


def judge(reply: Reply) -> Verdict:
    """Decide what a reply means for the spans that were sent.

    Source: OTLP specification 1.x, section OTLP/HTTP response; stricter in that only an OTLP reply is an acceptance.
    """
    status = reply.status
    if 200 <= status < 300:
        return _accepted(reply)
    said = f"HTTP {status}"
    if status in {408, 429} or status >= 500:
        return Verdict("later", said, _retry_after(reply))
    if status in {400, 413, 422}:
        return Verdict("refused", said)
    return Verdict("wrong", said, _retry_after(reply))


def _accepted(reply: Reply) -> Verdict:
    content_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if content_type == "application/json":
            rejected, message = _partial_json(reply.body)
        elif content_type in {"application/x-protobuf", "application/protobuf"}:
            rejected, message = _partial_protobuf(reply.body)
        elif not content_type and not reply.body:
            rejected, message = 0, ""
        else:
            return Verdict(
                "wrong", f"HTTP {reply.status} with {content_type or 'no content type'}: not an OTLP receiver"
            )
    except (ValueError, IndexError):
        return Verdict("wrong", f"HTTP {reply.status}, but the reply is not OTLP")
    return Verdict("taken", message, rejected=max(0, rejected))


def _partial_json(body: bytes) -> tuple[int, str]:
    reply: object = json.loads(body)
    if not isinstance(reply, dict):
        raise ValueError("not an object")
    fields = cast("dict[str, object]", reply)
    partial: object = fields.get("partialSuccess", fields.get("partial_success")) or {}
    if not isinstance(partial, dict):
        raise ValueError("not an object")
    facts = cast("dict[str, object]", partial)
    rejected = facts.get("rejectedSpans", facts.get("rejected_spans")) or 0
    return int(str(rejected)), str(facts.get("errorMessage", facts.get("error_message")) or "")


def _partial_protobuf(body: bytes) -> tuple[int, str]:
    """``ExportTraceServiceResponse.partial_success``: rejected_spans = 1, error_message = 2."""
    partial = _fields(body).get(1, b"")
    if not isinstance(partial, bytes):
        raise ValueError("wrong type")  # noqa: TRY004  # one kind of error for the caller: not OTLP
    facts = _fields(partial)
    rejected, message = facts.get(1, 0), facts.get(2, b"")
    if not isinstance(rejected, int) or not isinstance(message, bytes):
        raise ValueError("wrong type")  # noqa: TRY004
    return (rejected if rejected < 1 << 63 else 0), message.decode("utf-8", "replace")


def _fields(data: bytes) -> dict[int, int | bytes]:
    """Fields of one protobuf message by number, the last of each.

    Raises:
        ValueError: Not protobuf.
        IndexError: Cut short.
    """
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            found[tag >> 3], at = _varint(data, at)
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("wire type")
        if at + size > len(data) or not tag >> 3:
            raise ValueError("length")
        found[tag >> 3] = data[at : at + size]
        at += size
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("varint")


def _retry_after(reply: Reply) -> float | None:
    """Seconds to wait, capped at 60. A date is read against the reply's own clock, not against ours."""
    text = reply.headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    from email.utils import parsedate_to_datetime  # rare, and 14 ms to import

    try:
        wait = (parsedate_to_datetime(text) - parsedate_to_datetime(reply.headers["date"])).total_seconds()
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
    return min(max(wait, 0.0), MAX_RETRY_AFTER_S)


class OtlpSender:
    """Sends batches to one endpoint; used by one thread.

    Args:
        config: Endpoint, limits and times.
        ledger: Keeps the last error.
        pause: Waits so many seconds; false when the sender has to stop.
        set_aside: Keeps a span that the backend refuses, with the reason.
    """

    def __init__(
        self,
        config: TransportConfig,
        ledger: Ledger,
        pause: Callable[[float], bool],
        set_aside: Callable[[bytes, str], None],
    ) -> None:
        """Prepare the connection.

        Raises:
            ValueError: The endpoint is not an http(s) URL.
        """
        base = config.endpoint.rstrip("/")
        self._url = f"{base}/v1/traces"
        self._config = config
        self._ledger = ledger
        self._pause = pause
        self._set_aside = set_aside
        self._version = config.sdk_version
        headers = {
            "User-Agent": f"promptspan/{self._version or '0'}",
            **config.headers,
            "Content-Type": "application/x-protobuf",
        }
        if config.compression == "gzip":
            headers["Content-Encoding"] = "gzip"
        self._client = HttpClient(self._url, headers)
        self._max_bytes = config.batch_max_bytes
        self._failures = 0
        self._proven = False  # the endpoint has taken something since it was last in doubt
        self._warned = ""

    @property
    def max_bytes(self) -> int:
        """Size of a batch that the receiver is known to take."""
        return self._max_bytes

    @property
    def failing(self) -> bool:
        """Whether the last request failed."""
        return self._failures > 0

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def deliver(self, batch: Batch[bytes]) -> None:
        """Send until each span is delivered or set aside, or the sender has to stop; never raises for the network.

        A refused request is halved until the span that offends is alone; only that one is set aside.
        The resource is encoded once a request: what is tried again are the same bytes, so a receiver can tell.
        """
        window = len(batch.items)
        while batch.items:
            part = batch.items[:window]
            verdict = self._until_answered(encode_request(batch.resource(), part, self._version))
            if verdict is None:
                return
            if verdict.kind == "taken":
                rejected = min(verdict.rejected, len(part))
                batch.delivered(len(part), rejected, "rejected")
                if rejected:
                    self._warn(
                        f"the receiver took only part of a batch, {rejected} spans are lost: {verdict.reason}"
                    )
                window = min(window, len(batch.items)) or 1
            elif len(part) > 1:
                window = len(part) // 2
                if "413" in verdict.reason:
                    self._max_bytes = max(sum(map(len, part)) // 2, 64_000)
            elif self._is_poison(verdict):
                self._set_aside(part[0], verdict.reason)
                batch.dropped(1, "refused")
                self._proven = False  # so that a receiver which now refuses all cannot empty the store
                window = len(batch.items)
            elif not self._pause(self._backoff(None)):
                return

    def _is_poison(self, verdict: Verdict) -> bool:
        """Whether this one span is at fault and not the endpoint, which may refuse everything.

        An endpoint is fine if it took something before, or takes a request without any span.
        """
        if not self._proven:
            probe = self._attempt(encode_request(b"", [], self._version))
            self._proven = probe.kind == "taken"
        if not self._proven:
            self._failed(Verdict("wrong", f"{verdict.reason} for everything"))
        return self._proven

    def _until_answered(self, body: bytes) -> Verdict | None:
        """The verdict on this body once it is taken or refused."""
        while True:
            verdict = self._attempt(body)
            if verdict.kind == "taken":
                self._recovered()
                return verdict
            if verdict.kind == "refused":
                return verdict
            self._failed(verdict)
            if not self._pause(self._backoff(verdict.retry_after_s)):
                return None

    def _attempt(self, body: bytes) -> Verdict:
        if self._config.compression == "gzip":
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
        try:
            return judge(self._client.post(body, {}, self._config.timeout_s))
        except HttpError as error:
            return Verdict("later", str(error))

    def _backoff(self, asked_s: float | None) -> float:
        """Doubling pauses with jitter; a receiver's own wish counts when it is longer than nothing."""
        if asked_s:
            return asked_s * random.uniform(1.0, 1.1)  # noqa: S311  # jitter, not a secret
        longest = min(
            self._config.retry_max_s, self._config.retry_initial_s * 2.0 ** min(self._failures - 1, 30)
        )
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

    def _failed(self, verdict: Verdict) -> None:
        self._failures += 1
        self._ledger.last_error = verdict.reason
        if verdict.kind == "wrong":
            self._proven = False
            self._warn(
                f"{self._url} does not take spans ({verdict.reason}): check the endpoint, the token and the receiver. "
                "Spans are kept and sent once it does."
            )
        elif self._failures == 3:
            self._warn(
                f"{self._url} cannot be reached ({verdict.reason}). Spans are kept and sent once it can."
            )

    def _recovered(self) -> None:
        if self._warned and self._failures:
            _log.info("promptspan: %s takes spans again", self._url)
            self._warned = ""
        self._failures = 0
        self._proven = True
        self._ledger.last_error = None

    def _warn(self, message: str) -> None:
        """Log once per kind of trouble, not once per attempt."""
        if message != self._warned:
            self._warned = message
            _log.warning("promptspan: %s", message)
