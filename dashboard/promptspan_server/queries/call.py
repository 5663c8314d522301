"""One call, with what it cost and at which price."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from promptspan_server.queries.query import Query, from_micros, from_micros_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from promptspan_server.queries.scope import TimeRange

_PER_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens that are billed alike. The buckets of a call are disjoint.

    Attributes:
        name: What they are.
        tokens: How many.
        usd_per_mtok: Price in US dollars per million tokens, None if there is none.
    """

    name: str
    tokens: int
    usd_per_mtok: Decimal | None

    @property
    def usd(self) -> Decimal | None:
        """What they cost by this price, exactly."""
        return None if self.usd_per_mtok is None else self.tokens * self.usd_per_mtok / _PER_MILLION


@dataclass(frozen=True, slots=True)
class Price:
    """The price that applied to a call.

    Attributes:
        price_id: Provider and model in the price book, empty if no price was found.
        tier: Service tier, empty for the standard one.
        contract: The rule of the user's price file that changed it, empty for a public price.
        valid_from: Since when it has been in force; None if no price was found, 1970 if always.
        request_usd: Price of the call besides its tokens.
    """

    price_id: str
    tier: str
    contract: str
    valid_from: datetime | None
    request_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class CallDetailRow:
    """Everything that is known of one call. Names are those of `llm_calls`.

    Attributes:
        at: Start, UTC.
        buckets: Disjoint token buckets with their prices; empty if usage is unknown.
        cost_usd: None if unknown; `price_status` says why.
        context_window: Tokens that the model can hold, None if unknown.
        context_window_share: How much of it input and output filled, 0 to 1.
        price: The price that applied.
        attributes: What has no column.
    """

    at: datetime
    duration_ms: float
    ttft_ms: float | None
    trace_id: str
    span_id: str
    parent_span_id: str
    response_id: str
    service: str
    environment: str
    feature: str
    tenant: str
    user_id: str
    session_id: str
    prompt: str
    version: str
    template_hash: str
    operation: str
    provider: str
    request_model: str
    response_model: str
    input_tokens: int | None
    output_tokens: int | None
    usage_source: str
    billable: bool
    streaming: bool
    status: str
    error_type: str
    finish_reasons: tuple[str, ...]
    attempt: int
    cached: bool
    flags: tuple[str, ...]
    instrumentation: str
    sdk_version: str
    attributes: Mapping[str, str]
    cost_usd: Decimal | None
    price_status: str
    context_window: int | None
    context_window_share: float | None
    price: Price
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class CallDetail(Query[CallDetailRow]):
    """What is known of this call?

    Attributes:
        trace_id: Lower case hex.
        span_id: Lower case hex; empty asks for the first model call of the trace.
        range: Where to look.
    """

    trace_id: str
    span_id: str
    range: TimeRange

    def sql(self) -> str:
        """See `Query.sql`."""
        return f"""
            SELECT
                toUnixTimestamp64Micro(ts), duration_ms, ttft_ms,
                trace_id, span_id, parent_span_id, response_id,
                service, environment, feature, tenant, user_id, session_id,
                prompt_name, prompt_version, template_hash,
                operation, provider, request_model, response_model,
                input_tokens, output_tokens, usage_source, billable, streaming,
                status, error_type, finish_reasons, attempt, cached, safety_flags,
                instrumentation, sdk_version, attributes, cost_usd, price_status,
                context_window, context_window_share,
                price_id, price_tier, price_contract, toUnixTimestamp(price_valid_from), request_usd,
                cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens,
                reasoning_tokens, audio_output_tokens,
                input_usd_per_mtok, cache_read_usd_per_mtok, cache_write_5m_usd_per_mtok,
                cache_write_1h_usd_per_mtok, audio_input_usd_per_mtok, output_usd_per_mtok,
                reasoning_usd_per_mtok, audio_output_usd_per_mtok
            FROM llm_costs
            WHERE trace_id = {{trace_id:String}}
              AND ({{span_id:String}} = '' OR span_id = {{span_id:String}})
              AND {self.range.where()}
            ORDER BY billable DESC, ts, span_id
            LIMIT 1
        """

    def parameters(self) -> Mapping[str, Any]:
        """See `Query.parameters`."""
        return {"trace_id": self.trace_id, "span_id": self.span_id, **self.range.parameters()}

    def row(self, values: Sequence[Any]) -> CallDetailRow:
        """See `Query.row`."""
        at, *facts = values[:38]
        price_id, tier, contract, valid_from, request_usd, *parts = values[38:]
        facts[26] = tuple(facts[26])
        facts[29] = tuple(facts[29])
        facts[32] = dict(facts[32])
        price = Price(
            price_id,
            tier,
            contract,
            from_micros_or_none(_micros(valid_from)),
            None if request_usd is None else request_usd,
        )
        input_tokens, output_tokens = facts[19], facts[20]
        return CallDetailRow(
            from_micros(at),
            *facts,
            price=price,
            buckets=_buckets(input_tokens, output_tokens, parts[:6], parts[6:]),
        )


def _buckets(
    input_tokens: int | None,
    output_tokens: int | None,
    parts: Sequence[int | None],
    prices: Sequence[Decimal | None],
) -> tuple[Bucket, ...]:
    """Split inclusive totals into disjoint buckets, as the view `llm_costs` does; empty ones are left out.

    Args:
        input_tokens: All input.
        output_tokens: All output.
        parts: Cache reads, cache writes (5 min, 1 h), audio in, reasoning, audio out.
        prices: Input, cache reads, cache writes (5 min, 1 h), audio in, output, reasoning, audio out.
    """
    read, write_5m, write_1h, audio, thought, spoken = (part or 0 for part in parts)
    found: list[Bucket] = []
    if input_tokens is not None:
        uncached = max(0, input_tokens - read - write_5m - write_1h)
        audio = min(audio, uncached)
        found += [
            Bucket("input, not cached", uncached - audio, prices[0]),
            Bucket("input, read from cache", read, prices[1]),
            Bucket("input, written to cache (5 min)", write_5m, prices[2]),
            Bucket("input, written to cache (1 h)", write_1h, prices[3]),
            Bucket("input, audio", audio, prices[4]),
        ]
    if output_tokens is not None:
        thought = min(thought, output_tokens)
        spoken = min(spoken, output_tokens - thought)
        found += [
            Bucket("output", output_tokens - thought - spoken, prices[5]),
            Bucket("output, reasoning", thought, prices[6]),
            Bucket("output, audio", spoken, prices[7]),
        ]
    return tuple(
        bucket for bucket in found if bucket.tokens or bucket.name in ("input, not cached", "output")
    )


def _micros(seconds: int | None) -> int | None:
    return None if seconds is None else int(seconds) * 1_000_000
