"""What became of one attempt to tell a destination, and who makes such attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from promptspan_server.alerts.notice import Notice

# Retry-After is the receiver's word, but it must not silence us for a day.
MAX_RETRY_AFTER_S = 3600.0
_DETAIL = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        kind: `delivered`; `retry`, for what may pass: an outage, a limit, a mistake in the configuration; or
            `refused`, for a message that this receiver will never take.
        detail: One line for a person, without secrets.
        after_s: Not before this many seconds, where the receiver said so.
    """

    kind: Literal["delivered", "retry", "refused"]
    detail: str = ""
    after_s: float | None = None


class Sender(Protocol):
    """Tells one destination."""

    def send(self, notice: Notice) -> Outcome:
        """Make one attempt. Raises nothing that a receiver or a network can cause."""
        ...


def told(detail: str, secrets: tuple[str, ...] = ()) -> str:
    """Make text of a receiver or a library fit for the store and the log: one short line without secrets."""
    for secret in secrets:
        if secret:
            detail = detail.replace(secret, "***")
    line = "".join(character if character.isprintable() else " " for character in detail)
    return " ".join(line.split())[:_DETAIL]
