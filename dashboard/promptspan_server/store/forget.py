"""Forget a person or a tenant: texts and identifiers go, tokens and money stay.

Whatever belongs to a trace with a call or a span of theirs is cleared, as the parts of a trace repeat each
other. What bills a call stays: tokens, names of models and prompts, the provider's id of the answer, and a
tenant's name, which the ledger books on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from promptspan_server.store.cluster import alter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from promptspan_server.store.executor import Executor

Kind = Literal["user", "tenant"]

# Ids in one statement: under the server's limit of 256 KiB of SQL.
_CHUNK = 2000
_DONE = "SETTINGS mutations_sync = 2"
_CLEARED = (
    "UPDATE user_id = '', session_id = '', output_sketch = NULL,"
    " attributes = CAST(map(), 'Map(LowCardinality(String), String)')"
)
_IS_CLEARED = "user_id = '' AND session_id = '' AND output_sketch IS NULL AND empty(attributes)"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was found, and cleared unless it was a rehearsal.

    Attributes:
        traces: Traces that carry them.
        calls: Rows of `llm_calls` without identifiers now.
        texts: Rows of `llm_texts` deleted.
        spans: Rows of `spans` deleted.
        scores: Rows of `scores` without explanation now.
        quarantine: Rows of `quarantine` deleted.
    """

    traces: int
    calls: int
    texts: int
    spans: int
    scores: int
    quarantine: int


def identifiers(kind: Kind, name: str) -> list[str]:
    """The forms in which spans carry this name: as it is and, for users, as our SDK hashes it."""
    # _noted in sdk/promptspan/_build.py: 32 hex digits of SHA-256.
    hashed = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return [name, hashed] if kind == "user" else [name]


def forget(executor: Executor, kind: Kind, name: str, *, rehearsal: bool = False) -> Forgotten:
    """Clear everything of a user or a tenant. Safe to repeat; what arrives later needs it again.

    Returns when the store has rewritten what it held. The old files go some minutes later, and backups made
    before still have it.

    Args:
        executor: The store, as a user who may ALTER.
        kind: Whose name it is.
        name: The id as the application knows it, or as the store shows it. Not empty.
        rehearsal: Only count.

    Raises:
        ValueError: An empty name, which means "not recorded".
        StoreError: The store refused.
    """
    if not name:
        raise ValueError(f"an empty {kind} is nobody")
    traces = _traces(executor, kind, name)
    answers = _answers(executor, traces)
    found = Forgotten(
        traces=len(traces),
        calls=_count(executor, "llm_calls", traces),
        texts=_count(executor, "llm_texts", traces),
        spans=_count(executor, "spans", traces),
        scores=_count(executor, "scores", traces) + _count(executor, "scores", answers, by="response_id"),
        quarantine=_count(executor, "quarantine", traces),
    )
    if rehearsal or not traces:
        return found
    for table, change in (
        ("llm_texts", "DELETE"),
        ("spans", "DELETE"),
        ("quarantine", "DELETE"),
        ("scores", "UPDATE explanation = ''"),
    ):
        _change(executor, table, change, "trace_id", traces)
    _change(executor, "scores", "UPDATE explanation = ''", "response_id", answers)
    # Last: by these rows the rest is found again, should this be cut off.
    _change(executor, "llm_calls", _CLEARED, "trace_id", traces)
    return found


def _traces(executor: Executor, kind: Kind, name: str) -> list[str]:
    field = f"{kind}_id" if kind == "user" else kind
    names = identifiers(kind, name)
    params = {"field": field, "name": names[0], "other": names[-1]}
    rows = executor.rows(
        f"""SELECT DISTINCT trace_id FROM llm_calls
        WHERE {field} IN ({{name:String}}, {{other:String}})
            {f"AND NOT ({_IS_CLEARED})" if kind == "tenant" else ""}
        UNION DISTINCT
        SELECT DISTINCT trace_id FROM spans
        WHERE hasAny(
            arrayMap(
                key -> attributes[key],
                (SELECT groupArray(attribute) FROM attribute_aliases FINAL WHERE field = {{field:String}})),
            [{{name:String}}, {{other:String}}])""",  # noqa: S608 - constants of this module
        params,
    )
    return sorted(str(trace) for (trace,) in rows if trace)


def _answers(executor: Executor, traces: Sequence[str]) -> list[str]:
    found: set[str] = set()
    for part in _parts(traces):
        rows = executor.rows(
            f"SELECT DISTINCT response_id FROM llm_calls WHERE trace_id IN ({part}) AND response_id != ''"  # noqa: S608
        )
        found.update(str(answer) for (answer,) in rows)
    return sorted(found)


def _count(executor: Executor, table: str, ids: Sequence[str], by: str = "trace_id") -> int:
    # A score that names both is counted once.
    alone = "AND trace_id = ''" if by == "response_id" else ""
    return sum(
        int(executor.rows(f"SELECT count() FROM {table} FINAL WHERE {by} IN ({part}) {alone}")[0][0])  # noqa: S608
        for part in _parts(ids)
    )


def _change(executor: Executor, table: str, change: str, by: str, ids: Sequence[str]) -> None:
    start = alter(executor, table)
    for part in _parts(ids):
        executor.command(f"{start} {change} WHERE {by} IN ({part}) {_DONE}")


def _parts(ids: Sequence[str]) -> Iterator[str]:
    for first in range(0, len(ids), _CHUNK):
        yield ", ".join(_quoted(one) for one in ids[first : first + _CHUNK])


def _quoted(text: str) -> str:
    # Ids of traces and answers come from senders, and a mutation takes no parameters.
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
