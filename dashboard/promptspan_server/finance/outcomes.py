"""Questions about single calls, which the ledger cannot answer: users, outcomes, avoidable calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from promptspan_server.queries.query import Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from promptspan_server.queries.scope import Scope

GOOD_FROM: Final = 0.5
_GOOD_LABELS: Final = (
    "('good', 'pass', 'passed', 'correct', 'success', 'true', 'yes', 'positive', 'thumbs_up')"
)
# How long providers keep what they cached for five minutes.
_CACHE_S: Final = 300


@dataclass(frozen=True, slots=True)
class UsersRow:
    """Spend that is known to be of users.

    Attributes:
        users: Different users.
        calls: Calls with a user.
        usd: What those with a known cost cost; None if no cost is known.
    """

    users: int
    calls: int
    usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Users(Query[UsersRow]):
    """How many users were there, and what did their calls cost?

    Attributes:
        scope: Which calls.
    """

    scope: Scope

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT uniqExact(user_id), count(), sum(cost_usd)
            FROM llm_costs
            WHERE {self.scope.where()} AND user_id != ''
            LIMIT 1
        """  # noqa: S608 - constants of ours

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.scope.parameters()

    def row(self, values: Sequence[Any]) -> UsersRow:
        """See `Query.row`."""
        return UsersRow(*values)


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """What one evaluation says of the traces it judged.

    Attributes:
        name: Of the evaluation.
        judged: Traces with a score.
        good: Those whose mean is a success.
        usd: What the judged traces cost; None if no cost is known.
    """

    name: str
    judged: int
    good: int
    usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Outcomes(Query[OutcomeRow]):
    """What did successful outcomes cost? A score of half or more is a success, or a label such as `pass`.

    Attributes:
        scope: Which calls.
        limit: At most this many evaluations, the most frequent first.
    """

    scope: Scope
    limit: int = 5

    def sql(self) -> str:
        """See `Query.sql`."""
        # Judgement comes later than the call: up to a week is waited for.
        return f"""
            SELECT s.name, count(), countIf(s.good >= 0.5), sum(c.usd)
            FROM
            (
                SELECT
                    name,
                    trace_id,
                    avg(ifNull(value >= {GOOD_FROM}, lower(label) IN {_GOOD_LABELS})) AS good
                FROM scores FINAL
                WHERE ts >= fromUnixTimestamp64Milli({{start_ms:Int64}}, 'UTC')
                  AND ts < fromUnixTimestamp64Milli({{end_ms:Int64}}, 'UTC') + INTERVAL 7 DAY
                GROUP BY name, trace_id
            ) AS s
            INNER JOIN
            (
                SELECT trace_id, sum(cost_usd) AS usd
                FROM llm_costs
                WHERE {self.scope.where()} AND trace_id IN
                (
                    SELECT trace_id FROM scores
                    WHERE ts >= fromUnixTimestamp64Milli({{start_ms:Int64}}, 'UTC')
                      AND ts < fromUnixTimestamp64Milli({{end_ms:Int64}}, 'UTC') + INTERVAL 7 DAY
                )
                GROUP BY trace_id
            ) AS c ON c.trace_id = s.trace_id
            GROUP BY s.name
            ORDER BY count() DESC, s.name
            LIMIT {{limit:UInt32}}
        """  # noqa: S608 - constants of ours

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {**self.scope.parameters(), "limit": self.limit}

    def row(self, values: Sequence[Any]) -> OutcomeRow:
        """See `Query.row`."""
        return OutcomeRow(*values)


@dataclass(frozen=True, slots=True)
class AvoidableRow:
    """Money for calls that succeeded and need not have been made so.

    Attributes:
        truncated: Calls that ended at their limit of tokens, and
        truncated_usd: what they cost; None if no cost is known.
        misses: Calls that could have read the provider's cache and did not, and
        misses_usd: how much cheaper reading it would have been.
        repeated: Calls that asked what had been asked before (same prompt version, model and text), and
        repeated_usd: what they cost.
        with_text: Calls whose text was captured: only they can be seen to repeat.
    """

    truncated: int
    truncated_usd: Decimal | None
    misses: int
    misses_usd: Decimal | None
    repeated: int
    repeated_usd: Decimal | None
    with_text: int


@dataclass(frozen=True, slots=True)
class Avoidable(Query[AvoidableRow]):
    """What did successful calls cost that could have been avoided?

    A miss is a call that read nothing from the cache within five minutes of another call of its prompt
    version and model. It would have saved the difference of prices on as many tokens as half of the calls
    that hit read at least. Prompts that never hit have no such measure and are left out.

    Attributes:
        scope: Which calls.
    """

    scope: Scope

    def sql(self) -> str:
        """See `Query.sql`."""
        of_calls = self.scope.where().replace("ts >=", "c.ts >=").replace("ts <", "c.ts <")
        group = "prompt_name, prompt_version, provider, response_model"
        return f"""
            WITH hits AS
            (
                SELECT {group}, quantileExactLow(0.5)(ifNull(cache_read_tokens, 0)) AS prefix
                FROM llm_calls_once
                WHERE {self.scope.where()} AND cache_read_tokens > 0
                GROUP BY {group}
            )
            SELECT t.calls, t.usd, m.calls, m.usd, d.calls, d.usd, d.with_text
            FROM
            (
                SELECT count() AS calls, sum(cost_usd) AS usd
                FROM llm_costs
                WHERE {self.scope.where()} AND status = 'ok' AND attempt <= 1
                  AND has(finish_reasons, 'length')
            ) AS t
            CROSS JOIN
            (
                SELECT count() AS calls, CAST(round(sum(saved), 9) AS Nullable(Decimal(38, 9))) AS usd
                FROM
                (
                    SELECT
                        c.cache_read_tokens AS read,
                        c.input_tokens AS input,
                        h.prefix AS prefix,
                        c.ts - INTERVAL {_CACHE_S} SECOND <= lagInFrame(c.ts) OVER w AS warm,
                        row_number() OVER w > 1 AS has_previous,
                        CAST(prefix AS Decimal(38, 0)) * (c.input_usd_per_mtok - c.cache_read_usd_per_mtok)
                            * toDecimal32('0.000001', 6) AS saved
                    FROM llm_costs AS c
                    INNER JOIN hits AS h USING ({group})
                    WHERE {self.scope.where()} AND status = 'ok'
                    WINDOW w AS (PARTITION BY {group} ORDER BY c.ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
                )
                WHERE ifNull(read, 0) = 0 AND input >= prefix AND has_previous AND warm
            ) AS m
            CROSS JOIN
            (
                SELECT sum(n - 1) AS calls, sum(all_usd - first_usd) AS usd, sum(n) AS with_text
                FROM
                (
                    SELECT
                        count() AS n,
                        sum(ifNull(cost_usd, 0)) AS all_usd,
                        argMin(ifNull(cost_usd, 0), (c.ts, c.span_id)) AS first_usd
                    FROM llm_costs AS c
                    INNER JOIN
                    (
                        SELECT trace_id, span_id, cityHash64(input_text) AS text
                        FROM llm_texts FINAL
                        WHERE {self.scope.range.where()} AND input_text != ''
                    ) AS x ON x.trace_id = c.trace_id AND x.span_id = c.span_id
                    WHERE {of_calls} AND status = 'ok'
                    GROUP BY {group}, text
                )
            ) AS d
            LIMIT 1
        """  # noqa: S608 - constants of ours

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return self.scope.parameters()

    def row(self, values: Sequence[Any]) -> AvoidableRow:
        """See `Query.row`."""
        return AvoidableRow(*values)
