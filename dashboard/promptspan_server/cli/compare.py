"""`promptspan compare`: is one version of a prompt worse than another?"""

from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from promptspan_server.analysis.compare import Compared

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
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Compare two versions of a prompt while both are live, with intervals that hold however often one looks.

    Exit code 0 if nothing is worse, 1 if the candidate is worse on a metric or the traffic was not divided as
    intended.
    """
    import json

    from promptspan_server.analysis.wording import sentence
    from promptspan_server.cli.comparing import as_object, compared, time_range
    from promptspan_server.cli.connecting import chosen_dsn, tame_driver
    from promptspan_server.queries.connection import Store

    when = time_range(begin, end)
    tame_driver()
    store = Store(chosen_dsn(dsn))
    try:
        comparison = compared(store, when=when, prompt=name, a=a, b=b, feature=feature, share=share)
    finally:
        store.close()
    if form is Format.json:
        print(json.dumps(as_object(comparison, prompt=name, a=a, b=b, when=when), indent=2))
    else:
        if form is Format.table:
            print(sentence(comparison, a=a, b=b) + "\n")
        print_metrics(comparison.metrics, a, b, form)
    if comparison.verdict in ("regressed", "invalid"):
        raise typer.Exit(1)


def print_metrics(metrics: "tuple[Compared, ...]", a: str, b: str, form: Format) -> None:
    """Print one row a metric."""
    from promptspan_server.analysis.wording import change, p_value
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
            each.reason + (f"; about {each.more_calls:,} calls more an arm" if each.more_calls else ""),
        ]
        for each in metrics
    ]
    print_rows(columns, rows, form)
