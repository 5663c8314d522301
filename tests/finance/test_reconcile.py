"""The bill beside the ledger, from exports written by hand after the providers' documentation."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.charges import RATES, START, group
from finance.months import at, fill
from promptspan_server.cli.app import invoke
from promptspan_server.cli.failure import CommandError
from promptspan_server.finance.bills import BillError, BillLine, model_name, read_bill
from promptspan_server.finance.ledger import nanos
from promptspan_server.finance.reconcile import compare, sums, unexplained

if TYPE_CHECKING:
    from promptspan_server.finance.ledger import LedgerRow
    from promptspan_server.finance.reconcile import Compared
    from queries.live_store import LiveStore

EXPORTS = Path(__file__).parent / "exports"
DAY = date(2026, 10, 1)
MIDNIGHT = int(START.timestamp())


def openai_usage(day: int = MIDNIGHT, **counts: Any) -> dict[str, Any]:
    result = {
        "object": "organization.usage.completions.result",
        "input_tokens": 1_000_000,
        "output_tokens": 10_000,
        "input_cached_tokens": 200_000,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "num_model_requests": 10,
        "project_id": None,
        "user_id": None,
        "api_key_id": None,
        "model": "gpt-4o-2024-08-06",
        "batch": None,
        "service_tier": None,
    }
    bucket = {
        "object": "bucket",
        "start_time": day,
        "end_time": day + 86_400,
        "results": [{**result, **counts}],
    }
    return {"object": "page", "data": [bucket], "has_more": False, "next_page": None}


def openai_costs(*amounts: tuple[str | None, str], day: int = MIDNIGHT) -> str:
    results = ", ".join(
        f'{{"object": "organization.costs.result", "amount": {{"value": {value}, "currency": "usd"}},'
        f' "line_item": {json.dumps(item)}, "project_id": null}}'
        for item, value in amounts
    )
    return (
        f'{{"object": "page", "data": [{{"object": "bucket", "start_time": {day}, "end_time": {day + 86_400},'
        f' "results": [{results}]}}], "has_more": false, "next_page": null}}'
    )


ANTHROPIC_USAGE = (EXPORTS / "anthropic_usage.json").read_text()
ANTHROPIC_COSTS = (EXPORTS / "anthropic_costs.json").read_text()
OPENROUTER = (EXPORTS / "openrouter_activity.json").read_text()


def test_openai_is_read_as_documented() -> None:
    (line,) = read_bill("openai", json.dumps([openai_usage(input_audio_tokens=100)]), "usage.json")
    assert (line.day, line.model, line.requests, line.usd) == (DAY, "gpt-4o", 10, None)
    assert line.tokens == {
        "input": 799_900,
        "cache_read": 200_000,
        "cache_write_5m": 0,
        "audio_input": 100,
        "output": 10_000,
        "audio_output": 0,
    }
    costs = openai_costs(("gpt-4o-2024-08-06, input", "0.123456789012345"), ("web search tool calls", "2.50"))
    tokens, searches = read_bill("openai", costs, "costs.json")
    assert (tokens.model, tokens.usd) == ("gpt-4o", Decimal("0.123456789012345"))
    assert (searches.model, searches.what) == ("", "web search tool calls")


def test_anthropic_is_read_as_documented() -> None:
    (usage,) = read_bill("anthropic", ANTHROPIC_USAGE, "usage.json")
    assert (usage.model, usage.key, usage.requests) == ("claude-sonnet-4-5", "wrkspc_1", None)
    assert usage.tokens == {
        "input": 1500,
        "cache_read": 200,
        "cache_write_5m": 500,
        "cache_write_1h": 1000,
        "output": 500,
    }
    tokens, searches = read_bill("anthropic", ANTHROPIC_COSTS, "costs.json")
    assert tokens.usd == Decimal("0.0045")  # amounts are cents
    assert (searches.usd, searches.what) == (Decimal("0.10"), "web_search")


def test_columns_of_consoles_are_read_as_they_are_meant() -> None:
    usage = (
        "start_time_iso,api_key_id,model,num_model_requests,input_tokens,input_cached_tokens,output_tokens\n"
        "2026-10-05T00:00:00+00:00,key_1,gpt-4o-2024-08-06,3,1000,400,50\n"
    )
    (line,) = read_bill("openai", usage, "usage.csv")  # OpenAI's input contains what the cache had
    assert (line.model, line.key, line.requests) == ("gpt-4o", "key_1", 3)
    assert line.tokens == {"input": 600, "cache_read": 400, "output": 50}
    (apart,) = read_bill("openai", usage.replace("input_tokens", "input_uncached_tokens"), "usage.csv")
    assert apart.tokens == {"input": 1000, "cache_read": 400, "output": 50}
    costs = (
        "start_time_iso,amount_value,amount_currency,line_item\n"
        '2026-10-05T00:00:00+00:00,1.25,usd,"gpt-4o-2024-08-06, input"\n'
        "2026-10-05T00:00:00+00:00,0.5,usd,web search\n"
    )
    tokens, searches = read_bill("openai", costs, "costs.csv")
    assert (tokens.model, tokens.usd, tokens.what) == ("gpt-4o", Decimal("1.25"), "")
    assert (searches.model, searches.usd, searches.what) == ("", Decimal("0.5"), "web search")
    with pytest.raises(BillError, match=r"costs\.csv, line 2: amounts in eur: only USD"):
        read_bill("openai", costs.replace("usd", "eur"), "costs.csv")
    with pytest.raises(BillError, match=r"usage\.csv, line 2: .* smaller than what it contains"):
        read_bill("openai", usage.replace("1000", "100"), "usage.csv")
    with pytest.raises(BillError, match=r"no column model \(or model_version.*\) among date, amount;"):
        read_bill("csv", "date,amount\n", "other.csv")


def test_openrouter_and_tables_are_read() -> None:
    (line,) = read_bill("openrouter", OPENROUTER, "activity.json")
    assert (line.model, line.requests, line.usd) == ("openai/gpt-4.1", 5, Decimal("0.015"))
    assert line.tokens == {"input": 50, "output": 125}
    table = "Date,Model,API Key,Requests,Input Tokens,Output Tokens,Cost USD\n"
    table += "2026-10-01,GPT-4o,k1,3,10,20,$1.50\n"
    (row,) = read_bill("csv", table, "console.csv")
    assert row == BillLine(DAY, "gpt-4o", "k1", 3, {"input": 10, "output": 20}, Decimal("1.50"))


@pytest.mark.parametrize(
    ("provider", "text", "said"),
    [
        ("openai", "{", "no JSON"),
        ("openai", "[1]", "a page of the API was expected"),
        ("openai", '{"data": [], "has_more": true}', "fetch those that follow"),
        ("openai", '{"data": [{"start_time": 1, "results": [{}]}]}', "not as openai documents it"),
        ("openai", openai_costs(("a, b", "1")).replace('"usd"', '"eur"'), "only USD"),
        ("openai", json.dumps(openai_usage(model=None)), "group_by=model"),
        ("csv", "a,b\n", "no column date"),
        ("csv", "date,model,requests\n2026-10-01,m,many\n", "line 2"),
    ],
)
def test_what_is_no_export_is_refused_in_a_line(provider: str, text: str, said: str) -> None:
    with pytest.raises(BillError, match=said):
        read_bill(provider, text, "file")


def bill(usd: str | None, requests: int | None = 10, **tokens: int) -> BillLine:
    return BillLine(DAY, "gpt-4o", "", requests, tokens, None if usd is None else Decimal(usd))


# 10 calls, 1,000,000 tokens of input at 2.5 USD and 100,000 of output at 10 USD a million: 3.5 USD.
OURS = group(calls=10, input=1_000_000, output=100_000)


@pytest.mark.parametrize(
    ("lines", "ledger", "parts"),
    [
        ([bill("3.5", input=1_000_000, output=100_000)], [OURS], {}),
        # Two calls more, as large as the others.
        ([bill("4.2", 12, input=1_200_000, output=120_000)], [OURS], {"missing calls": "0.7"}),
        ([bill("3.75", input=1_100_000, output=100_000)], [OURS], {"tokens": "0.25"}),
        ([bill("7", input=1_000_000, output=100_000)], [OURS], {"price": "3.5"}),
        ([bill("3.504", input=1_000_000, output=100_000)], [OURS], {"price": "0.004"}),
        ([bill("3.50", input=1_000_800, output=100_000)], [OURS], {"tokens": "0.002", "rounding": "-0.002"}),
        # Twelve calls for ten, and half the price.
        (
            [bill("2.1", 12, input=1_200_000, output=120_000)],
            [OURS],
            {"missing calls": "0.7", "price": "-2.1"},
        ),
        ([bill("1", input=10)], [], {"missing calls": "1"}),
        ([], [OURS], {"missing calls": "-3.5"}),
        ([bill("5", None)], [], {"missing calls": "5"}),
        ([BillLine(DAY, "gpt-4o", usd=Decimal(5))], [OURS], {"unexplained": "1.5"}),
        ([BillLine(DAY, "", usd=Decimal(5))], [], {"unexplained": "5"}),
        ([BillLine(DAY, "", usd=Decimal(5), what="web_search")], [], {"other charges": "5"}),
        # Cache writes, and no call of ours whose price could be asked.
        ([bill("5", input=1)], [group(status="unpriced", calls=10, model="gpt-4o")], {"unexplained": "5"}),
    ],
)
def test_a_difference_is_split_into_its_causes(
    lines: list[BillLine], ledger: list[LedgerRow], parts: dict[str, str]
) -> None:
    rows = compare(lines, ledger, RATES)
    assert {name: value for name, value in sums(rows).items() if value} == {
        name: Decimal(value) for name, value in parts.items()
    }
    assert_exact(rows)


def assert_exact(rows: list[Compared]) -> None:
    for row in rows:
        assert sum(map(nanos, row.parts.values())) == nanos(row.billed_usd) - nanos(row.ledger_usd)


_LINES = st.lists(
    st.builds(
        BillLine,
        st.sampled_from([DAY, DAY + timedelta(days=1)]),
        st.sampled_from(["gpt-4o", "other", ""]),
        st.sampled_from(["", "k"]),
        st.one_of(st.none(), st.integers(0, 30)),
        st.one_of(
            st.none(),
            st.fixed_dictionaries({"input": st.integers(0, 10**7), "output": st.integers(0, 10**6)}),
        ),
        st.one_of(st.none(), st.decimals(0, 1000, places=12)),
        st.sampled_from(["", "", "web_search"]),
    ),
    max_size=6,
)


@st.composite
def ours(draw: st.DrawFn) -> LedgerRow:
    tokens = draw(st.integers(0, 10**7))
    rate = draw(st.sampled_from(["r-public", "r-own"]))
    calls, day = draw(st.integers(1, 30)), draw(st.integers(0, 1))
    return group(day, "priced", rate, calls=calls, input=tokens, output=7)


@given(_LINES, st.lists(ours(), max_size=4))
def test_the_parts_are_the_difference_and_nothing_is_left_out(
    lines: list[BillLine], ledger: list[LedgerRow]
) -> None:
    rows = compare(lines, ledger, RATES)
    assert_exact(rows)
    billed = sum((Fraction(line.usd or 0) for line in lines), Fraction(0))
    assert abs(sum(Fraction(row.billed_usd) for row in rows) - billed) <= Fraction(len(rows), 10**9)
    assert sum(Fraction(row.ledger_usd) for row in rows) == sum(
        (Fraction(row.cost_usd or 0) for row in ledger), Fraction(0)
    )
    assert unexplained(rows) >= 0


def test_names_of_snapshots_are_names_of_their_models() -> None:
    assert model_name("GPT-4o-2024-08-06") == "gpt-4o"
    assert model_name("claude-sonnet-4-5-20250929") == "claude-sonnet-4-5"
    assert model_name("claude-sonnet-4-5@20250929") == "claude-sonnet-4-5"
    assert model_name("gpt-4-0613") == "gpt-4-0613"


def test_a_bill_is_reconciled_and_kept_in_the_pack(
    live: LiveStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "2025-08"
    store = ["--dsn", f"http://default@127.0.0.1:{live.clickhouse_port}/default"]
    day = int(datetime(2025, 8, 3, tzinfo=timezone.utc).timestamp())
    fill(live, *[live.call(at(name, 3, hour), input_tokens=100_000, output_tokens=0) for hour in range(10)])
    usage, costs = tmp_path / "usage.json", tmp_path / "costs.json"
    counts = {
        "input_tokens": 1_200_000,
        "output_tokens": 0,
        "input_cached_tokens": 0,
        "num_model_requests": 12,
    }
    usage.write_text(json.dumps(openai_usage(day, model="gpt-4o-mini-2024-07-18", **counts)))
    # 0.15 USD a million: 0.15 by the ledger; the bill has two calls more.
    costs.write_text(openai_costs(("gpt-4o-mini-2024-07-18, input", "0.18"), day=day))
    command = ["reconcile", "--provider", "openai", "--invoice", "INV-7", str(usage), str(costs), *store]
    assert invoke([*command, "--invoice-total", "0.18", "--format", "json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["difference_usd"], made["parts"]["missing calls"]) == ("0.03", "0.03")
    assert made["invoice"] == {"number": "INV-7", "usd": "0.18", "less_export_usd": "0.0"}
    with pytest.raises(CommandError) as raised:
        invoke([*command, "--invoice-total", "0.28", "--no-keep"])
    assert raised.value.exit_code == 1
    assert "0.1 other than the export" in capsys.readouterr().out
    pack = tmp_path / "pack"
    assert invoke(["close", name, "--output", str(pack), *store]) == 0
    assert json.loads((pack / "reconciliation-openai.json").read_text()) == made
    for arguments, said in (
        ([str(usage)], "add the export of costs"),
        ([str(usage), str(costs), "--key-is", "colour"], "it can be service, tenant"),
        ([str(usage), str(costs), "--month", "2025-07"], "no costs of 2025-07"),
        ([str(costs), "--invoice-total", "much"], "an amount such as"),
    ):
        with pytest.raises(CommandError, match=said):
            invoke(["reconcile", "--provider", "openai", *arguments, *store])
