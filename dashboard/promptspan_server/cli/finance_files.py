"""The files that finance's commands read: which month, allocation rules, exchange rates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.failure import CommandError

if TYPE_CHECKING:
    from promptspan_server.finance.closed import Basis
    from promptspan_server.queries.scope import TimeRange

AllocationOption = Annotated[
    Path | None,
    typer.Option(
        "--allocation",
        envvar="PROMPTSPAN_ALLOCATION",
        help="Allocation rules (YAML): who pays for what.",
        show_default=False,
    ),
]
RatesOption = Annotated[
    Path | None,
    typer.Option(
        "--rates",
        envvar="PROMPTSPAN_RATES",
        help="Exchange rates (YAML or CSV): amounts are shown in their currency too.",
        show_default=False,
    ),
]


def read_basis(allocation: Path | None, rates: Path | None) -> Basis:
    """Read allocation rules and exchange rates.

    Raises:
        CommandError: A file cannot be read, or is wrong.
    """
    from promptspan_server.finance import files
    from promptspan_server.finance.allocation import AllocationError
    from promptspan_server.finance.currency import RatesError

    try:
        return files.read_basis(allocation, rates)
    except (AllocationError, RatesError) as error:
        raise CommandError(str(error)) from error


def read_text(path: Path) -> str:
    """Read a file.

    Raises:
        CommandError: It cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: not UTF-8 text") from error


def read_month(text: str) -> TimeRange:
    """Read `2026-10`.

    Raises:
        CommandError: It is no month.
    """
    from promptspan_server.finance.ledger import month

    try:
        return month(text)
    except ValueError as error:
        raise CommandError(str(error)) from error
