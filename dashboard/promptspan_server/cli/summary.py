"""Where everything listens, for people and for scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from promptspan_server.cli.version import version_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.cli.stack import Running


def print_summary(running: Running, *, needs_token: bool) -> None:
    """Print where each part listens and how to stop."""
    rows = [
        ("dashboard", running.dashboard_url or "not started"),
        ("OTLP/HTTP", running.otlp_endpoint),
        ("OTLP/gRPC", running.otlp_grpc_endpoint),
        ("ClickHouse HTTP", f"{running.clickhouse_url}   user reader, or default to write"),
        ("data", str(running.data_dir)),
    ]
    if needs_token:
        rows.append(("token", "wanted everywhere: by OTLP as bearer token, else as password"))
    console = Console(soft_wrap=True, highlight=False)
    console.print(Text(f"\npromptspan {version_text()} is running\n", style="bold"))
    for name, value in rows:
        console.print(Text(f"  {name:<18}", style="dim"), Text(value), sep="")
    console.print(Text("\nCtrl-C stops it.\n"))


def print_json(running: Running, pids: Mapping[str, int]) -> None:
    """Print the same as one JSON object on one line, with the process ids of the parts."""
    facts = {**vars(running), "data_dir": str(running.data_dir)}
    print(json.dumps({"event": "ready", "version": version_text(), **facts, "pids": pids}), flush=True)
