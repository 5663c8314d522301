"""Exchange rates: a dated file of the user's own turns USD into a reporting currency. The ledger stays USD.

    version: 1
    currency: EUR                # ISO 4217: what is reported in
    rates:                       # EUR for one USD
      2026-10: 0.9234            # of a month
      2026-10-31: 0.9301         # or of a day, which wins over its month

or, as CSV, the columns `period,currency,rate`. A day without a rate is an error, never yesterday's rate: what
was not decided is not made up.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import yaml

from promptspan_server.pricing.yaml_file import UniqueKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

EXACT: Final = Context(prec=96, traps=[Inexact, InvalidOperation])
"""Arithmetic of money: a result that would have to be rounded is an error."""

_PLACES: Final = 12
_PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_RATE = re.compile(r"\d{1,9}(\.\d{1,10})?")


class RatesError(ValueError):
    """Exchange rates that cannot be taken, or one that is missing. The message says what to do."""


@dataclass(frozen=True, slots=True)
class ExchangeRates:
    """What one US dollar was worth.

    Attributes:
        currency: ISO 4217.
        name: What the file is called, in messages.
        text: The file, as it was read; frozen with a closed month.
        by_period: Units of the currency for one USD, by `YYYY-MM` or `YYYY-MM-DD`.
    """

    currency: str
    name: str
    text: str
    by_period: Mapping[str, Decimal] = field(hash=False)

    @property
    def sha256(self) -> str:
        """Of the file, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def on(self, day: date) -> Decimal:
        """The rate of a day, else of its month.

        Raises:
            RatesError: There is neither.
        """
        for period in (f"{day:%Y-%m-%d}", f"{day:%Y-%m}"):
            rate = self.by_period.get(period)
            if rate is not None:
                return rate
        raise RatesError(
            f"no {self.currency} rate for {day:%Y-%m-%d}: add a line"
            f" `{day:%Y-%m}: <{self.currency} for one USD>` to {self.name}"
        )


def usd_per(exchange: ExchangeRates | None, day: date) -> Callable[[str], Decimal | None]:
    """Return what one unit of a currency is worth in USD on a day; None where the rates are of another one.

    Raises (when it is asked):
        RatesError: There is no rate for the day.
    """

    def worth(currency: str) -> Decimal | None:
        if exchange is None or exchange.currency != currency:
            return None
        return 1 / exchange.on(day)

    return worth


class Conversion:
    """Converts amounts one by one so that the sum of what it gave is the exact sum, rounded once.

    Each amount is within one unit of the twelfth place of its own exact value: what rounding took from one
    is given to the next.
    """

    def __init__(self, rates: ExchangeRates) -> None:
        self._rates = rates
        self._exact = Decimal(0)
        self._given = Decimal(0)

    def __call__(self, usd: Decimal, day: date) -> tuple[Decimal, Decimal]:
        """Convert an amount in USD.

        Returns:
            The rate, and the amount in the reporting currency with twelve places.

        Raises:
            RatesError: There is no rate for the day.
        """
        rate = self._rates.on(day)
        self._exact = EXACT.add(self._exact, EXACT.multiply(usd, rate))
        given = rounded(self._exact, _PLACES)
        amount = EXACT.subtract(given, self._given)
        self._given = given
        return rate, amount


def rounded(value: Decimal, places: int) -> Decimal:
    """Round half even, whatever the caller's decimal context is."""
    return value.quantize(Decimal(1).scaleb(-places), context=Context(prec=96))


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """Add amounts up exactly, whatever the caller's decimal context is."""
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def convert(usd_by_day: Iterable[tuple[date, Decimal]], rates: ExchangeRates) -> Decimal:
    """Convert sums of days, exactly, rounded once to twelve places.

    Raises:
        RatesError: There is no rate for a day.
    """
    total = Decimal(0)
    for day, usd in usd_by_day:
        total = EXACT.add(total, EXACT.multiply(usd, rates.on(day)))
    return rounded(total, _PLACES)


def parse_rates(text: str, name: str = "rates.yaml") -> ExchangeRates:
    """Read a file of exchange rates: CSV if its name ends so, else YAML.

    Raises:
        RatesError: It is wrong: the message names place and reason.
    """
    currency, pairs = _csv(text, name) if name.lower().endswith(".csv") else _yaml(text, name)
    if not _CURRENCY.fullmatch(currency):
        raise RatesError(f"{name}, currency: {currency!r} is no code of ISO 4217, such as EUR")
    by_period: dict[str, Decimal] = {}
    for period, rate in pairs:
        if not _PERIOD.fullmatch(period):
            raise RatesError(f"{name}, rates: {period!r} is neither a month (2026-10) nor a day (2026-10-31)")
        if not _RATE.fullmatch(rate) or not Decimal(rate):
            raise RatesError(
                f"{name}, rates.{period}: {rate!r} is no rate: positive, with at most ten places"
            )
        if period in by_period:
            raise RatesError(f"{name}, rates.{period}: it is there twice")
        by_period[period] = Decimal(rate)
    if not by_period:
        raise RatesError(f"{name}: it has no rates; write `2026-10: 0.92` under `rates:`")
    return ExchangeRates(currency, name, text, by_period)


class _Loader(UniqueKeys, yaml.BaseLoader):
    """Every scalar is the text that was typed: a rate is never a float, a period never a date."""


def _yaml(text: str, name: str) -> tuple[str, list[tuple[str, str]]]:
    try:
        data: Any = yaml.load(text, Loader=_Loader)  # noqa: S506 - makes only text, lists and dicts
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RatesError(f"{name}:{line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise RatesError(f"{name}: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict) or set(data) - {"version", "currency", "rates"}:  # pyright: ignore[reportUnknownArgumentType]
        raise RatesError(f"{name}: `version: 1`, `currency:` and `rates:` are expected, and nothing else")
    if data.get("version", "1") != "1":  # pyright: ignore[reportUnknownMemberType]
        raise RatesError(f"{name}, version: 1 is the one that is known")
    currency: Any = data.get("currency", "")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    rates: Any = data.get("rates") or {}  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(rates, dict):
        raise RatesError(f"{name}, rates: periods and rates are expected, such as `2026-10: 0.92`")
    return str(currency), [(str(period), str(rate)) for period, rate in rates.items()]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _csv(text: str, name: str) -> tuple[str, list[tuple[str, str]]]:
    reader = csv.DictReader(io.StringIO(text))
    if not {"period", "currency", "rate"} <= set(reader.fieldnames or ()):
        raise RatesError(f"{name}: the columns period, currency and rate are expected")
    rows = list(reader)
    currencies = {(row["currency"] or "").strip() for row in rows}
    if len(currencies) > 1:
        raise RatesError(f"{name}, currency: one reporting currency is expected, not {len(currencies)}")
    return next(iter(currencies), ""), [
        ((row["period"] or "").strip(), (row["rate"] or "").strip()) for row in rows
    ]
