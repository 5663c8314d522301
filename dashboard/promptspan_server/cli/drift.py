"""`promptspan drift`: does any version still do what it has been doing?"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from promptspan_server.analysis.findings import Drift, Finding
    from promptspan_server.queries.connection import Store
    from promptspan_server.queries.scope import Filter, TimeRange

_LONGEST_DAYS = 31
_DEFAULT_DAYS = 7


def drift(  # noqa: PLR0917
    name: Annotated[str | None, typer.Argument(help="Name of the prompt. Default: all.")] = None,
    begin: Annotated[
        str | None,
        typer.Option(
            "--from", help="Judge since when: 2026-11-24, 2026-11-24T15:00 (UTC) or 3d. Default: 7d."
        ),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Until when. Default: now.")] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", help="Only calls of this environment.")
    ] = None,
    false_alarms: Annotated[
        float,
        typer.Option(
            "--false-alarms-per-week",
            help="How many false alarms a week are tolerated, over all series together.",
        ),
    ] = 1.0,
    smallest: Annotated[
        float,
        typer.Option(
            "--smallest-change",
            help="The smallest change of latency, tokens and cost that matters: 0.1 is 10 %. Rates matter"
            " from five times that (x1.5), shares of models and finish reasons from 0.3 of it (3 points).",
        ),
    ] = 0.1,
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Judge every signal of every version against its own past.

    Signals are errors, flags, latency, tokens, cost, lengths of answers, models, finish reasons. Each is
    judged against the four weeks before, by hour and weekday; what else changed at that time is part of the
    answer. JSON and CSV have every series, the table those that drift or cannot be judged.

    Exit code 0 if nothing drifts, 1 if something does.
    """
    from datetime import timedelta

    from promptspan_server.analysis.findings import Wanted
    from promptspan_server.cli.comparing import time_range
    from promptspan_server.cli.connecting import chosen_dsn, tame_driver
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.queries.connection import Store
    from promptspan_server.queries.scope import Filter

    try:
        wanted = Wanted(false_alarms, smallest)
    except ValueError as error:
        raise CommandError(str(error)) from error
    when = time_range(begin, end, look_back=timedelta(days=_DEFAULT_DAYS))
    if when.length.days > _LONGEST_DAYS:
        raise CommandError(f"drift is judged over at most {_LONGEST_DAYS} days; --from and --to choose fewer")
    tame_driver()
    store = Store(chosen_dsn(dsn))
    try:
        found = _judged(store, when, Filter(prompt=name, environment=environment), wanted)
    finally:
        store.close()
    if name is not None and not found.findings:
        raise CommandError(
            f"no call of {name} between {when.start:%Y-%m-%d %H:%M} and {when.end:%Y-%m-%d %H:%M} UTC"
            " or in the four weeks before; --from and --to choose another time"
        )
    _print(found, form)
    if found.drifting:
        raise typer.Exit(1)


def _judged(store: "Store", when: "TimeRange", chosen: "Filter", wanted: Any) -> "Drift":
    from promptspan_server.analysis.changes import explained
    from promptspan_server.analysis.drift import find_drift
    from promptspan_server.analysis.observed import read_observed
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.queries.connection import QueryFailed, StoreUnreachable
    from promptspan_server.queries.drift import VersionHours

    question = VersionHours(when, chosen)
    try:
        observed = read_observed(store, question)
        return explained(store, question, find_drift(observed, wanted), observed.hours)
    except (StoreUnreachable, QueryFailed) as error:
        raise CommandError(str(error)) from error


def _print(found: "Drift", form: Format) -> None:
    import json

    from promptspan_server.analysis.drift_words import amount, change, label, name, sentence, summary
    from promptspan_server.cli.rows import Column, print_rows

    if form is Format.json:
        print(json.dumps([as_object(each) for each in found.findings], indent=2))
        return
    if form is Format.csv:
        objects = [
            as_object(each) | {"changed": ";".join(change.axis for change in each.changed)}
            for each in found.findings
        ]
        names = list(objects[0]) if objects else ["prompt", "version", "signal", "verdict"]
        print_rows(
            [Column(each, "String") for each in names], [list(each.values()) for each in objects], form
        )
        return
    print(summary(found))
    for each in found.drifting:
        print(f"  {sentence(each)}")
    shown = [each for each in found.findings if each.verdict != "stable"]
    if not shown:
        return
    print()
    columns = [
        Column(each, "UInt64" if each == "calls" else "String")
        for each in ("verdict", "version", "signal", "value", "expected", "change", "calls", "note")
    ]
    rows = [
        [
            each.verdict,
            name(each),
            label(each),
            amount(each, each.value) if each.value is not None else None,
            amount(each, each.expected) if each.expected is not None else None,
            change(each) if each.verdict == "drift" else None,
            each.n,
            each.reason,
        ]
        for each in shown
    ]
    print_rows(columns, rows, form)


def as_object(finding: "Finding") -> dict[str, Any]:
    """Say it for programs. `version` is null for all versions of a prompt together."""
    return {
        "prompt": finding.who.prompt,
        "version": finding.who.version,
        "signal": finding.signal,
        "verdict": finding.verdict,
        "value": finding.value,
        "expected": finding.expected,
        "ratio": finding.ratio,
        "delta": finding.delta,
        "low": finding.low,
        "high": finding.high,
        "worse": finding.worse if finding.verdict == "drift" else None,
        "since": _moment(finding.since_s),
        "since_low": _moment(finding.since_low_s),
        "since_high": _moment(finding.since_high_s),
        "until": _moment(finding.until_s),
        "changed": [each.axis for each in finding.changed],
        "n": finding.n,
        "sentence": _sentence(finding),
        "reason": finding.reason,
    }


def _sentence(finding: "Finding") -> str:
    from promptspan_server.analysis.drift_words import sentence

    return sentence(finding)


def _moment(moment_s: int | None) -> str | None:
    from datetime import datetime, timezone

    return None if moment_s is None else datetime.fromtimestamp(moment_s, timezone.utc).isoformat()
