from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from promptspan_server.queries.alerts import AlertRow
from promptspan_server.queries.calls import CallRow
from promptspan_server.ui.incident import Incident, about, verdict
from promptspan_server.ui.incident_report import escaped, report
from ui.looking import healthy, marked_up, numbers, open_page, tables, texts, words
from ui.seed import ALERT, HOSTILE, HOSTILE_ALERT, PROMPT

if TYPE_CHECKING:
    from queries.live_store import LiveStore

BEGAN = datetime(2026, 11, 20, 10, 0, tzinfo=timezone.utc)
ROW = AlertRow(
    fingerprint="ab",
    rule="errors",
    kind="errors",
    severity="page",
    labels={"prompt_name": "inbox", "prompt_version": "7", "environment": "production"},
    phase="firing",
    blind="",
    value=8.3,
    threshold=1.0,
    unit="%",
    summary="",
    description="",
    active_since=BEGAN,
    starts_at=BEGAN + timedelta(minutes=2),
    ends_at=None,
    evaluated_at=BEGAN + timedelta(minutes=40),
    runbook="",
    acked_by="",
    ack_comment="",
    owner="",
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            (
                "errors 8.3\u202f% against 1.0\u202f%, since 2026-11-20 10:00:00 UTC (40\u202fmin),"
                " inbox 7 in production."
            ),
        ),
        (
            {"value": None, "threshold": None, "labels": {}},
            "errors —, since 2026-11-20 10:00:00 UTC (40\u202fmin), everything.",
        ),
        ({"blind": "no_data"}, "Nothing can be seen of it now."),
        (
            {"phase": "resolved", "ends_at": BEGAN + timedelta(hours=1)},
            "from 2026-11-20 10:00:00 to 2026-11-20 11:00:00",
        ),
    ],
)
def test_the_first_line_says_what_against_what_since_when_and_who(
    changes: dict[str, object], said: str
) -> None:
    row: AlertRow = replace(ROW, **changes)  # pyright: ignore[reportArgumentType]
    assert said in verdict(row)


@pytest.mark.parametrize(
    "age", [timedelta(seconds=1), timedelta(minutes=40), timedelta(hours=5), timedelta(days=9)]
)
def test_its_times_are_in_order_and_bounded(age: timedelta) -> None:
    incident = Incident.of(ROW, BEGAN + age)
    assert incident.before.end <= incident.during.start
    assert incident.shown.start < incident.during.start < incident.during.end <= incident.shown.end
    assert timedelta(minutes=5) <= incident.during.length <= timedelta(hours=24)


def test_what_is_over_stays_as_it_was() -> None:
    over = replace(ROW, phase="resolved", ends_at=BEGAN + timedelta(minutes=20))
    first, later = (Incident.of(over, BEGAN + timedelta(days=days)) for days in (1, 30))
    assert first == later


def test_other_labels_are_named() -> None:
    assert about(replace(ROW, labels={"provider": "openai", "tool": "x"})) == "openai, tool x"


def test_the_report_is_markdown_in_which_data_is_text() -> None:
    row = replace(ROW, rule=HOSTILE, summary=HOSTILE, labels={"prompt_name": HOSTILE}, acked_by=HOSTILE)
    incident = Incident.of(row, BEGAN + timedelta(hours=1))
    call = CallRow(
        BEGAN, "a" * 32, "b" * 16, HOSTILE, "", "", "", "error", HOSTILE, 1.0, None, None, None, "", ()
    )
    text = report(
        incident,
        numbers=[("Failed", "8 %", "1 %")],
        happened=[(BEGAN, "note", HOSTILE + "\n# heading", HOSTILE)],
        where=(HOSTILE,),
        calls=[call],
        difference="```\n+ x",
    )
    assert "<img" not in text
    assert "](javascript" not in text
    assert "\n# heading" not in text
    assert "````diff\n```\n+ x\n````" in text
    assert text.startswith("# ")
    assert text.count("\n# ") == 0


def test_escaping_leaves_words_alone() -> None:
    assert escaped("inbox summary 7") == "inbox summary 7"
    assert escaped("a|b\n<c>") == "a\\|b &lt;c&gt;"


def test_an_incident_shows_what_changed_the_numbers_examples_and_the_way_back(full: LiveStore) -> None:
    app = healthy(open_page("incident", {"id": ALERT}))
    said = words(app)
    assert "latency 12.5\u202f% against 1.0\u202f%" in said
    assert "promptspan template summarise-mail v6 > summarise-mail.md" in said
    assert "+You summarise e-mails in one sentence." in said
    shown = tables(app)
    changes = [row["Which"]["text"] for row in shown["What changed within 30 minutes of the beginning"]]
    assert "v7 everywhere" in changes
    slowest = shown["Model calls, each leading to its trace"]
    assert slowest
    assert list(numbers(app)) == ["Calls an hour", "Failed", "p95", "Cost per call, USD", "Flagged"]
    assert len(app.get("plotly_chart")) == 2


def test_alerts_are_listed_with_what_fires_first_and_on_top_of_the_overview(full: LiveStore) -> None:
    rows = tables(healthy(open_page("alerts")))["Alerts, each leading to its incident"]
    assert [row["Alert"]["text"] for row in rows] == ["latency", "errors"]
    assert rows[0]["Alert"]["href"] == f"incident?id={ALERT}"
    assert rows[0]["About"]["text"] == f"{PROMPT} v7 in prod"
    overview = tables(healthy(open_page("")))
    assert len(overview["Alerts, each leading to its incident"]) == 2


def test_hostile_alerts_are_text_alone(full: LiveStore) -> None:
    for page, parameters in (("incident", {"id": HOSTILE_ALERT}), ("alerts", {})):
        app = healthy(open_page(page, parameters))
        assert HOSTILE in words(app) or HOSTILE in texts(app)
        assert not any(HOSTILE in text for text in marked_up(app))


@pytest.mark.parametrize("identity", ["", "nobody", "x" * 1000, "' OR 1=1 --"])
def test_an_incident_that_is_not_there_says_so(full: LiveStore, identity: str) -> None:
    app = healthy(open_page("incident", {"id": identity}))
    said = "\n".join(marked_up(app))
    assert ("no such alert" if identity else "Which incident?") in said
