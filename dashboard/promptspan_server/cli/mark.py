from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer

from promptspan_server.cli.options import DsnOption, Format, FormatOption

_DAYS = 7


def mark(
    text: Annotated[
        str | None, typer.Argument(help="What happened, one line. Left out: show the markers of a week.")
    ] = None,
    *,
    kind: Annotated[str, typer.Option("--kind", help="deploy, config, note or incident.")] = "note",
    at: Annotated[
        str | None,
        typer.Option("--at", help="When, as 2026-01-31T14:05:00Z. Default: now.", show_default=False),
    ] = None,
    prompt: Annotated[str, typer.Option("--prompt", help="Which prompt it concerns.")] = "",
    version: Annotated[str, typer.Option("--version", help="Which version of the prompt.")] = "",
    service: Annotated[str, typer.Option("--service", help="Which application.")] = "",
    environment: Annotated[str, typer.Option("--environment", help="Which environment.")] = "",
    incident: Annotated[str, typer.Option("--incident", help="Id of the alert that it is about.")] = "",
    link: Annotated[str, typer.Option("--link", help="More about it: the change, the pipeline.")] = "",
    author: Annotated[
        str, typer.Option("--author", envvar="PROMPTSPAN_AUTHOR", help="Who. Default: the user here.")
    ] = "",
    identity: Annotated[
        str, typer.Option("--id", help="Its identity: the same id again is no second marker.")
    ] = "",
    dsn: DsnOption = None,
    form: FormatOption = Format.table,
) -> None:
    """Note a deployment, or anything else that charts and incidents should show.

    Put it at the end of a deployment: promptspan mark "inbox-summary 7" --kind deploy --prompt inbox-summary
    --version 7. By HTTP: POST the same names as JSON to /v1/markers of the OTLP port.
    """
    import getpass

    from promptspan_server.cli.connecting import chosen_dsn, connected, writer
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.cli.rows import Column, print_rows
    from promptspan_server.queries.connection import Store
    from promptspan_server.queries.markers import Markers
    from promptspan_server.queries.scope import TimeRange
    from promptspan_server.store.executor import ClientExecutor
    from promptspan_server.store.markers import read_marker, record

    chosen = chosen_dsn(dsn)
    if text is not None:
        given = {
            "id": identity,
            "at": at,
            "kind": kind,
            "text": text,
            "author": author or getpass.getuser(),
            "environment": environment,
            "service": service,
            "prompt_name": prompt,
            "prompt_version": version,
            "incident": incident,
            "link": link,
        }
        try:
            marker = read_marker({name: value for name, value in given.items() if value})
        except ValueError as error:
            raise CommandError(str(error)) from error
        with connected(writer(chosen, given=dsn is not None)) as client:
            record(ClientExecutor(client), marker)
        rows = [marker]
    else:
        end = datetime.now(timezone.utc) + timedelta(days=1)
        where = TimeRange(end - timedelta(days=_DAYS + 1), end)
        with connected(chosen):
            rows = (
                Store(chosen)
                .ask(Markers(where, environment or None, service or None, prompt or None, incident))
                .rows
            )
    print_rows(
        [Column(name, "String") for name in ("at", "kind", "text", "author", "concerns", "id")],
        [
            [
                f"{each.at:%Y-%m-%d %H:%M:%S}",
                each.kind,
                each.text,
                each.author,
                " ".join(
                    part
                    for part in (each.environment, each.service, each.prompt_name, each.prompt_version)
                    if part
                ),
                each.id,
            ]
            for each in rows
        ],
        form,
    )
