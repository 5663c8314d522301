"""Slack, by an incoming webhook.

Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: one message a second, 50
blocks, 150 characters of a header, 3,000 of a section. Data goes into `plain_text`, where nothing is markup
but the three characters that are escaped here, so no name can mention a channel or hide a link.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from promptspan_server.alerts import texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.alerts.destinations.outcome import Outcome
    from promptspan_server.alerts.destinations.posting import Poster
    from promptspan_server.alerts.notice import Notice

PER_MINUTE = 60
SECTION = 3000
_HEADER = 150
_ALERTS = 15


class Slack:
    """Tells one channel."""

    def __init__(
        self, url: Callable[[], str], poster: Poster, title: str | None = None, text: str | None = None
    ) -> None:
        """Tell a channel.

        Args:
            url: Reads the webhook's address, which is a secret.
            poster: How it is reached.
            title: A template in place of ours.
            text: A template in place of ours.
        """
        self._url = url
        self._poster = poster
        self._title = title
        self._text = text

    def send(self, notice: Notice) -> Outcome:
        """See `Sender.send`."""
        body = json.dumps(message(notice, self._title, self._text)).encode()
        return self._poster.post(
            self._url(),
            body,
            {"content-type": "application/json"},
            accepts=lambda status, said: status == 200 and said.strip() == "ok",
        )


def message(notice: Notice, title: str | None = None, text: str | None = None) -> dict[str, Any]:
    """Build the message."""
    clean = texts.cleaned(notice)
    heading = texts.title(notice, title)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(heading, _HEADER)}]
    if text is not None:
        blocks.append({"type": "section", "text": _plain(texts.body(notice, text), SECTION)})
    for alert in clean.alerts[:_ALERTS]:
        if text is None:
            blocks.append({"type": "section", "text": _plain(texts.alert_text(alert), SECTION)})
        buttons = [
            {"type": "button", "text": _plain(name, 75), "url": url}
            for name, url in (("Open the incident", alert.url), ("Runbook", alert.runbook))
            if url
        ]
        if buttons:
            blocks.append({"type": "actions", "elements": buttons})
    if len(clean.alerts) > _ALERTS:
        more = f"and {len(clean.alerts) - _ALERTS} alerts more"
        blocks.append({"type": "context", "elements": [_plain(more, SECTION)]})
    # What notifications and screen readers show.
    return {"text": escaped(heading, SECTION), "unfurl_links": False, "unfurl_media": False, "blocks": blocks}


def escaped(text: str, limit: int) -> str:
    """Escape what Slack takes for control characters, within a limit of characters after escaping."""
    pieces: list[str] = []
    size = 0
    for character in text:
        piece = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(character, character)
        size += len(piece)
        if size > limit - 1:
            return "".join(pieces) + "…"
        pieces.append(piece)
    return "".join(pieces)


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": escaped(text, limit) or " ", "emoji": False}
