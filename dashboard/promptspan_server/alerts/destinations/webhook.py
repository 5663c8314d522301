"""Signed webhooks.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md:
HMAC-SHA256 over `id.timestamp.body`, the id the same over retries, the timestamp that of the attempt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.alerts.destinations.outcome import Outcome
    from promptspan_server.alerts.destinations.posting import Poster
    from promptspan_server.alerts.notice import Notice

_PREFIX = "whsec_"


class Webhook:
    """Tells one address, in the notice's own form."""

    def __init__(self, url: Callable[[], str], secrets: Callable[[], list[str]], poster: Poster) -> None:
        """Tell an address.

        Args:
            url: Reads the address, which may be a secret.
            secrets: Reads what signs: one secret, or two while one replaces the other.
            poster: How it is reached.
        """
        self._url = url
        self._secrets = secrets
        self._poster = poster

    def send(self, notice: Notice) -> Outcome:
        """See `Sender.send`."""
        secrets = self._secrets()
        body = payload(notice)
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(
                signature(secret, notice.id, timestamp, body) for secret in secrets
            ),
        }
        return self._poster.post(self._url(), body, headers, secrets=tuple(secrets))


def payload(notice: Notice) -> bytes:
    """Build the body: the same for every attempt."""
    data: dict[str, Any] = json.loads(notice.to_json())
    envelope = {"type": f"alert.{notice.status}", "timestamp": data["created_at"], "data": data}
    return json.dumps(envelope, separators=(",", ":")).encode()


def signature(secret: str, identifier: str, timestamp: int, body: bytes) -> str:
    """Sign an attempt.

    Args:
        secret: `whsec_` and base64, or any other text, which is taken as it is.
        identifier: The `webhook-id`.
        timestamp: The `webhook-timestamp`, seconds since the epoch.
        body: As it is sent.
    """
    signed = b".".join((identifier.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()
