from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from itertools import count
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from promptspan_server.store.executor import Executor

_serial = count(1)

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


def _span_id() -> str:
    return f"{next(_serial):016x}"


class Tokens(TypedDict, total=False):
    """Token counts of a call, for those that several calls share."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    audio_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_output_tokens: int


@dataclass(frozen=True)
class Call:
    """A row of llm_calls; what a test does not mention has an ordinary value."""

    ts: datetime = NOON
    provider: str = "openai"
    request_model: str = "gpt-4o"
    response_model: str = ""
    service_tier: str = ""
    operation: str = "chat"
    input_tokens: int | None = 1000
    cache_read_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    audio_input_tokens: int | None = None
    output_tokens: int | None = 100
    reasoning_tokens: int | None = None
    audio_output_tokens: int | None = None
    reported_cost_usd: Decimal | None = None
    billable: bool = True
    cached: bool = False
    status: str = "ok"
    attempt: int = 1
    tenant: str = ""
    feature: str = "inbox"
    prompt_name: str = "summarise"
    prompt_version: str = "1"
    service: str = "mail"
    environment: str = "production"
    instrumentation: str = "promptspan"
    usage_source: str = "provider"
    response_id: str = ""
    parent_span_id: str = ""
    safety_flags: tuple[str, ...] = ()
    duration_ms: float = 250.0
    ttft_ms: float | None = None
    template_hash: str = ""
    finish_reasons: tuple[str, ...] = ()
    output_sketch: int | None = None
    attributes: dict[str, str] = field(default_factory=dict[str, str])
    trace_id: str = field(default_factory=lambda: f"{next(_serial):032x}")
    span_id: str = field(default_factory=_span_id)


COLUMNS = tuple(column.name for column in fields(Call))


def add(executor: Executor, calls: Iterable[Call]) -> None:
    """Insert calls as a sender's normalised spans arrive."""
    executor.insert("llm_calls", COLUMNS, [[getattr(call, name) for name in COLUMNS] for call in calls])


def cost_of(executor: Executor, call: Call) -> tuple[Any, ...]:
    """What llm_costs says about one call: cost, status and price id."""
    (row,) = executor.rows(
        "SELECT cost_usd, price_status, price_id FROM llm_costs WHERE span_id = {span:String}",
        {"span": call.span_id},
    )
    return row
