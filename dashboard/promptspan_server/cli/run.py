"""`promptspan up` and `promptspan demo`: everything on this machine, until Ctrl-C."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.options import (
    ClickHousePortOption,
    DashboardPortOption,
    DataDirOption,
    HostOption,
    JsonOption,
    OtlpGrpcPortOption,
    OtlpPortOption,
    TokenOption,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.cli.stack import Running


def up(
    *,
    data_dir: DataDirOption = None,
    host: HostOption = "127.0.0.1",
    otlp_port: OtlpPortOption = 4318,
    otlp_grpc_port: OtlpGrpcPortOption = 4317,
    clickhouse_port: ClickHousePortOption = 8123,
    dashboard_port: DashboardPortOption = 8501,
    no_dashboard: Annotated[bool, typer.Option("--no-dashboard", help="Start only the store.")] = False,
    no_alerts: Annotated[
        bool, typer.Option("--no-alerts", help="Evaluate no alert rules (this version has none to evaluate).")
    ] = False,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start the store and the dashboard on this machine; Ctrl-C stops both.

    Exit code 0 after Ctrl-C or SIGTERM, 1 if a part broke, 2 if it could not start (a port in use, the data
    directory locked by another start, a missing extra).
    """
    del no_alerts
    from promptspan_server.cli.stack import Stack, check, default_data_dir, start
    from promptspan_server.cli.supervisor import StopRequested, Supervisor
    from promptspan_server.cli.voice import Voice

    stack = Stack(
        data_dir=(data_dir or default_data_dir()).expanduser().absolute(),
        host=host,
        otlp_port=otlp_port,
        otlp_grpc_port=otlp_grpc_port,
        clickhouse_port=clickhouse_port,
        dashboard_port=None if no_dashboard else dashboard_port,
        token=token,
    )
    check(stack)
    voice = Voice()
    try:
        with Supervisor(voice.say) as supervisor:
            running = start(stack, supervisor, voice)
            if as_json:
                _print_json(running, supervisor.pids)
            else:
                _print_summary(running, needs_token=token is not None)
            supervisor.watch()
    except StopRequested:
        return


def _print_summary(running: "Running", *, needs_token: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from promptspan_server.cli.version import version_text

    rows = [
        ("dashboard", running.dashboard_url or "not started"),
        ("OTLP/HTTP", running.otlp_endpoint),
        ("OTLP/gRPC", running.otlp_grpc_endpoint),
        ("ClickHouse HTTP", f"{running.clickhouse_url}   user reader, or default to write"),
        ("data", str(running.data_dir)),
    ]
    if needs_token:
        rows.append(
            ("token", "asked for everywhere: OTLP as bearer token, ClickHouse and dashboard as password")
        )
    console = Console(soft_wrap=True, highlight=False)
    console.print(Text(f"\npromptspan {version_text()} is running\n", style="bold"))
    for name, value in rows:
        console.print(Text(f"  {name:<16}", style="dim"), Text(value), sep="")
    console.print(Text("\nCtrl-C stops it.\n"))


def _print_json(running: "Running", pids: "Mapping[str, int]") -> None:
    from promptspan_server.cli.version import version_text

    facts = {name: value for name, value in vars(running).items() if name != "data_dir"}
    summary = {
        "event": "ready",
        "version": version_text(),
        "data_dir": str(running.data_dir),
        **facts,
        "pids": pids,
    }
    print(json.dumps(summary), flush=True)
