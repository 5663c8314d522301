"""`promptspan migrate`: brings a store's tables and prices to this version."""

from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.options import WriterDsnOption

if TYPE_CHECKING:
    from promptspan_server.store.migrate import Migration


def migrate(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            help="Make replicated tables on all nodes of this cluster (as in remote_servers) and distributed "
            "ones over them. With --dry-run, print the SQL.",
            show_default=False,
        ),
    ] = None,
    dsn: WriterDsnOption = None,
) -> None:
    """Bring the store's tables and prices to this version.

    `promptspan up` does this by itself; a ClickHouse server needs it once for every version. Run again, it
    does nothing. Without a DSN it goes to the local store, as the user who may write. How long things are
    kept is read from PROMPTSPAN_KEEP_TEXTS_DAYS, _SPANS_DAYS, _CALLS_MONTHS, _LEDGER_YEARS (0: no limit).
    """
    import os

    from promptspan_server.cli.connecting import chosen_dsn, connected, writer
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.pricing.contracts import PriceFileError
    from promptspan_server.pricing.sync import sync_prices
    from promptspan_server.store.cluster import Cluster
    from promptspan_server.store.executor import ClientExecutor
    from promptspan_server.store.migrate import MigrationError, load_migrations, pending_migrations, script
    from promptspan_server.store.migrate import migrate as apply
    from promptspan_server.store.retention import RetentionError, wanted
    from promptspan_server.store.retention import apply as apply_retention

    store = writer(chosen_dsn(dsn), given=dsn is not None)
    try:
        where = Cluster(cluster, store.database) if cluster is not None else None
    except ValueError as error:
        raise CommandError(str(error)) from error
    if where is not None and dry_run:
        print(script(where), end="")
        return
    with connected(store) as client:
        executor = ClientExecutor(client)
        try:
            pending = pending_migrations(executor)
            done = frozenset[str]() if dry_run else frozenset(apply(executor, cluster=where, as_definer=True))
            for migration in load_migrations():
                print(f"{_name(migration)}  {_outcome(migration, pending, done)}")
            if dry_run:
                print("prices  not looked at")
                return
            kept = apply_retention(executor, wanted(os.environ))
            book = sync_prices(executor)
        except (MigrationError, PriceFileError, RetentionError) as error:
            raise CommandError(str(error)) from error
    for change in kept:
        print(f"kept  {change}")
    print(f"prices  {'loaded' if book.changed else 'already there'}: {book.version}, {book.models} models")


def _name(migration: "Migration") -> str:
    return f"{migration.version:04}_{migration.name}"


def _outcome(migration: "Migration", pending: "list[Migration]", done: frozenset[str]) -> str:
    if _name(migration) in done:
        return "applied"
    return "would be applied" if migration in pending else "already there"
