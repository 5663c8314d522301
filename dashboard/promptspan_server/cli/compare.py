"""`promptspan compare`: is one version of a prompt worse than another?"""

from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from promptspan_server.analysis.compare import Compared
    from promptspan_server.analysis.places import Place

FromOption = Annotated[
    str | None,
    typer.Option("--from", help="Since when: 2026-11-24, 2026-11-24T15:00 (UTC) or 7d. Default: 30d."),
]
ToOption = Annotated[str | None, typer.Option("--to", help="Until when. Default: now.")]
ShareOption = Annotated[
    float | None,
    typer.Option(
        "--share",
        help="The candidate's intended share of the traffic, 0 to 1. Without it, one near a half counts as"
        " an intended half.",
    ),
]
FeatureOption = Annotated[str | None, typer.Option("--feature", help="Only calls of this feature.")]


def compare(
    name: Annotated[str, typer.Argument(help="Name of the prompt.")],
    *,
    a: Annotated[str, typer.Option("--a", help="The baseline's version.")],
    b: Annotated[str, typer.Option("--b", help="The candidate's version.")],
    begin: FromOption = None,
    end: ToOption = None,
    feature: FeatureOption = None,
    share: ShareOption = None,
    where: Annotated[
        bool, typer.Option("--where/--no-where", help="Look for the segment that a difference is in.")
    ] = True,
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Compare two versions of a prompt while both are live, with intervals that hold however often one looks.

    Exit code 0 if nothing is worse, 1 if the candidate is worse on a metric or the traffic was not divided as
    intended.
    """
    import json

    from promptspan_server.analysis.wording import sentence
    from promptspan_server.cli.comparing import as_object, compared, located, question, time_range
    from promptspan_server.cli.connecting import chosen_dsn, tame_driver
    from promptspan_server.queries.connection import Store

    when = time_range(begin, end)
    tame_driver()
    store = Store(chosen_dsn(dsn))
    try:
        comparison = compared(store, when=when, prompt=name, a=a, b=b, feature=feature, share=share)
        places = located(store, question(when, name, a, b, feature), comparison) if where else ()
    finally:
        store.close()
    if form is Format.json:
        print(json.dumps(as_object(comparison, prompt=name, a=a, b=b, when=when, places=places), indent=2))
    else:
        if form is Format.table:
            print(sentence(comparison, a=a, b=b, places=places) + "\n")
            print_places(places)
        print_metrics(comparison.metrics, a, b, form)
    if comparison.verdict in ("regressed", "invalid"):
        raise typer.Exit(1)


def print_places(places: "tuple[Place, ...]") -> None:
    """Print where the differences are, and calls to look at."""
    from promptspan_server.analysis.wording import label

    for place in places:
        print(f"Where {label(place.compared)} differs: " + " ".join(place.said))
        for name, calls in (("telling", place.telling), ("usual", place.usual)):
            if calls:
                print(f"  {name} traces: " + " ".join(each.trace_id for each in calls))
        print()


def print_metrics(metrics: "tuple[Compared, ...]", a: str, b: str, form: Format) -> None:
    """Print one row a metric."""
    from promptspan_server.analysis.wording import change, note, p_value
    from promptspan_server.cli.comparing import value
    from promptspan_server.cli.rows import Column, print_rows

    names = ("metric", "verdict", a, b, "change", "p", f"calls {a}", f"calls {b}", "note")
    columns = [Column(each, "UInt64" if each.startswith("calls ") else "String") for each in names]
    rows = [
        [
            each.metric.name,
            each.verdict,
            value(each, each.a),
            value(each, each.b),
            change(each) if each.low is not None or each.high is not None else None,
            p_value(each.p) if each.low is not None or each.high is not None else None,
            each.n_a,
            each.n_b,
            note(each) + (f"; about {each.more_calls:,} calls more an arm" if each.more_calls else ""),
        ]
        for each in metrics
    ]
    print_rows(columns, rows, form)
