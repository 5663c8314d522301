"""The outbox in the store: what waits to be told, and what became of it (migration 0015)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from promptspan_server.alerts.delivery import FINAL
from promptspan_server.alerts.notice import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from promptspan_server.alerts.delivery import Delivery
    from promptspan_server.alerts.notice import Alert
    from promptspan_server.store.executor import Executor

_MAX_NOTICES = 5_000
# Older ones were given up long ago; a destination may be down for a month at most.
_DAYS = 31
_FINAL = ", ".join(f"'{ending}'" for ending in sorted(FINAL))
_WAITING = f"""
SELECT o.payload, d.attempts
FROM
(
    SELECT id, payload, created_at FROM alert_outbox FINAL WHERE created_at > now() - INTERVAL {_DAYS} DAY
) AS o
LEFT JOIN
(
    SELECT notice_id, max(attempt) AS attempts, countIf(outcome IN ({_FINAL})) AS ended
    FROM alert_deliveries
    WHERE at > now() - INTERVAL {_DAYS} DAY
    GROUP BY notice_id
) AS d ON d.notice_id = o.id
WHERE d.ended = 0
ORDER BY o.created_at, o.id
LIMIT {_MAX_NOTICES}
"""  # noqa: S608 - constants of this module
_FIRING = f"""
SELECT argMax(payload, (created_at, id))
FROM alert_outbox FINAL
WHERE destination = {{destination:String}} AND created_at > now() - INTERVAL {_DAYS} DAY
GROUP BY group_key
HAVING argMax(status, (created_at, id)) = 'firing'
ORDER BY group_key
LIMIT {_MAX_NOTICES}
"""  # noqa: S608 - constants of this module

_log = logging.getLogger("promptspan.alerts")


class StoreOutbox:
    """See `delivery.Outbox`. Its methods may be called from any thread.

    Args:
        executor: Makes the way to the store; called for every use, so that a store that came back is found.
    """

    def __init__(self, executor: Callable[[], Executor]) -> None:
        self._executor = executor
        self._broken: set[int] = set()

    def waiting(self) -> Sequence[tuple[Notice, int]]:
        """See `delivery.Outbox.waiting`."""
        found: list[tuple[Notice, int]] = []
        for payload, attempts in self._executor().rows(_WAITING):
            notice = self._read(str(payload))
            if notice is not None:
                found.append((notice, int(attempts)))
        return found

    def firing(self, destination: str) -> Sequence[Alert]:
        """See `delivery.Outbox.firing`."""
        notices = [
            self._read(str(row[0])) for row in self._executor().rows(_FIRING, {"destination": destination})
        ]
        return [
            alert for notice in notices if notice is not None for alert in notice.alerts if not alert.resolved
        ]

    def record(self, deliveries: Sequence[Delivery]) -> None:
        """See `delivery.Outbox.record`."""
        self._executor().insert(
            "alert_deliveries",
            ("notice_id", "attempt", "at", "outcome", "detail"),
            [(each.notice_id, each.attempt, each.at, each.outcome, each.detail) for each in deliveries],
        )

    def _read(self, payload: str) -> Notice | None:
        try:
            return Notice.from_json(payload)
        except ValueError as error:
            # Nobody can tell it; saying so once is all that helps.
            if hash(payload) not in self._broken:
                self._broken.add(hash(payload))
                _log.error("a notice in the outbox cannot be read: %s", error)
            return None
