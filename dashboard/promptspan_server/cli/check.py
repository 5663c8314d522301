"""`promptspan check`: may a new version go further? For pipelines and gradual rollouts."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.compare import FeatureOption, FromOption, ShareOption, ToOption
from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from promptspan_server.analysis.compare import Comparison
    from promptspan_server.analysis.metrics import Metric

UNDECIDED = 3
_POLL_S = 30.0
_DURATION = re.compile(r"(\d+)\s*(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def check(
    name: Annotated[str, typer.Argument(help="Name of the prompt.")],
    *,
    candidate: Annotated[str, typer.Option("--candidate", help="The new version.")],
    baseline: Annotated[str, typer.Option("--baseline", help="The version it has to be as good as.")],
    guardrails: Annotated[
        Path | None,
        typer.Option(
            "--guardrails", help="YAML file of limits. Without it, all metrics with their defaults."
        ),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option("--wait", help="Look again until it is decided, at most so long: 90s, 20m, 6h."),
    ] = None,
    begin: FromOption = None,
    end: ToOption = None,
    feature: FeatureOption = None,
    share: ShareOption = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write the result as JUnit XML to this file.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write the result as Markdown to this file.")
    ] = None,
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Decide whether a new version may go further.

    Exit code 0 if it is not worse, 1 if it is (or the traffic was not divided as intended), 3 if it cannot
    be told yet, 2 for a usage or connection error.
    """
    import json

    from promptspan_server.analysis.guardrails import GuardrailError, read_guardrails
    from promptspan_server.analysis.wording import sentence
    from promptspan_server.cli import check_reports
    from promptspan_server.cli.compare import print_metrics
    from promptspan_server.cli.comparing import as_object, time_range
    from promptspan_server.cli.failure import CommandError

    try:
        limits = None if guardrails is None else read_guardrails(guardrails)
    except GuardrailError as error:
        raise CommandError(str(error)) from error
    deadline_s = _seconds(wait)
    if deadline_s and end:
        raise CommandError("--wait looks at traffic that is still to come: leave out --to")
    time_range(begin, end)
    asked = _Asked(name, baseline, candidate, (begin, end), feature, share, limits)
    comparison = _decided(asked, dsn, deadline_s)
    when = time_range(begin, end)
    if form is Format.json:
        print(json.dumps(as_object(comparison, prompt=name, a=baseline, b=candidate, when=when), indent=2))
    else:
        if form is Format.table:
            print(sentence(comparison, a=baseline, b=candidate) + "\n")
        print_metrics(comparison.metrics, baseline, candidate, form)
    for path, write in ((junit, check_reports.junit), (markdown, check_reports.markdown)):
        if path is not None:
            try:
                path.write_text(write(comparison, prompt=name, a=baseline, b=candidate), encoding="utf-8")
            except OSError as error:
                raise CommandError(f"{path}: {error.strerror or error}") from error
    if comparison.verdict in ("regressed", "invalid"):
        raise typer.Exit(1)
    if comparison.verdict == "undecided":
        raise typer.Exit(UNDECIDED)


@dataclass(frozen=True)
class _Asked:
    prompt: str
    a: str
    b: str
    window: "tuple[str | None, str | None]"
    feature: str | None
    share: float | None
    metrics: "tuple[Metric, ...] | None"


def _decided(asked: _Asked, dsn: str | None, deadline_s: float) -> "Comparison":
    import time

    from promptspan_server.cli.comparing import compared, time_range
    from promptspan_server.cli.connecting import chosen_dsn, tame_driver
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.cli.voice import Voice
    from promptspan_server.queries.connection import Store

    tame_driver()
    store, voice = Store(chosen_dsn(dsn)), Voice()
    end = time.monotonic() + deadline_s
    try:
        while True:
            left = end - time.monotonic()
            try:
                comparison = compared(
                    store,
                    when=time_range(*asked.window),
                    prompt=asked.prompt,
                    a=asked.a,
                    b=asked.b,
                    feature=asked.feature,
                    share=asked.share,
                    metrics=asked.metrics,
                )
                undecided = comparison.verdict == "undecided"
            except CommandError:
                # A rollout that has not begun yet is worth waiting for; the store may come back, too.
                if left <= 0:
                    raise
                comparison, undecided = None, True
            if comparison is not None and (not undecided or left <= 0):
                return comparison
            calls = "no calls yet" if comparison is None else f"{comparison.calls_b:,} calls of {asked.b}"
            voice.say("", f"undecided with {calls}; looking again for {max(left, 0):.0f} s")
            time.sleep(max(0.0, min(_POLL_S, left)))
    finally:
        store.close()


def _seconds(text: str | None) -> float:
    from promptspan_server.cli.failure import CommandError

    if text is None:
        return 0.0
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise CommandError(f"--wait {text!r} is no duration: say 90s, 20m or 6h")
    return float(int(match[1]) * _SECONDS[match[2]])
