"""What providers say that they sold: their usage and cost exports, read as lines of one shape.

Read are pages of the API, saved as JSON (one page, or a list of pages), and CSV files of a console:

- openai: `GET /v1/organization/usage/completions` (and `/embeddings`), grouped by model, and
  `GET /v1/organization/costs`, grouped by line item;
- anthropic: `GET /v1/organizations/usage_report/messages`, grouped by model, and
  `GET /v1/organizations/cost_report`, grouped by description (its amounts are cents);
- openrouter: `GET /api/v1/activity`;
- csv: `date, model, cost_usd` and, where known, `key, requests` and the names of `BUCKETS` with `_tokens`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, cast

from promptspan_server.finance.currency import EXACT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

BUCKETS: Final = (
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "audio_input",
    "output",
    "audio_output",
)
"""The token buckets that bills tell apart; reasoning is part of output."""

_DATED = re.compile(r"[-@](20\d{2}-?[01]\d-?[0-3]\d)$")
_CENT: Final = -2


class BillError(ValueError):
    """An export that cannot be read. The message says where and why."""


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line of a provider's usage or cost.

    Attributes:
        day: UTC.
        model: Without vendor and date, so that names agree; empty for what is not about a model.
        key: API key, project or workspace, as far as the export tells; else empty.
        requests: Calls, None where the export does not count them.
        tokens: By bucket, None for a line that is about money alone.
        usd: Cost, None for a line that is about usage alone.
        what: What it is for, where that is not tokens.
    """

    day: date
    model: str
    key: str = ""
    requests: int | None = None
    tokens: Mapping[str, int] | None = field(default=None, hash=False)
    usd: Decimal | None = None
    what: str = ""


def model_name(name: str) -> str:
    """A model's name as it is compared: lower case, without the date of a snapshot."""
    return _DATED.sub("", name.strip().lower())


def read_bill(provider: str, text: str, name: str) -> list[BillLine]:
    """Read one export.

    Args:
        provider: openai, anthropic, openrouter or csv.
        text: The file.
        name: What to call it in messages.

    Raises:
        BillError: It is not such an export, or a part of one.
    """
    if provider == "csv" or name.lower().endswith(".csv"):
        return list(_csv(text, name))
    try:
        data: Any = json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise BillError(f"{name}: no JSON (line {error.lineno}: {error.msg})") from error
    pages = cast("list[Any]", data) if isinstance(data, list) else [data]
    lines: list[BillLine] = []
    for number, page in enumerate(pages, 1):
        if not isinstance(page, dict) or not isinstance(page.get("data"), list):  # pyright: ignore[reportUnknownMemberType]
            raise BillError(f"{name}: a page of the API was expected: an object with `data`")
        content = cast("dict[str, Any]", page)
        if content.get("has_more") and number == len(pages):
            raise BillError(
                f"{name}: the last page says has_more: true; fetch those that follow, save all as one list"
            )
        try:
            lines += _READERS[provider](content["data"])
        except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
            raise BillError(f"{name}, page {number}: not as {provider} documents it ({error!r})") from error
    return lines


def _openai(buckets: Iterable[dict[str, Any]]) -> Iterator[BillLine]:
    for bucket in buckets:
        day = datetime.fromtimestamp(int(bucket["start_time"]), timezone.utc).date()
        for result in bucket["results"]:
            kind = str(result["object"])
            key = str(result.get("api_key_id") or result.get("project_id") or "")
            if kind == "organization.costs.result":
                amount = result["amount"]
                _only_usd(amount["currency"])
                item = str(result.get("line_item") or "")
                model, comma, _ = item.rpartition(", ")
                yield BillLine(
                    day,
                    model_name(model) if comma else "",
                    key,
                    usd=_decimal(amount["value"]),
                    what="" if comma or not item else item,
                )
            elif kind in ("organization.usage.completions.result", "organization.usage.embeddings.result"):
                cached, audio = _count(result, "input_cached_tokens"), _count(result, "input_audio_tokens")
                audio_out = _count(result, "output_audio_tokens")
                written = _count(result, "input_cache_write_tokens")
                tokens = {
                    "input": _count(result, "input_tokens") - cached - audio - written,
                    "cache_read": cached,
                    "cache_write_5m": written,
                    "audio_input": audio,
                    "output": _count(result, "output_tokens") - audio_out,
                    "audio_output": audio_out,
                }
                if result.get("model") is None:
                    raise ValueError("usage without a model: export it with group_by=model")
                yield BillLine(
                    day, model_name(str(result["model"])), key, int(result["num_model_requests"]), tokens
                )
            else:
                raise ValueError(f"{kind} is not known here")


def _anthropic(buckets: Iterable[dict[str, Any]]) -> Iterator[BillLine]:
    for bucket in buckets:
        day = _day(str(bucket["starting_at"]))
        for result in bucket["results"]:
            key = str(result.get("api_key_id") or result.get("workspace_id") or "")
            if "amount" in result:
                _only_usd(result["currency"])
                kind = str(result.get("cost_type") or "tokens")
                model = result.get("model")
                if kind == "tokens" and model is None:
                    raise ValueError("costs without a model: export them with group_by[]=description")
                yield BillLine(
                    day,
                    model_name(str(model)) if kind == "tokens" else "",
                    key,
                    usd=EXACT.scaleb(_decimal(result["amount"]), _CENT),
                    what="" if kind == "tokens" else kind,
                )
            else:
                written: dict[str, Any] = result.get("cache_creation") or {}
                tokens = {
                    "input": _count(result, "uncached_input_tokens"),
                    "cache_read": _count(result, "cache_read_input_tokens"),
                    "cache_write_5m": _count(written, "ephemeral_5m_input_tokens"),
                    "cache_write_1h": _count(written, "ephemeral_1h_input_tokens"),
                    "output": _count(result, "output_tokens"),
                }
                if result.get("model") is None:
                    raise ValueError("usage without a model: export it with group_by[]=model")
                yield BillLine(day, model_name(str(result["model"])), key, None, tokens)


