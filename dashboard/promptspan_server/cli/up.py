"""`promptspan up`: everything on this machine, until Ctrl-C."""

from typing import Annotated

import typer

from promptspan_server.cli.options import (
    ClickHousePortOption,
    DashboardPortOption,
    DataDirOption,
    HostOption,
    JsonOption,
    OtlpGrpcPortOption,
    OtlpPortOption,
    RulesOption,
    TokenOption,
)


def up(
    *,
    data_dir: DataDirOption = None,
    host: HostOption = "127.0.0.1",
    otlp_port: OtlpPortOption = 4318,
    otlp_grpc_port: OtlpGrpcPortOption = 4317,
    clickhouse_port: ClickHousePortOption = 8123,
    dashboard_port: DashboardPortOption = 8501,
    no_dashboard: Annotated[bool, typer.Option("--no-dashboard", help="Start only the store.")] = False,
    no_alerts: Annotated[bool, typer.Option("--no-alerts", help="Evaluate no alert rules.")] = False,
    alert_rules: RulesOption = None,
    token: TokenOption = None,
    fsync: Annotated[
        bool, typer.Option("--fsync", help="Acknowledge what the disk has, so that it survives a power loss.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start the store, the dashboard and the alerts on this machine; Ctrl-C stops them.

    Exit code 0 after Ctrl-C or SIGTERM, 1 if a part broke, 2 if it could not start (a port in use, the data
    directory locked by another start, a missing extra).
    """
    from promptspan_server.cli.stack import Stack, check, default_data_dir, start
    from promptspan_server.cli.summary import print_json, print_summary
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
        fsync=fsync,
        alerts=not no_alerts,
        alert_rules=None if alert_rules is None else alert_rules.absolute(),
    )
    check(stack)
    voice = Voice()
    try:
        with Supervisor(voice.say) as supervisor:
            running = start(stack, supervisor, voice)
            if as_json:
                print_json(running, supervisor.pids)
            else:
                print_summary(running, needs_token=token is not None)
            supervisor.watch()
    except StopRequested:
        return
