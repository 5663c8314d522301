"""Whatever `apprise` knows: Telegram, Teams, Discord, ntfy, SMS gateways and a hundred more."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from promptspan_server.alerts import texts
from promptspan_server.alerts.destinations.outcome import Outcome, told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from promptspan_server.alerts.notice import Notice

_DEADLINE_S = 60.0


class Service:
    """Tells one service, by its `apprise` address."""

    def __init__(
        self,
        url: Callable[[], str],
        allow_internal: Sequence[str],
        title: str | None = None,
        text: str | None = None,
    ) -> None:
        """Tell a service.

        Args:
            url: Reads the address, which holds the service's key.
            allow_internal: As `Guard.allowing` reads it; host names do not count here, as the check is of the
                address alone.
            title: A template in place of ours.
            text: A template in place of ours.
        """
        self._url = url
        self._allow_internal = list(allow_internal)
        self._title = title
        self._text = text

    def send(self, notice: Notice) -> Outcome:
        """See `Sender.send`."""
        url = self._url()
        asked = {
            "url": url,
            "allow_internal": self._allow_internal,
            "title": texts.title(notice, self._title),
            "body": texts.body(notice, self._text),
            "resolved": notice.status == "resolved",
        }
        try:
            ended = subprocess.run(
                [sys.executable, "-P", "-m", "promptspan_server.alerts.destinations.apprise_child"],
                input=json.dumps(asked).encode(),
                capture_output=True,
                timeout=_DEADLINE_S,
                check=False,
            )
            answer: dict[str, Any] = json.loads(ended.stdout)
        except subprocess.TimeoutExpired:
            return Outcome("retry", f"no end within {_DEADLINE_S:.0f} s")
        except (OSError, ValueError) as error:
            return Outcome("retry", told(f"apprise could not be run: {error}", (url,)))
        if answer.get("sent") is True:
            return Outcome("delivered", "accepted")
        return Outcome("retry", told(str(answer.get("said") or "apprise could not send it"), (url,)))
