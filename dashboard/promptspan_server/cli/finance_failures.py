"""What can go wrong with finance's questions, as the one line that a command ends with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from promptspan_server.cli.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def said() -> Generator[None]:
    """Turn finance's errors inside the block into one line and exit code 2.

    Raises:
        CommandError: Something went wrong.
    """
    from promptspan_server.finance.allocation import AllocationError
    from promptspan_server.finance.closed import CloseError
    from promptspan_server.finance.currency import RatesError
    from promptspan_server.finance.focus_export import InexactExport
    from promptspan_server.finance.ledger import LedgerTooLarge
    from promptspan_server.finance.table_files import TableFileError
    from promptspan_server.queries.connection import QueryFailed, StoreUnreachable

    try:
        yield
    except (
        AllocationError,
        CloseError,
        InexactExport,
        LedgerTooLarge,
        QueryFailed,
        RatesError,
        StoreUnreachable,
        TableFileError,
    ) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename or 'the file'}: {error.strerror or error}") from error
