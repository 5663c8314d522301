"""A closed month stays as it was; what comes later is a revision that explains itself."""

from __future__ import annotations

import json
import zipfile
from datetime import datetime, timezone
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finance.charges import group
from finance.months import at, fill, month_of_calls
from promptspan_server.cli.app import invoke
from promptspan_server.cli.failure import CommandError
from promptspan_server.finance.adjustments import BY, CAUSES, differences, explained, total_of
from promptspan_server.finance.close_pack import read_pack, unlike
from promptspan_server.finance.closed import CloseError, frozen_basis, revisions
from promptspan_server.finance.closing import Wishes, close_month
from promptspan_server.finance.ledger import Ledger, dollars, month, nanos, read
from promptspan_server.pricing.sync import import_prices
from promptspan_server.store.executor import ClientExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from promptspan_server.finance.ledger import LedgerRow
    from queries.live_store import LiveStore

TENANT = "closing-tests"
_years = count(2001)


def contract(usd: str) -> str:
    return (
        "rates: [{provider: openai, model: gpt-4o-mini, "
        f"tenant: {TENANT}, usd_per_mtok: {{input: {usd}, cache_read: {usd}, output: {usd}}}}}]"
    )


@pytest.fixture
def own_prices(live: LiveStore) -> Iterator[Any]:
    """Changes what this file's tenant pays, and takes it back."""
    executor = ClientExecutor(live.writer)

    def change(usd: str) -> None:
        import_prices(executor, contract(usd))

    yield change
    import_prices(executor, "")


def spent(live: LiveStore, name: str) -> Decimal:
    return Decimal(
        live.value(
            "SELECT toString(sum(ifNull(cost_usd, 0))) FROM llm_costs"
            f" WHERE billable AND toYYYYMM(ts) = {name.replace('-', '')}"
        )
    )


def call(live: LiveStore, name: str, **facts: Any) -> dict[str, Any]:
    day, hour = facts.pop("day", 3), facts.pop("hour", 12)
    return live.call(at(name, day, hour), tenant=TENANT, feature="inbox", **facts)


def closed(live: LiveStore, name: str, **wishes: Any) -> Any:
    return close_month(live.reader, ClientExecutor(live.writer), month(name), Wishes(**wishes))


