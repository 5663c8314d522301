"""Options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

_LISTENING = "Where it listens (0: any free port)"


class Format(str, Enum):
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"


class ReportFormat(str, Enum):
    """How a report is printed."""

    table = "table"
    json = "json"


DsnOption = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        envvar="PROMPTSPAN_CLICKHOUSE_URL",
        help="The store, as http(s)://user:password@host:port/database. Default: the local store's reader.",
        show_default=False,
    ),
]
WriterDsnOption = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        envvar="PROMPTSPAN_CLICKHOUSE_URL",
        help="The store, as http(s)://user:password@host:port/database, of a user who may write. "
        "Default: the local store's.",
        show_default=False,
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How rows are printed.")]
HostOption = Annotated[
    str, typer.Option("--host", help="Address to listen on. Any but loopback needs a token.")
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="PROMPTSPAN_TOKEN",
        help="What everyone must present. Better in the environment, where other users cannot see it.",
        show_default=False,
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="PROMPTSPAN_DATA_DIR",
        help="Where the data is kept. Default: ~/.local/share/promptspan.",
        show_default=False,
    ),
]
ClickHousePortOption = Annotated[
    int, typer.Option("--clickhouse-port", help="ClickHouse HTTP interface.", rich_help_panel=_LISTENING)
]
OtlpPortOption = Annotated[
    int, typer.Option("--otlp-port", help="OTLP over HTTP.", rich_help_panel=_LISTENING)
]
OtlpGrpcPortOption = Annotated[
    int, typer.Option("--otlp-grpc-port", help="OTLP over gRPC.", rich_help_panel=_LISTENING)
]
DashboardPortOption = Annotated[
    int, typer.Option("--dashboard-port", help="The dashboard.", rich_help_panel=_LISTENING)
]
RulesOption = Annotated[
    Path | None,
    typer.Option(
        "--alert-rules",
        "--rules",
        envvar="PROMPTSPAN_ALERT_RULES",
        help="Your directory of rules and destinations, beside the built-in rules.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object when everything is ready, for scripts.")
]
