"""`promptspan doctor`: is everything reachable, current, fresh and complete, and how to mend what is not."""

from __future__ import annotations

import os
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.finding import Finding, Status
from promptspan_server.cli.options import DsnOption, ReportFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptspan_server.queries.connection import Dsn, Store

_DEFAULT_CLICKHOUSE_PORT = 8123
_STYLES = {Status.ok: "green", Status.warn: "yellow", Status.fail: "bold red", Status.skip: "dim"}


def doctor(
    *,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint", help="The OTLP/HTTP receiver. Default: the local store's.", show_default=False
        ),
    ] = None,
    grpc_endpoint: Annotated[
        str | None,
        typer.Option(
            "--grpc-endpoint", help="The OTLP/gRPC receiver. Default: the local store's.", show_default=False
        ),
    ] = None,
    dashboard_url: Annotated[
        str | None,
        typer.Option("--dashboard-url", help="The dashboard. Default: the local one.", show_default=False),
    ] = None,
    send: Annotated[
        bool,
        typer.Option("--send", help="Send a test span over OTLP/HTTP and wait until the store shows it."),
    ] = False,
    spool: Annotated[
        Path | None,
        typer.Option(
            "--spool",
            envvar="PROMPTSPAN_SPOOL",
            help="Where applications on this machine keep spans that wait. Default: the SDK's own default.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        ReportFormat, typer.Option("--format", help="How the report is printed.")
    ] = ReportFormat.table,
    dsn: DsnOption = None,
) -> None:
    """Check everything, and say how to mend what is wrong.

    Exit code 0 if all is well, 1 if something is wrong, 2 if something that was asked for cannot be reached.
    """
    from promptspan_server.cli.connecting import chosen_dsn, tame_driver
    from promptspan_server.queries.connection import Store

    chosen = chosen_dsn(dsn)
    tame_driver()
    store = Store(chosen)
    try:
        findings = _findings(store, endpoint, grpc_endpoint, dashboard_url, spool, send=send)
    finally:
        store.close()
    if form is ReportFormat.json:
        _print_json(findings)
    else:
        _print_report(findings)
    if any(finding.unreachable for finding in findings):
        raise typer.Exit(2)
    if any(finding.is_problem for finding in findings):
        raise typer.Exit(1)


def _findings(
    store: Store,
    endpoint: str | None,
    grpc_endpoint: str | None,
    dashboard_url: str | None,
    spool: Path | None,
    *,
    send: bool,
) -> list[Finding]:
    from promptspan_server.cli import probes
    from promptspan_server.cli.beacon import send_and_see
    from promptspan_server.cli.spool_findings import spools
    from promptspan_server.cli.store_findings import contents, reach, retention, schema
    from promptspan_server.queries.connection import TOKEN_VARIABLE

    token = os.environ.get(TOKEN_VARIABLE) or None
    if _is_local_store(store.dsn):
        endpoint = endpoint or "http://127.0.0.1:4318"
        grpc_endpoint = grpc_endpoint or "http://127.0.0.1:4317"
        dashboard_url = dashboard_url or "http://127.0.0.1:8501"

    found = reach(store)
    is_up = found[0].status is Status.ok
    found.append(probes.otlp_http(endpoint, token) if endpoint else _not_named("OTLP/HTTP", "--endpoint"))
    found.append(
        probes.otlp_grpc(grpc_endpoint, token)
        if grpc_endpoint
        else _not_named("OTLP/gRPC", "--grpc-endpoint")
    )
    found.append(
        probes.dashboard(dashboard_url) if dashboard_url else _not_named("dashboard", "--dashboard-url")
    )
    if is_up:
        migrations = schema(store.dsn)
        found.append(migrations)
        if migrations.status is Status.ok:
            found.extend(contents(store))
            found.append(retention(store.dsn))
    found.extend(spools(spool))
    if send:
        if not (is_up and endpoint):
            found.append(Finding("test span", Status.skip, "it needs the store and an --endpoint"))
        else:
            found.append(send_and_see(endpoint, token, store))
    return [_versions(), *found]


def _is_local_store(dsn: Dsn) -> bool:
    return dsn.host in ("127.0.0.1", "localhost", "::1") and dsn.port == _DEFAULT_CLICKHOUSE_PORT


def _not_named(check: str, option: str) -> Finding:
    return Finding(check, Status.skip, f"not looked at: {option} says where it is")


def _versions() -> Finding:
    import platform

    from promptspan_server.cli.version import version_text

    return Finding(
        "promptspan",
        Status.ok,
        f"version {version_text()}, Python {platform.python_version()} on {platform.system()}",
    )


def _print_json(findings: Sequence[Finding]) -> None:
    import json

    checks = [
        {
            "check": finding.check,
            "status": finding.status.value,
            "detail": finding.detail,
            "remedy": finding.remedy or None,
        }
        for finding in findings
    ]
    print(json.dumps({"ok": not any(finding.is_problem for finding in findings), "checks": checks}, indent=2))


def _print_report(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    from promptspan_server.cli.voice import printable

    console = Console(highlight=False, soft_wrap=True)
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        line = Text(f"{finding.status.value:<4}", style=_STYLES[finding.status])
        line.append(f"  {finding.check:<{width}}  ", style="bold")
        console.print(line.append(printable(finding.detail), style="not bold"))
        if finding.is_problem and finding.remedy:
            console.print(Text(f"{'':<{width + 8}}{printable(finding.remedy)}", style="dim"))
    problems = sum(finding.is_problem for finding in findings)
    console.print(Text(f"\n{problems} to mend." if problems else "\nAll is well."))
