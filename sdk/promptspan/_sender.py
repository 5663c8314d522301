"""Delivers batches over OTLP/HTTP: what counts as delivered, what is tried again, what is set aside."""

from __future__ import annotations

import logging
import random
import zlib
from typing import TYPE_CHECKING, Protocol

from ._encode import encode_request
from ._http import HttpClient, HttpError
from ._verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._buffer import Batch
    from ._stats import Ledger
    from ._transport_config import TransportConfig

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
            elif not self._pause(self._backoff(None), may_hurry=True):
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
            if not self._pause(self._backoff(verdict.retry_after_s), may_hurry=not verdict.retry_after_s):
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
                f"{self._url} does not take spans ({verdict.reason}): check the endpoint, the token and the "
                "receiver. Spans are kept and sent once it does."
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
