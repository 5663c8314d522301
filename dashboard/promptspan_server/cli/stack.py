from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from promptspan_server.cli import addresses
from promptspan_server.cli.failure import CommandError
from promptspan_server.cli.part import Part
from promptspan_server.queries.connection import DSN_VARIABLE, TOKEN_VARIABLE, parse_dsn
from promptspan_server.ui.config import OTLP_VARIABLE, streamlit_args

if TYPE_CHECKING:
    from promptspan_server.cli.supervisor import Supervisor
    from promptspan_server.cli.voice import Voice

_NEEDED = ("chdb", "grpc", "starlette", "streamlit", "uvicorn")


@dataclass(frozen=True)
class Stack:
    """What runs on one machine: the store process, and unless they are off the dashboard and the alerts.

    A port of 0 asks for any free one.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    otlp_port: int = 4318
    otlp_grpc_port: int = 4317
    clickhouse_port: int = 8123
    dashboard_port: int | None = 8501
    token: str | None = None
    fsync: bool = False
    alerts: bool = True
    alert_rules: Path | None = None

    @property
    def ports(self) -> dict[str, tuple[str, int]]:
        """The host and port to bind, by the option that sets the port."""
        wanted = {
            "--clickhouse-port": (self.host, self.clickhouse_port),
            "--otlp-port": (self.host, self.otlp_port),
            "--otlp-grpc-port": (self.host, self.otlp_grpc_port),
        }
        if self.dashboard_port is not None:
            wanted["--dashboard-port"] = (self.host, self.dashboard_port)
        return wanted


@dataclass(frozen=True)
class Running:
    """Where a started stack listens, as seen from this machine. Nothing here holds the token."""

    data_dir: Path
    dsn: str
    clickhouse_url: str
    clickhouse_port: int
    otlp_endpoint: str
    otlp_port: int
    otlp_grpc_endpoint: str
    otlp_grpc_port: int
    dashboard_url: str | None
    dashboard_port: int | None


def default_data_dir() -> Path:
    """Return `$XDG_DATA_HOME/promptspan`, by default `~/.local/share/promptspan`."""
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "share") / "promptspan"


def check(stack: Stack) -> None:
    """Refuse what cannot or must not start, before anything is started.

    Raises:
        CommandError: An address beyond this machine without a token, a missing package, a port in use, or a
            data directory that cannot be written, alert rules that say what they must not.
    """
    if stack.token is not None and not re.fullmatch(r"[!-~]+", stack.token):
        raise CommandError("a token is made of printable ASCII characters, without spaces")
    if stack.token is None and not addresses.is_loopback(stack.host):
        raise CommandError(
            f"--host {stack.host} is not loopback: set a token first ({TOKEN_VARIABLE} or --token)"
        )
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise CommandError(f"the local extra is missing ({missing[0]}): pip install 'promptspan[local]'")
    if stack.alerts and stack.alert_rules is not None:
        from promptspan_server.cli.alerting import read_files

        read_files(stack.alert_rules)
    taken: dict[int, str] = {}
    for option, (host, port) in stack.ports.items():
        if port and port in taken:
            raise CommandError(f"{taken[port]} and {option} are both {port}")
        taken[port] = option
        addresses.require_free(host, port, option)
    try:
        stack.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"--data-dir {stack.data_dir}: {error.strerror or error}") from error
    if not os.access(stack.data_dir, os.W_OK | os.X_OK):
        raise CommandError(f"--data-dir {stack.data_dir}: no permission to write there")


def with_free_ports(stack: Stack) -> tuple[Stack, list[int]]:
    """Replace ports that are in use by free ones.

    Returns:
        The stack, and the ports that were in use.
    """
    taken: list[int] = []
    for option, (host, port) in stack.ports.items():
        if port and not addresses.is_free(host, port):
            taken.append(port)
            field = option.removeprefix("--").replace("-", "_")
            stack = replace(stack, **{field: 0})
    return stack, taken


def start(stack: Stack, supervisor: Supervisor, voice: Voice) -> Running:
    """Start the store and the dashboard, each ready when this goes on, and the evaluator of alerts.

    Raises:
        CommandError: A part failed to start.
        StopRequested: A signal came first.
    """
    with voice.progress(f"Starting the store (data in {stack.data_dir})"):
        store = supervisor.start(_store_part(stack))
    at = addresses.local_address(stack.host)
    otlp_endpoint = addresses.url(at, int(store["otlp_port"]))
    dsn = parse_dsn(f"{addresses.url(at, int(store['clickhouse_port']))}/default")
    dsn = replace(dsn, user="reader", password=stack.token or "")
    dashboard_port = stack.dashboard_port
    if dashboard_port is not None:
        # Streamlit takes no 0.
        dashboard_port = dashboard_port or addresses.free_port(stack.host)
        with voice.progress("Starting the dashboard"):
            supervisor.start(_dashboard_part(stack, dashboard_port, dsn.url, otlp_endpoint))
    if stack.alerts:
        seen_at = None if dashboard_port is None else addresses.url(at, dashboard_port)
        supervisor.start(_alerts_part(stack, replace(dsn, user="default").url, seen_at))
    return Running(
        data_dir=stack.data_dir,
        dsn=replace(dsn, password="").url,
        clickhouse_url=addresses.url(at, dsn.port),
        clickhouse_port=dsn.port,
        otlp_endpoint=otlp_endpoint,
        otlp_port=int(store["otlp_port"]),
        otlp_grpc_endpoint=addresses.url(at, int(store["otlp_grpc_port"])),
        otlp_grpc_port=int(store["otlp_grpc_port"]),
        dashboard_url=None if dashboard_port is None else addresses.url(at, dashboard_port),
        dashboard_port=dashboard_port,
    )


def _store_part(stack: Stack) -> Part:
    arguments = [
        f"--data-dir={stack.data_dir}",
        f"--host={stack.host}",
        f"--clickhouse-port={stack.clickhouse_port}",
        f"--otlp-port={stack.otlp_port}",
        f"--otlp-grpc-port={stack.otlp_grpc_port}",
    ]
    if stack.fsync:
        arguments.append("--fsync")
    environment: dict[str, str] = {}
    if stack.token:
        arguments.append(f"--token-env={TOKEN_VARIABLE}")
        environment[TOKEN_VARIABLE] = stack.token
    return Part(
        name="store",
        module="promptspan_server.cli.store_process",
        arguments=tuple(arguments),
        environment=environment,
        announces=True,
        start_s=120.0,  # an old store may have migrations to apply
        stop_s=5.5,
    )


def _alerts_part(stack: Stack, dsn: str, dashboard_url: str | None) -> Part:
    arguments: list[str] = []
    if stack.alert_rules is not None:
        arguments.append(f"--rules={stack.alert_rules}")
    if dashboard_url is not None:
        arguments.append(f"--dashboard-url={dashboard_url}")
    return Part(
        name="alerts",
        module="promptspan_server.cli.alerting",
        arguments=tuple(arguments),
        environment={DSN_VARIABLE: dsn},
        speaks=True,
        stop_s=6.0,  # what is under way to a destination
    )


def _dashboard_part(stack: Stack, port: int, dsn: str, otlp_endpoint: str) -> Part:
    command = streamlit_args(port, stack.host)
    module = command.index("-m") + 1
    environment = {DSN_VARIABLE: dsn, OTLP_VARIABLE: otlp_endpoint}
    if stack.token:
        environment[TOKEN_VARIABLE] = stack.token
    return Part(
        name="dashboard",
        module=command[module],
        arguments=tuple(command[module + 1 :]),
        environment=environment,
        health_url=f"{addresses.url(addresses.local_address(stack.host), port)}/_stcore/health",
        stop_s=3.0,
    )
