"""`promptspan dashboard`: the dashboard alone, before a ClickHouse server or a store that runs elsewhere."""

from typing import Annotated

import typer

from promptspan_server.cli.options import DsnOption


def dashboard(
    host: Annotated[
        str, typer.Option("--host", help="Where it listens; beyond loopback it needs a token.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where it listens.")] = 8501,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            help="A name by which browsers may address it, besides --host and loopback. Again for each. "
            "Without any, one beyond loopback answers to every name.",
            show_default=False,
        ),
    ] = None,
    dsn: DsnOption = None,
) -> None:
    """Serve the dashboard alone.

    `promptspan up` does it on one machine; this is for a ClickHouse server. Its first page asks for
    PROMPTSPAN_TOKEN, where that is set.
    """
    import os

    from promptspan_server.cli.addresses import is_loopback, require_free
    from promptspan_server.cli.connecting import chosen_dsn
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.queries.connection import DSN_VARIABLE, TOKEN_VARIABLE
    from promptspan_server.ui.config import streamlit_args

    if not os.environ.get(TOKEN_VARIABLE) and not is_loopback(host):
        raise CommandError(f"--host {host} is not loopback: set a token first ({TOKEN_VARIABLE})")
    require_free(host, port, "--port")
    command = streamlit_args(port, host, allowed_host or ())
    # This process becomes the dashboard: signals reach it, and its exit code is the command's.
    os.execve(command[0], command, os.environ | {DSN_VARIABLE: chosen_dsn(dsn).url})  # noqa: S606
