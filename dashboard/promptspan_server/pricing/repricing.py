"""Which hours of the ledger another book prices otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor

# A price row has the same rate_id in every book, so a row that is in one book only is a difference. Names
# are compared by what they mean: a name that now means another model differs in all its rows.
_CHANGED_NAMES = """
SELECT name_key, min(valid_from) AS since, max(valid_to) AS until
FROM
(
    SELECT n.name_key AS name_key, r.rate_id AS rate_id, any(r.valid_from) AS valid_from, any(r.valid_to) AS
    valid_to FROM (SELECT * FROM price_names FINAL WHERE book IN ({before:String}, {after:String})) AS n
    INNER JOIN (SELECT * FROM price_rates FINAL WHERE book IN ({before:String}, {after:String})) AS r
        ON r.book = n.book AND r.price_id = n.price_id AND r.tier = n.tier
    GROUP BY name_key, rate_id
    HAVING uniqExact(n.book) = 1
)
GROUP BY name_key
"""

_MARK_CHANGED = f"""
INSERT INTO dirty_hours (hour, marked_at)
SELECT DISTINCT h.hour, now64(6, 'UTC')
FROM
(
    SELECT DISTINCT hour, cityHash64(provider, request_model, response_model, service_tier) AS name_key
    FROM hourly_rows FINAL
) AS h
INNER JOIN ({_CHANGED_NAMES}) AS changed ON changed.name_key = h.name_key
WHERE h.hour > changed.since - INTERVAL 1 HOUR AND h.hour < changed.until
"""  # noqa: S608 - constants of this module

# Hours that are being computed while the book changes may have been read with the old one.
_MARK_UNSETTLED = """
INSERT INTO dirty_hours (hour, marked_at)
SELECT marked.hour, now64(6, 'UTC')
FROM (SELECT hour, max(marked_at) AS marked_at FROM dirty_hours GROUP BY hour) AS marked
LEFT JOIN (SELECT hour, max(computed_at) AS computed_at FROM computed_hours GROUP BY hour) AS computed
    ON computed.hour = marked.hour
WHERE computed.computed_at < marked.marked_at OR computed.computed_at > now64(6, 'UTC') - INTERVAL 15 MINUTE
"""


def mark_repriced_hours(executor: Executor, before: str, after: str) -> None:
    """Mark the hours whose calls cost something else under another book, for `rollup.recompute`.

    Call it when `after` is in force, and with its names matched.

    Args:
        executor: The store.
        before: Hash of the book that was in force, empty if none was.
        after: Hash of the book that is.
    """
    executor.command(_MARK_CHANGED, {"before": before, "after": after})
    executor.command(_MARK_UNSETTLED)
