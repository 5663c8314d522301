"""What the commands of finance share: their files, and the one way their failures are told."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Generator

    from promptspan_server.queries.connection import Store

BudgetsOption = Annotated[
    Path | None,
    typer.Option("--budgets", envvar="PROMPTSPAN_BUDGETS", help="The budgets (YAML).", show_default=False),
]


@contextmanager
def finance_store(dsn: str | None) -> Generator[Store]:
    """Open the store for the block; what fails inside becomes one line and exit code 2.

    Raises:
        CommandError: The store cannot be asked, or a file of finance cannot be taken.
    """
    from promptspan_server.cli.connecting import chosen_dsn, tame_driver
    from promptspan_server.finance.ledger import LedgerTooLarge
    from promptspan_server.queries.connection import QueryFailed, Store, StoreUnreachable

    tame_driver()
    store = Store(chosen_dsn(dsn))
    try:
        yield store
    except (StoreUnreachable, QueryFailed, LedgerTooLarge, ValueError) as error:
        raise CommandError(str(error)) from error
    finally:
        store.close()
