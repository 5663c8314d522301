"""Which hours of the ledger another book prices otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor

# Time is cut at every date of both books, name by name. A stretch in which one book has prices that the
# other has not is a difference: a name that now means another model, a rate that changed, a date that moved.
_CHANGED_STRETCHES = """
WITH
    priced AS
    (
        SELECT n.book AS book, n.name_key AS name_key, r.rate_id AS rate_id, r.valid_from AS valid_from,
        r.valid_to AS valid_to FROM (SELECT * FROM price_names FINAL WHERE book IN ({before:String},
        {after:String})) AS n INNER JOIN (SELECT * FROM price_rates FINAL WHERE book IN ({before:String},
        {after:String})) AS r
            ON r.book = n.book AND r.price_id = n.price_id AND r.tier = n.tier
    ),
    cuts AS
    (
        SELECT name_key, arraySort(groupUniqArrayArray([valid_from, valid_to])) AS moments
        FROM priced
        GROUP BY name_key
    )
SELECT name_key, stretch.1 AS since, stretch.2 AS until
FROM (SELECT name_key, arrayJoin(arrayZip(arrayPopBack(moments), arrayPopFront(moments))) AS stretch FROM
cuts) AS c INNER JOIN priced AS p USING (name_key)
WHERE p.valid_from <= stretch.1 AND stretch.2 <= p.valid_to
GROUP BY name_key, stretch
HAVING arraySort(groupUniqArrayIf(p.rate_id, p.book = {before:String}))
    != arraySort(groupUniqArrayIf(p.rate_id, p.book = {after:String}))
"""

_MARK_CHANGED = f"""
INSERT INTO hour_states (hour, marked_at)
SELECT DISTINCT h.hour, now64(6, 'UTC')
FROM
(
    SELECT DISTINCT hour, cityHash64(provider, request_model, response_model, service_tier) AS name_key
    FROM hourly_rows FINAL
) AS h
INNER JOIN ({_CHANGED_STRETCHES}) AS changed ON changed.name_key = h.name_key
WHERE h.hour + INTERVAL 1 HOUR > changed.since AND h.hour < changed.until
"""  # noqa: S608 - constants of this module

# Hours that are being computed while the book changes may have been read with the old one.
_MARK_UNSETTLED = """
INSERT INTO hour_states (hour, marked_at)
SELECT hour, now64(6, 'UTC')
FROM (SELECT hour, max(marked_at) AS marked, max(computed_at) AS computed FROM hour_states GROUP BY hour)
WHERE computed < marked OR computed > now64(6, 'UTC') - INTERVAL 15 MINUTE
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
