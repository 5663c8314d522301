"""The engine on the real store: turns, restarts, kills, blindness, and what people type."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from promptspan_server.alerts import evaluator as engine
from promptspan_server.alerts.evaluator import FILES, Evaluator
from promptspan_server.alerts.lease import HoldersNow, take
from promptspan_server.alerts.memory import Evaluations, History, States
from promptspan_server.alerts.notice import Notice
from promptspan_server.alerts.rule_files import RuleBook, load_rules
from promptspan_server.alerts.rules import ErrorRule, FlagRule, LossRule, Policy
from promptspan_server.alerts.texts import alert_text, measure
from promptspan_server.cli.app import invoke
from promptspan_server.queries.alerts import Alerts, Watch
from promptspan_server.queries.connection import Store, StoreUnreachable, parse_dsn
from queries.live_store import LiveStore, running_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from promptspan_server.alerts.rules import Rule
    from promptspan_server.alerts.states import State

NOW = datetime.now(timezone.utc).replace(microsecond=0)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStore]:
    with running_store(tmp_path_factory.mktemp("alerts")) as store:
        yield store


@pytest.fixture(scope="module")
def store(live: LiveStore) -> Iterator[Store]:
    writer = Store(parse_dsn(f"http://default@127.0.0.1:{live.clickhouse_port}/default"))
    yield writer
    writer.close()


def book(*rules: Rule) -> RuleBook:
    policy = Policy.model_validate({"group_wait": "0s", "group_by": ["rule", "prompt_name"]})
    return RuleBook({rule.name: rule for rule in rules}, policy, ())


def failing(name: str, **more: Any) -> ErrorRule:
    """A rule of its own for one test, about a prompt of the same name."""
    says = {"name": name, "kind": "errors", "where": {"prompt_name": name}, "by": ["prompt_name"], **more}
    return ErrorRule.model_validate(says)


def outage(live: LiveStore, prompt: str, until: datetime, minutes: int = 20) -> None:
    rows = [
        live.call(
            until - timedelta(seconds=12 * number + 3),
            prompt_name=prompt,
            prompt_version="7",
            status="error" if number < minutes * 5 and number % 3 == 0 else "ok",
        )
        for number in range(5 * 60)
    ]
    live.insert("llm_calls", *rows)


def alerts(store: Store, rule: str) -> dict[str, State]:
    return {state.severity: state for state in store.ask(States()).rows if state.rule == rule}


def notices(live: LiveStore, prompt: str) -> list[Notice]:
    found = live.writer.query("SELECT payload FROM alert_outbox FINAL ORDER BY created_at").result_rows
    read = [Notice.from_json(payload) for (payload,) in found]
    return [each for each in read if any(alert.rule == prompt for alert in each.alerts)]


def test_of_many_evaluators_one_has_the_turn(live: LiveStore, store: Store) -> None:
    won: list[str] = []

    def run(name: str) -> None:
        own = Store(store.dsn)
        if take(own, name) is not None:
            won.append(name)
        own.close()

    # A slot that nobody has, as after a start; the next one may begin meanwhile.
    slot = store.ask(HoldersNow()).rows[0].slot
    threads = [threading.Thread(target=run, args=(f"e{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = live.writer.query(f"SELECT slot, count() FROM alert_leases WHERE slot >= {slot} GROUP BY slot")
    assert {count for _, count in rows.result_rows} == {1}
    assert 1 <= len(won) <= len(rows.result_rows)


def test_two_evaluators_tell_once_and_a_restart_goes_on(live: LiveStore, store: Store) -> None:
    outage(live, "twice", NOW + timedelta(minutes=4), minutes=24)
    rule = failing("twice", **{"for": "2m", "every": "15s"})
    first, second = (
        Evaluator(Store(store.dsn), book(rule), destinations=["pager"], name=name) for name in "ab"
    )
    first.evaluate_at(NOW)
    assert alerts(store, "twice")["page"].name == "pending"
    # Another process, two minutes later: the timer is the store's.
    second.evaluate_at(NOW + timedelta(minutes=2))
    state = alerts(store, "twice")["page"]
    assert (state.name, state.starts_at) == ("firing", NOW + timedelta(minutes=2))
    assert state.context["providers"] == "openai"
    # Both think that it is their turn.
    for evaluator in (first, second, first):
        evaluator.evaluate_at(NOW + timedelta(minutes=3))
    (notice,) = notices(live, "twice")
    assert [(alert.severity, alert.state) for alert in notice.alerts] == [("page", "firing")]
    changes = store.ask(History(0, "twice")).rows
    assert [(each.before, each.after) for each in changes if each.severity == "page"] == [
        ("pending", "firing"),
        ("inactive", "pending"),
    ]


def test_an_alert_names_who_answers_for_its_prompt_and_keeps_the_name(live: LiveStore, store: Store) -> None:
    def template(owner: str, seen: datetime) -> None:
        live.insert(
            "prompt_templates",
            {
                "prompt_name": "owned",
                "prompt_version": "7",
                "template_hash": owner,
                "template": "",
                "owner": owner,
                "description": "",
                "first_seen": seen,
                "last_seen": seen,
            },
        )

    outage(live, "owned", NOW + timedelta(minutes=4), minutes=24)
    template("support-tools", NOW - timedelta(days=1))
    rule = failing("owned", every="15s")
    Evaluator(Store(store.dsn), book(rule), destinations=["pager"], name="a").evaluate_at(NOW)
    template("others", NOW)
    Evaluator(Store(store.dsn), book(rule), destinations=["pager"], name="b").evaluate_at(
        NOW + timedelta(minutes=3)
    )
    (notice,) = notices(live, "owned")
    assert [alert.owner for alert in notice.alerts] == ["support-tools"]
    assert "owner: support-tools" in alert_text(notice.alerts[0])
    rows = [each for each in store.ask(Alerts(firing_only=True)).rows if each.rule == "owned"]
    assert {each.owner for each in rows} == {"support-tools"}
    assert alerts(store, "owned")["page"].context["owner"] == "support-tools"


def test_an_alert_that_began_without_a_name_gets_none_while_it_fires(live: LiveStore, store: Store) -> None:
    """Receivers would take it for another alert: the name is one of its labels there."""
    outage(live, "unowned", NOW + timedelta(minutes=4), minutes=24)
    rule = failing("unowned", every="15s")
    Evaluator(Store(store.dsn), book(rule), destinations=[], name="a").evaluate_at(NOW)
    assert alerts(store, "unowned")["page"].fires
    template = {"prompt_version": "7", "template_hash": "h", "template": "", "description": ""}
    seen = {"first_seen": NOW, "last_seen": NOW}
    live.insert("prompt_templates", {"prompt_name": "unowned", "owner": "late", **template, **seen})
    Evaluator(Store(store.dsn), book(rule), destinations=[], name="b").evaluate_at(NOW + timedelta(minutes=1))
    assert "owner" not in alerts(store, "unowned")["page"].context


def test_a_kill_before_the_notice_is_written_tells_it_once_all_the_same(
    live: LiveStore, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage(live, "killed", NOW)
    evaluator = Evaluator(store, book(failing("killed")), destinations=["pager", "mail"], name="k")

    class KilledError(Exception):
        pass

    def die(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patched, suppress(KilledError):
        patched.setattr(engine, "post", die)
        evaluator.evaluate_at(NOW)
    assert notices(live, "killed") == []
    for seconds in (20, 40):
        Evaluator(store, book(failing("killed")), destinations=["pager", "mail"]).evaluate_at(
            NOW + timedelta(seconds=seconds)
        )
    assert sorted(each.destination for each in notices(live, "killed")) == ["mail", "pager"]


def test_an_outage_that_ends_recovers_and_is_told_to_be_over(live: LiveStore, store: Store) -> None:
    end = NOW - timedelta(hours=4)
    outage(live, "ended", end)
    healthy = (
        live.call(end + timedelta(seconds=10 * number), prompt_name="ended", prompt_version="7")
        for number in range(1, 400)
    )
    live.insert("llm_calls", *healthy)
    rule = failing("ended", keep_firing_for="10m")
    evaluator = Evaluator(store, book(rule), destinations=["pager"])
    seen: list[str] = []
    for minutes in (0, 10, 30, 35, 41, 60):
        evaluator.evaluate_at(end + timedelta(minutes=minutes))
        seen.append(alerts(store, "ended")["page"].name)
    assert seen == ["firing", "firing", "recovering", "recovering", "resolved", "resolved"]
    assert [each.status for each in notices(live, "ended") if each.group_labels["severity"] == "page"] == [
        *("firing", "resolved")
    ]


def test_a_clock_that_jumps_an_hour_ahead_and_back_ends_nothing_and_tells_nothing_twice(
    live: LiveStore, store: Store
) -> None:
    outage(live, "jumps", NOW)
    evaluator = Evaluator(store, book(failing("jumps", least=1)), destinations=["pager"])
    evaluator.evaluate_at(NOW)
    evaluator.evaluate_at(NOW + timedelta(hours=1))
    ahead = alerts(store, "jumps")["page"]
    assert ahead.fires
    assert ahead.name == "no_data"  # busy traffic, and then nothing for an hour
    evaluator.evaluate_at(NOW + timedelta(seconds=30))
    back = alerts(store, "jumps")["page"]
    assert (back.name, back.starts_at) == ("firing", NOW)
    assert len([each for each in notices(live, "jumps") if each.group_labels["severity"] == "page"]) == 1


def test_a_rule_that_cannot_be_evaluated_is_blind_keeps_what_fires_and_pages(
    live: LiveStore, store: Store
) -> None:
    outage(live, "blinded", NOW)
    good = failing("blinded")
    watch = load_rules().rules["blind"].model_copy(update={"name": "watch"})
    Evaluator(store, book(good, watch)).evaluate_at(NOW)
    flags = FlagRule.model_validate({"name": "blinded", "kind": "flags"})
    broken = flags.model_copy(update={"by": ("no_column",)})  # what the schema would refuse
    for minutes in (1, 4):
        Evaluator(store, book(broken, watch)).evaluate_at(NOW + timedelta(minutes=minutes))
    state = alerts(store, "blinded")["page"]
    assert (state.name, state.phase, state.fires) == ("error", "firing", True)
    told = alerts(store, "watch")["page"]
    assert told.name == "firing"
    assert "no_column" in told.summary
    assert {each.rule: each.outcome for each in store.ask(Evaluations()).rows}["blinded"] == "error"


def test_a_store_that_is_down_is_said_and_found_again(store: Store) -> None:
    closed = Store(replace(store.dsn, port=9))
    evaluator = Evaluator(closed, book(failing("down")))
    with pytest.raises(StoreUnreachable):
        evaluator.tick()
    closed.dsn = store.dsn
    evaluator.tick()
    closed.close()


def test_every_built_in_rule_can_be_evaluated_and_facts_are_found(live: LiveStore, store: Store) -> None:
    live.insert(
        "llm_calls",
        *(
            live.call(
                NOW - timedelta(minutes=5, seconds=n), request_model="mystery", response_model="mystery"
            )
            for n in range(25)
        ),
        live.call(NOW - timedelta(hours=2), service="late", prompt_name="`'\"\\{}<x>", environment="%s"),
    )
    losses = {"service": "late", "instance_id": "1", "emitted": 100, "delivered": 90}
    seen = {"first_seen": NOW, "last_seen": NOW - timedelta(seconds=1)}
    live.insert("sdk_losses", {**losses, "dropped": {"queue_full": 10}, **seen})
    rules = {
        name: rule.model_copy(update={"hold": timedelta(0)}) for name, rule in load_rules().rules.items()
    }
    tick = Evaluator(store, RuleBook(rules, Policy(), ())).evaluate_at(NOW)
    assert tick is not None
    blind = {each.rule: each.detail for each in tick.evaluated if each.outcome != "ok"}
    # What is usual of latency depends on how much of today is over.
    assert set(blind) <= {"latency"}, blind
    # A rule of another test that was blind and is gone is settled in the same turn.
    assert {each.rule for each in tick.evaluated} >= set(rules)
    firing = {(state.rule, dict(state.labels).get("service") or dict(state.labels).get("request_model"))
              for state in store.ask(States(active=True)).rows if state.fires}  # fmt: skip
    assert firing >= {("ingest-lag", "late"), ("lost-spans", "late"), ("unpriced", "mystery")}


def test_what_people_type(live: LiveStore, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    outage(live, "typed", NOW)
    evaluator = Evaluator(store, book(failing("typed")), destinations=["pager"])
    evaluator.evaluate_at(NOW)
    dsn = f"--dsn={store.dsn.url}"

    def said(*arguments: str) -> str:
        assert invoke(["alerts", *arguments, dsn]) == 0
        return capsys.readouterr().out

    def listed() -> dict[str, Any]:
        found = json.loads(said("list", "--format=json"))
        return next(each for each in found if each["rule"] == "typed" and each["severity"] == "page")

    alert = listed()
    assert alert["state"] == "firing"
    assert alert["labels"] == {"prompt_name": "typed"}
    assert alert["value"] > alert["threshold"] == 1.0
    assert datetime.fromisoformat(alert["since"]) == NOW
    told = said("silence", "rule=typed", "--for=1h", "--author=me", "--comment=known")
    assert listed()["note"] == f"silence {told.split()[0]}"
    assert "typed" in said("silence")
    said("silence", f"--end={told.split()[0]}")
    assert listed()["note"] == ""
    said("ack", alert["id"], "--author=me")
    assert listed()["note"] == "acknowledged by me"
    assert "typed" in said("history", "--rule=typed")
    # For people: what is measured in its unit, and an id that `ack` takes.
    (row,) = (line for line in said("list").splitlines() if line.endswith(alert["id"][:12]))
    assert row.split()[:2] == ["firing", alert["severity"]]
    assert f" {measure(alert['value'], alert['unit'])} " in row
    assert "typed" in said("list", "--rules")


def test_a_rule_that_is_taken_away_ends_its_alerts(store: Store) -> None:
    rule = LossRule.model_validate({"name": "other", "kind": "losses"})
    Evaluator(store, book(rule)).evaluate_at(NOW + timedelta(minutes=30))
    assert {state.rule for state in store.ask(States()).rows if state.fires} <= {"other"}


def test_wrong_rule_files_are_told_until_they_are_right(
    live: LiveStore, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluator = Evaluator(store, book(failing("files")), name="f")
    evaluator.wrong_files = "team.yaml:3: objective: must be below 1"
    evaluator.evaluate_at(NOW)
    said = {each.rule: each for each in store.ask(Evaluations()).rows}[FILES]
    assert (said.outcome, said.kind) == ("error", "files")
    assert "team.yaml:3" in said.detail
    assert "team.yaml:3" in store.ask(Watch()).rows[0].wrong_files
    dsn = f"--dsn=http://default@127.0.0.1:{live.clickhouse_port}/default"
    assert invoke(["alerts", "list", "--format=json", dsn]) == 0
    assert "team.yaml:3" in capsys.readouterr().out

    evaluator.wrong_files = ""
    evaluator.evaluate_at(NOW + timedelta(seconds=30))
    assert store.ask(Watch()).rows[0].wrong_files == ""
    assert {each.rule: each for each in store.ask(Evaluations()).rows}[FILES].outcome == "ok"