@pytest.mark.long  # thirty seconds; the pages close and revise a month too
def test_a_month_is_closed_revised_and_verified(
    live: LiveStore, own_prices: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "2026-03"
    store = ["--dsn", f"http://default@127.0.0.1:{live.clickhouse_port}/default"]
    rules, rates = tmp_path / "allocation.yaml", tmp_path / "rates.yaml"
    rules.write_text("rules: [{match: {feature: inbox}, to: {team: one}}]")
    rates.write_text("currency: EUR\nrates: {2026-03: 0.9}")
    files = ["--allocation", str(rules), "--rates", str(rates)]
    fill(live, *month_of_calls(live, name), call(live, name))
    first = spent(live, name)

    with pytest.raises(CommandError, match=r"usage without a price.*openai/nobody-knows \(1 calls\)"):
        invoke(["close", name, *files, *store])
    rates.write_text("currency: EUR\nrates: {2026-02: 0.9}")
    with pytest.raises(CommandError, match="no EUR rate for 2026-03-01"):
        invoke(["close", name, "--with-unpriced", *files, *store])
    assert revisions(live.reader, month(name).start) == ()
    rates.write_text("currency: EUR\nrates: {2026-03: 0.9}")
    pack = tmp_path / "one.zip"
    assert invoke(["close", name, "--with-unpriced", "--output", str(pack), *files, *store]) == 0
    said = capsys.readouterr().out
    assert f"{name}, revision 1: {first.normalize():f} USD" in said
    assert "33 calls, 93.9% with a known cost; 2 without" in said
    with pytest.raises(CommandError, match=r"is closed \(revision 1\): --revise"):
        invoke(["close", name, "--with-unpriced", *store])
    assert invoke(["close", "--revise", name, "--with-unpriced", *store]) == 0
    assert "nothing has changed" in capsys.readouterr().out

    before = _exported(live, name, tmp_path / "a.csv")
    # A late call, a batch that is sent again, a new price and a rule that books a feature elsewhere.
    late = call(live, name, day=20)
    fill(live, late, late)
    own_prices("7.77")
    fill(live)
    second = spent(live, name)
    assert second != first
    assert _exported(live, name, tmp_path / "b.csv", "--revision", "1") == before
    rules.write_text("rules: [{match: {feature: inbox}, to: {team: two}}]")
    assert invoke(["close", name, "--revise", "--with-unpriced", "--note", "late", *files, *store]) == 0
    capsys.readouterr()

    with pytest.raises(CommandError) as raised:
        invoke(["close", "diff", name, "--by", "team", "--format", "json", *store])
    assert raised.value.exit_code == 1
    parts = json.loads(capsys.readouterr().out)
    assert {part["cause"] for part in parts} == {"late calls", "price change", "allocation rules"}
    assert sum(Decimal(str(part["usd"])) for part in parts) == second - first
    moved = {part["team"]: Decimal(str(part["usd"])) for part in parts if part["cause"] == "allocation rules"}
    assert moved["one"] == -moved["two"] < 0

    focus = tmp_path / "focus.parquet"
    _exported(live, name, focus)
    sums = (
        f"SELECT x_Revision, sum(BilledCost), count(ChargeClass) > 0 FROM read_parquet('{focus}')"
        " GROUP BY 1 ORDER BY 1"
    )
    assert duckdb.execute(sums).fetchall() == [(1, first, False), (2, second - first, True)]
    by_team = (
        f"SELECT sum(BilledCost) FROM read_parquet('{focus}') WHERE json_extract_string(Tags, 'team') = 'one'"
    )
    assert duckdb.execute(by_team).fetchall() == [(Decimal(0),)]

    assert invoke(["close", "verify", name, "--revision", "1", "--pack", str(pack), *store]) == 0
    assert "byte for byte" in capsys.readouterr().out
    again = tmp_path / "again.zip"
    assert invoke(["close", "export", name, "--revision", "1", "--output", str(again), *store]) == 0
    assert again.read_bytes() == pack.read_bytes()
    with zipfile.ZipFile(pack) as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))
        archive.extractall(tmp_path / "changed")
    assert names == {
        *("manifest.json", "ledger.csv", "focus.csv", "focus.uncharged.csv", "prices.csv"),
        *("allocation.yaml", "rates.yaml", "queries.sql"),
    }
    assert Decimal(manifest["totals"]["cost_usd"]) == first
    assert Decimal(manifest["totals"]["reporting_cost"]) == first * Decimal("0.9")

    assert invoke(["close", "show", name, *store]) == 0
    assert invoke(["close", "list", *store]) == 0
    said = capsys.readouterr().out
    assert "adjustments.csv" in said
    assert "USD other than revision 1" in said
    with pytest.raises(CommandError, match="has no revision 3"):
        invoke(["close", "show", name, "--revision", "3", *store])

    ledger = tmp_path / "changed" / "ledger.csv"
    ledger.write_text(ledger.read_text().replace("inbox", "outbox"))
    (tmp_path / "changed" / "more.txt").write_text("")
    (tmp_path / "changed" / "prices.csv").unlink()
    chain = revisions(live.reader, month(name).start)
    assert [line.partition(": ")[0] for line in unlike(chain[0], read_pack(ledger.parent))] == [
        "prices.csv",
        "more.txt",
        "ledger.csv",
    ]


def _exported(live: LiveStore, name: str, path: Path, *more: str) -> bytes:
    assert invoke(["export", "focus", "--month", name, "--output", str(path), *more, "--dsn", live.dsn]) == 0
    return path.read_bytes()