def _openrouter(rows: Iterable[dict[str, Any]]) -> Iterator[BillLine]:
    for row in rows:
        tokens = {"input": _count(row, "prompt_tokens"), "output": _count(row, "completion_tokens")}
        yield BillLine(
            _day(str(row["date"])),
            model_name(str(row["model"])),
            "",
            int(row["requests"]),
            tokens,
            _decimal(row["usage"]),
        )


_READERS: Final[Mapping[str, Callable[[Any], Iterator[BillLine]]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "openrouter": _openrouter,
}
PROVIDERS: Final = (*_READERS, "csv")

# Names of columns that consoles use, besides ours; the first that is there is read.
_ALIASES: Final[Mapping[str, Sequence[str]]] = {
    "date": ("date", "day", "usage_date_utc", "start_time_iso", "timestamp", "created_at"),
    "model": ("model", "model_version", "line_item", "model_permaslug"),
    "key": ("key", "api_key", "api_key_id", "project_id", "workspace", "project"),
    "requests": ("requests", "num_model_requests", "n_requests"),
    "cost_usd": ("cost_usd", "amount_value", "cost", "cost_total", "usage"),
    "currency": ("currency", "amount_currency"),
    "input": (
        "input_uncached_tokens",
        "input_tokens",
        "uncached_input_tokens",
        "usage_input_tokens_no_cache",
        "tokens_prompt",
    ),
    "cache_read": (
        "cache_read_tokens",
        "cache_read_input_tokens",
        "usage_input_tokens_cache_read",
        "input_cached_tokens",
    ),
    "cache_write_5m": (
        "cache_write_5m_tokens",
        "usage_input_tokens_cache_write_5m",
        "usage_input_tokens_cache_write",
    ),
    "cache_write_1h": ("cache_write_1h_tokens", "usage_input_tokens_cache_write_1h"),
    "audio_input": ("audio_input_tokens", "input_audio_tokens"),
    "output": ("output_tokens", "usage_output_tokens", "tokens_completion"),
    "audio_output": ("audio_output_tokens", "output_audio_tokens"),
}
# OpenAI's totals contain these; every other export names parts that add up.
_PART_OF: Final[Mapping[tuple[str, str], str]] = {
    ("input", "input_cached_tokens"): "input_tokens",
    ("input", "input_audio_tokens"): "input_tokens",
    ("output", "output_audio_tokens"): "output_tokens",
}


def _csv(text: str, name: str) -> Iterator[BillLine]:
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    titles = {title.strip().lower().replace(" ", "_"): title for title in reader.fieldnames or ()}
    found = {
        wanted: next(alias for alias in aliases if alias in titles)
        for wanted, aliases in _ALIASES.items()
        if any(alias in titles for alias in aliases)
    }
    for wanted in ("date", "model"):
        if wanted not in found:
            raise BillError(
                f"{name}: no column {wanted} (or {', '.join(_ALIASES[wanted][1:])}) among"
                f" {', '.join(titles) or 'none'}; docs/finance.md lists what is read"
            )
    buckets = [bucket for bucket in BUCKETS if bucket in found]
    for number, row in enumerate(reader, 2):

        def cell(column: str | None, row: Mapping[str, str | None] = row) -> str:
            return (row.get(titles[column]) or "").strip() if column in titles else ""

        try:
            counts = {bucket: int(cell(found[bucket]) or 0) for bucket in buckets}
            for (whole, part), total in _PART_OF.items():
                if found.get(whole) == total:
                    counts[whole] -= int(cell(part) or 0)
            _no_less_than_nothing(counts.values())
            if cell(found.get("currency")):
                _only_usd(cell(found["currency"]))
            model, what = cell(found["model"]), ""
            if found["model"] == "line_item":  # `gpt-4o-2024-08-06, input`, or what is not about a model
                model, comma, _ = model.rpartition(", ")
                what = "" if comma else cell("line_item")
            usd = cell(found.get("cost_usd")).lstrip("$").replace(",", "")
            requests = cell(found.get("requests"))
            yield BillLine(
                _day(cell(found["date"])),
                model_name(model),
                cell(found.get("key")),
                int(requests) if requests else None,
                counts or None,
                _decimal(usd) if usd else None,
                what,
            )
        except (ValueError, InvalidOperation) as error:
            raise BillError(f"{name}, line {number}: {error}") from error


def _day(text: str) -> date:
    moment = datetime.fromisoformat(text.strip())
    return (moment.astimezone(timezone.utc) if moment.tzinfo else moment).date()


def _count(values: Mapping[str, Any], name: str) -> int:
    return int(values.get(name) or 0)


def _decimal(value: Any) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{value!r} is no amount")
    return number


def _no_less_than_nothing(counts: Iterable[int]) -> None:
    if any(count < 0 for count in counts):
        raise ValueError("a count of tokens is below 0, or smaller than what it contains")


def _only_usd(currency: Any) -> None:
    if str(currency).upper() != "USD":
        raise ValueError(f"amounts in {currency}: only USD can be compared with the ledger")
