"""`promptspan migrate`: brings a store's tables and prices to this version."""

from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.options import DsnOption

if TYPE_CHECKING:
    from promptspan_server.store.migrate import Migration


def migrate(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    dsn: DsnOption = None,
) -> None:
    """Bring the store's tables and prices to this version.

    `promptspan up` does this by itself; a ClickHouse server needs it once for every version. Run again, it
    does nothing. Without a DSN it goes to the local store, as the user who may write.
    """
    from promptspan_server.cli.connecting import chosen_dsn, connected, writer
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.pricing.contracts import PriceFileError
    from promptspan_server.pricing.sync import sync_prices
    from promptspan_server.store.executor import ClientExecutor
    from promptspan_server.store.migrate import MigrationError, load_migrations, pending_migrations
    from promptspan_server.store.migrate import migrate as apply

    with connected(writer(chosen_dsn(dsn), given=dsn is not None)) as client:
        executor = ClientExecutor(client)
        try:
            pending = pending_migrations(executor)
            done = frozenset[str]() if dry_run else frozenset(apply(executor))
            for migration in load_migrations():
                print(f"{_name(migration)}  {_outcome(migration, pending, done)}")
            if dry_run:
                print("prices  not looked at")
                return
            book = sync_prices(executor)
        except (MigrationError, PriceFileError) as error:
            raise CommandError(str(error)) from error
    print(f"prices  {'loaded' if book.changed else 'already there'}: {book.version}, {book.models} models")


def _name(migration: "Migration") -> str:
    return f"{migration.version:04}_{migration.name}"


def _outcome(migration: "Migration", pending: "list[Migration]", done: frozenset[str]) -> str:
    if _name(migration) in done:
        return "applied"
    return "would be applied" if migration in pending else "already there"