def test_what_cannot_be_closed_is_said(live: LiveStore) -> None:
    with pytest.raises(CloseError, match="is not over: it can be closed from 2030-02-01"):
        closed(live, "2030-01")
    with pytest.raises(CloseError, match="is not closed: promptspan close 2005-01"):
        closed(live, "2005-01", revise=True)
    with pytest.raises(CloseError, match="has no calls"):
        closed(live, "2005-01")
    live.insert("llm_calls", call(live, "2005-02"))
    with pytest.raises(CloseError, match="1 hours of 2005-02 are still being computed"):
        closed(live, "2005-02")
    assert revisions(live.reader, datetime(2005, 1, 1, tzinfo=timezone.utc)) == ()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("late"), st.integers(1, 3)),
        st.tuples(st.just("again"), st.integers(1, 5)),
        st.tuples(st.just("price"), st.integers(1, 9_999_999)),
        st.tuples(st.just("reported"), st.integers(0, 10**9)),
        st.tuples(st.just("close"), st.just(0)),
        st.tuples(st.just("close"), st.just(0)),
    ),
    min_size=3,
    max_size=6,
)


@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(STEPS)
def test_no_order_of_events_loses_or_doubles_a_cent(
    live: LiveStore, own_prices: Any, steps: list[tuple[str, int]]
) -> None:
    name = f"{next(_years)}-06"
    calls = [call(live, name, hour=hour, input_tokens=1_001 + hour) for hour in range(3)]
    fill(live, *calls)
    frozen: list[Decimal] = []
    for step, number in [*steps, ("close", 0)]:
        if step == "late":
            calls += [call(live, name, day=9, hour=number, input_tokens=7) for _ in range(number)]
            fill(live, *calls[-number:])
        elif step == "again":
            fill(live, *calls[:number])
        elif step == "price":
            own_prices(f"0.{number:07}")
            fill(live)
        elif step == "reported":
            calls.append(call(live, name, day=10, reported_cost_usd=str(Decimal(number).scaleb(-9))))
            fill(live, calls[-1])
        else:
            chain = closed(live, name, revise=bool(frozen))
            if chain is None:
                assert spent(live, name) == frozen[-1]
                continue
            frozen.append(spent(live, name))
            assert [one.cost_usd for one in chain] == frozen
            assert sum(one.adjusted_usd for one in chain) == frozen[-1]
            assert chain[-1].calls == len(calls)
            closes = tuple(one.close_id for one in chain)
            (whole,) = read(live.reader, Ledger(month(name), (), closes=closes))
            assert (whole.calls, whole.cost_usd) == (len(calls), frozen[-1])
            if len(chain) > 1:
                rules = frozen_basis(live.reader, chain[-1]).allocation
                found = differences(
                    live.reader,
                    month(name),
                    before=closes[:-1],
                    after=closes[-1:],
                    by=("feature", "tenant", "team"),
                    rules=(rules, rules),
                )
                for parts in found.values():
                    assert total_of(parts) == frozen[-1] - frozen[-2]
                    assert sum(part.calls for part in parts) == chain[-1].calls - chain[-2].calls


@st.composite
def changes(draw: st.DrawFn) -> LedgerRow:
    cost = dollars(draw(st.integers(-(10**12), 10**12)))
    return group(calls=draw(st.integers(-5, 5)), cost_usd=cost, input=draw(st.integers(-5, 5)))


@given(st.lists(changes(), min_size=1, max_size=5))
def test_causes_add_up_to_the_difference(rows: list[LedgerRow]) -> None:
    found = explained(rows)
    assert sum(amount for _, _, amount in found) == sum(nanos(row.cost_usd or Decimal(0)) for row in rows)
    assert sum(calls for _, calls, _ in found) == sum(row.calls for row in rows)
    assert {cause for cause, _, _ in found} <= set(CAUSES)


def test_a_late_call_beside_a_price_change_is_told_apart() -> None:
    # Two calls of 10 became three calls of 9.
    before, now = (
        group(calls=-2, cost_usd=Decimal(-20), input=-4),
        group(calls=3, cost_usd=Decimal(27), input=6),
    )
    assert explained([before, now]) == [
        ("late calls", 1, 9 * 10**9),
        ("price change", 0, -2 * 10**9),
    ]
    gone = [group(calls=-3, cost_usd=Decimal(-30)), group(calls=1, cost_usd=Decimal(10))]
    assert explained(gone) == [("calls counted no longer", -2, -20 * 10**9)]
    other_tokens = [
        group(calls=-1, cost_usd=Decimal(-3), input=-3),
        group(calls=1, cost_usd=Decimal(4), input=4),
    ]
    assert explained(other_tokens) == [("corrected usage", 0, 10**9)]
    assert "feature" in BY
