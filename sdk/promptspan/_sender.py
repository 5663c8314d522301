"""Delivers batches over OTLP/HTTP: what counts as delivered, what is tried again, what is set aside."""

from __future__ import annotations

import logging
import random
import time
import zlib
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit, urlunsplit

from ._encode import encode_request
from ._http import HttpClient, HttpError
from ._verdict import MAX_RETRY_AFTER_S, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._buffer import Batch
    from ._stats import Ledger
    from ._transport_config import TransportConfig

_SMALLEST_BATCH_BYTES = 64_000
_TELL_AFTER = 3  # failures in a row: a receiver that restarts is no news

_log = logging.getLogger("promptspan")


class Pause(Protocol):
    """Waits between two attempts."""

    def __call__(self, seconds: float, *, may_hurry: bool) -> bool:
        """Wait so long, or until a flush if it may cut the pause short; false when the sender has to stop."""
        ...


class OtlpSender:
    """Sends batches to one endpoint; used by one thread.

    Args:
        config: Endpoint, limits and times.
        ledger: Keeps the last error.
        pause: Waits between two attempts.
        set_aside: Keeps a span that the backend refuses, with the reason.
    """

    def __init__(
        self,
        config: TransportConfig,
        ledger: Ledger,
        pause: Pause,
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
        ledger.endpoint = _without_userinfo(self._url)
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
        self._warned: set[str] = set()

    @property
    def max_bytes(self) -> int:
        """Size of a batch that the receiver is known to take."""
        return self._max_bytes

    @property
    def failures(self) -> int:
        """How many requests have failed since the last that succeeded."""
        return self._failures

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def abandon(self) -> None:
        """In a forked child: the connection is the parent's."""
        self._client.close()

    def deliver(self, batch: Batch[bytes]) -> None:
        """Send until each span is delivered or set aside, or the sender has to stop.

        A refused request is halved until the span that offends is alone; only that one is set aside.
        What is tried again after a failure are the same bytes, so that a receiver can tell.
        """
        window = len(batch.items)
        proven = False  # whether the receiver has taken other spans since it refused some
        while batch.items:
            part = batch.items[:window]
            verdict = self._until_answered(encode_request(batch.resource(len(part)), part, self._version))
            if verdict is None:
                return
            if verdict.kind == "taken":
                proven = True
                self._settle(batch, len(part), verdict)
            elif len(part) > 1:
                window = len(part) // 2
                if verdict.too_large:
                    self._max_bytes = max(sum(map(len, part)) // 2, _SMALLEST_BATCH_BYTES)
            elif proven or self._takes_an_empty_request(verdict):
                self._set_aside(part[0], verdict.reason)
                batch.dropped(1, "refused")
                proven = False
                window = len(batch.items)
            elif self._pause(self._backoff(None), may_hurry=True):
                window = len(batch.items)
            else:
                return

    def _settle(self, batch: Batch[bytes], count: int, verdict: Verdict) -> None:
        rejected = min(verdict.rejected, count)
        batch.delivered(count, rejected, "rejected")
        if rejected:
            self._warn("partial", f"took only part of a batch, {rejected} spans are lost: {verdict.reason}")

    def _takes_an_empty_request(self, verdict: Verdict) -> bool:
        """Whether a request without any span is taken: then it is this span that it refuses."""
        if self._attempt(self._packed(encode_request(b"", [], self._version))).kind == "taken":
            return True
        self._failed(Verdict("wrong", f"{verdict.reason} for everything"))
        return False

    def _until_answered(self, body: bytes) -> Verdict | None:
        """The verdict on this body once it is taken or refused."""
        packed = self._packed(body)
        while True:
            verdict = self._attempt(packed)
            if verdict.kind == "taken":
                self._recovered()
                return verdict
            if verdict.kind == "refused":
                return verdict
            self._failed(verdict)
            if not self._pause(self._backoff(verdict.retry_after_s), may_hurry=not verdict.retry_after_s):
                return None

    def _packed(self, body: bytes) -> bytes:
        if self._config.compression == "none":
            return body
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        return packer.compress(body) + packer.flush()

    def _attempt(self, body: bytes) -> Verdict:
        try:
            return judge(self._client.post(body, {}, self._config.timeout_s))
        except HttpError as error:
            return Verdict("later", str(error))

    def _backoff(self, asked_s: float | None) -> float:
        """Doubling pauses with jitter; a receiver's own wish counts when it is longer than nothing."""
        if asked_s:
            return min(asked_s * random.uniform(1.0, 1.1), MAX_RETRY_AFTER_S)  # noqa: S311  # jitter, not a secret
        longest = min(
            self._config.retry_max_s, self._config.retry_initial_s * 2.0 ** min(self._failures - 1, 30)
        )
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

    def _failed(self, verdict: Verdict) -> None:
        self._failures += 1
        if self._ledger.failing_since is None:
            self._ledger.failing_since = time.time()
        self._ledger.last_error = verdict.reason
        if verdict.kind == "wrong":
            self._warn(
                "wrong",
                f"does not take spans ({verdict.reason}): check the endpoint, the token and the receiver. "
                "Spans are kept and sent once it does.",
            )
        elif self._failures == _TELL_AFTER:
            self._warn("away", f"cannot be reached ({verdict.reason}). Spans are kept and sent once it can.")

    def _recovered(self) -> None:
        if self._failures and self._warned:
            _log.info("promptspan: %s takes spans again", self._url)
            self._warned.clear()
        self._failures = 0
        self._ledger.last_error = self._ledger.failing_since = None

    def _warn(self, trouble: str, message: str) -> None:
        """Log once per kind of trouble, not once per attempt."""
        if trouble not in self._warned:
            self._warned.add(trouble)
            _log.warning("promptspan: %s %s", self._url, message)


def _without_userinfo(url: str) -> str:
    """An address as it may be shown: what stands before the host or behind the path may be a password."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
