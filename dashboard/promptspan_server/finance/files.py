"""Where finance's files are: named by the environment, for the command line and the dashboard alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from promptspan_server.finance.allocation import Allocation, AllocationError, parse_allocation
from promptspan_server.finance.budgets import BudgetError, Budgets, parse_budgets
from promptspan_server.finance.closed import ALLOCATION_FILE, RATES_FILE, Basis
from promptspan_server.finance.currency import ExchangeRates, RatesError, parse_rates

if TYPE_CHECKING:
    from collections.abc import Callable

Parsed = TypeVar("Parsed")

ALLOCATION_VARIABLE: Final = "PROMPTSPAN_ALLOCATION"
BUDGETS_VARIABLE: Final = "PROMPTSPAN_BUDGETS"
RATES_VARIABLE: Final = "PROMPTSPAN_RATES"


def load_allocation(path: Path | None = None) -> Allocation:
    """Read the allocation rules of a file, of the one in `PROMPTSPAN_ALLOCATION`, or none at all.

    Raises:
        AllocationError: The file cannot be read or taken.
    """
    return _load(path, ALLOCATION_VARIABLE, parse_allocation, AllocationError) or Allocation()


def load_budgets(path: Path | None = None) -> Budgets:
    """Read the budgets of a file, of the one in `PROMPTSPAN_BUDGETS`, or none at all.

    Raises:
        BudgetError: The file cannot be read or taken.
    """
    return _load(path, BUDGETS_VARIABLE, parse_budgets, BudgetError) or Budgets()


def load_rates(path: Path | None = None) -> ExchangeRates | None:
    """Read the exchange rates of a file, of the one in `PROMPTSPAN_RATES`, or None: US dollars alone.

    Raises:
        RatesError: The file cannot be read or taken.
    """
    return _load(path, RATES_VARIABLE, parse_rates, RatesError)


def read_basis(allocation: Path | None = None, rates: Path | None = None) -> Basis:
    """Read what a close freezes beside the ledger, or an export is made by: of files, or of the environment.

    Raises:
        AllocationError: The rules cannot be read or taken.
        RatesError: The exchange rates cannot be read or taken.
    """
    texts: dict[str, str] = {}
    rules, exchange = Allocation(), None
    found = _text(allocation, ALLOCATION_VARIABLE, AllocationError)
    if found is not None:
        path, texts[ALLOCATION_FILE] = found
        rules = parse_allocation(texts[ALLOCATION_FILE], path.name)
    found = _text(rates, RATES_VARIABLE, RatesError)
    if found is not None:
        path, text = found
        exchange = parse_rates(text, path.name)
        texts[f"{RATES_FILE}{'.csv' if path.suffix.lower() == '.csv' else '.yaml'}"] = text
    return Basis(texts, rules, exchange)


def _load(
    path: Path | None, variable: str, parse: Callable[[str, str], Parsed], failure: type[ValueError]
) -> Parsed | None:
    found = _text(path, variable, failure)
    return None if found is None else parse(found[1], str(found[0]))


def _text(path: Path | None, variable: str, failure: type[ValueError]) -> tuple[Path, str] | None:
    """The file that is given, or named by the environment, and its content."""
    named = str(path) if path is not None else os.environ.get(variable, "")
    if not named:
        return None
    try:
        return Path(named), Path(named).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise failure(f"{named}: {reason}") from error
