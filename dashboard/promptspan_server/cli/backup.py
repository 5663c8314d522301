"""`promptspan backup` and `promptspan restore`: a copy of a store, and a store from a copy."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptspan_server.cli.options import WriterDsnOption

if TYPE_CHECKING:
    from collections.abc import Generator

FolderArgument = Annotated[Path, typer.Argument(help="The directory of the backup.")]
StoppedOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="The data directory of a local store that does not run. Default: the store that runs.",
        show_default=False,
    ),
]


def backup(folder: FolderArgument, data_dir: StoppedOption = None, dsn: WriterDsnOption = None) -> None:
    """Copy a store, running or not, into a new directory.

    Works on a local store and on a ClickHouse server; the copy can be restored into either, also by a later
    version.
    """
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.store.backup import BackupError, back_up

    with _client(data_dir, dsn) as client:
        try:
            made = back_up(client, folder.expanduser().absolute())
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error
    print(f"{made.rows} rows of {len(made.tables)} tables, ledger {made.ledger_cost_usd} USD, in {folder}")


def restore(folder: FolderArgument, data_dir: StoppedOption = None, dsn: WriterDsnOption = None) -> None:
    """Fill an empty store from a backup, and check that it holds what was copied.

    With --data-dir, a new local store is made there.
    """
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.pricing.sync import sync_prices
    from promptspan_server.store.backup import BackupError, read_manifest
    from promptspan_server.store.backup import restore as fill
    from promptspan_server.store.executor import ClientExecutor

    folder = folder.expanduser().absolute()
    try:
        read_manifest(folder)
        with _client(data_dir, dsn) as client:
            made = fill(client, folder, priced=lambda: sync_prices(ClientExecutor(client)))
    except (BackupError, OSError) as error:
        raise CommandError(str(error)) from error
    print(f"{made.rows} rows of {len(made.tables)} tables are back, ledger {made.ledger_cost_usd} USD")


@contextmanager
def _client(data_dir: Path | None, dsn: str | None) -> "Generator[Any]":
    from dataclasses import replace

    from promptspan_server.cli.connecting import chosen_dsn, connected, writer
    from promptspan_server.cli.stack import Stack, start
    from promptspan_server.cli.supervisor import Supervisor
    from promptspan_server.cli.voice import Voice
    from promptspan_server.queries.connection import parse_dsn

    if data_dir is None:
        with connected(writer(chosen_dsn(dsn), given=dsn is not None)) as client:
            yield client
        return
    voice = Voice()
    with Supervisor(voice.say) as supervisor:
        stack = Stack(
            data_dir.expanduser().absolute(),
            otlp_port=0,
            otlp_grpc_port=0,
            clickhouse_port=0,
            dashboard_port=None,
            # What evaluates would write into the tables that are being copied and compared.
            alerts=False,
        )
        running = start(stack, supervisor, voice)
        with connected(replace(parse_dsn(running.dsn), user="default")) as client:
            yield client
