"""Why spend changed: more calls, another mix, longer calls, other prices. The four sum to the change.

    volume       (N1 - N0) * C0 / N0                  the same calls, more or fewer of them
    mix          sum n1 * c0 / n0  -  N1 * C0 / N0    dearer or cheaper models, prompts, ... than before
    tokens       sum over meters (t1 - n1 * t0 / n0) * p0      longer or shorter calls, at the old price
    price        the rest: the same tokens at another price

N, C: calls and cost of all; n, c, t: of one cell (a model of one group); 0 before, 1 now; p0: what a token of
the meter cost before. A cell that is new has no length or price of before: all of it is volume and mix.
Exactly: in fractions, and rounded to billionths of a dollar, with what rounding leaves in the price.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from promptspan_server.finance.ledger import TOKENS, dollars, nanos

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from decimal import Decimal

    from promptspan_server.finance.focus import RateRecord
    from promptspan_server.finance.ledger import LedgerRow


@dataclass(slots=True)
class Cell:
    """What calls with a cost used and cost together, exactly.

    Attributes:
        calls: Calls with a known cost.
        nano_usd: Cost in billionths of a dollar.
        tokens: Tokens by meter.
        worth: By meter, tokens x price of the rows whose price is known, in billionths of a dollar.
        rated: By meter, the tokens of those rows.
        prices: By meter, a price that was in force, in billionths of a dollar a token; None if unknown.
        whole: Every row has a known price.
    """

    calls: int
    nano_usd: int
    tokens: list[int]
    worth: list[Fraction]
    rated: list[int]
    prices: list[Fraction | None]
    whole: bool

    def price(self, meter: int) -> Fraction:
        """What a token of a meter cost, in billionths of a dollar; of any token where prices are unknown."""
        if self.whole and self.rated[meter]:
            return self.worth[meter] / self.rated[meter]
        known = self.prices[meter]
        if self.whole and known is not None:
            return known
        tokens = sum(self.tokens)
        return Fraction(self.nano_usd, tokens) if tokens else Fraction(0)


@dataclass(frozen=True, slots=True)
class Drivers:
    """A change in USD, and its four parts, which sum to it.

    Attributes:
        volume: Of more or fewer calls.
        mix: Of dearer or cheaper kinds of calls.
        tokens: Of longer or shorter calls.
        price: Of other prices.
        comparable: There were calls with a cost before; without them all is volume.
    """

    volume: Decimal
    mix: Decimal
    tokens: Decimal
    price: Decimal
    comparable: bool

    @property
    def change(self) -> Decimal:
        """The whole change."""
        return dollars(sum(map(nanos, (self.volume, self.mix, self.tokens, self.price))))


def cells(
    rows: Iterable[tuple[Hashable, LedgerRow]], rates: Mapping[str, RateRecord]
) -> dict[Hashable, Cell]:
    """Add rows up by cell.

    Args:
        rows: Cell and row, of a ledger by price status and rate: rows without a cost are left out whole.
        rates: Prices by `rate_id`.
    """
    found: dict[Hashable, Cell] = {}
    count = len(TOKENS)
    for key, row in rows:
        if row.cost_usd is None:
            continue
        cell = found.get(key)
        if cell is None:
            cell = Cell(0, 0, [0] * count, [Fraction(0)] * count, [0] * count, [None] * count, whole=True)
            found[key] = cell
        cell.calls += row.costed
        cell.nano_usd += nanos(row.cost_usd)
        tokens = [getattr(row, name) for name in TOKENS]
        rate = rates.get(row.keys.get("rate_id", ""))
        cell.whole = cell.whole and (rate is not None or not row.cost_usd)
        for meter, number in enumerate(tokens):
            cell.tokens[meter] += number
            per_mtok = rate.usd_per_mtok[meter] if rate is not None else None
            if per_mtok is not None:
                price = Fraction(per_mtok) * 1000  # USD per million tokens: billionths of a dollar a token
                cell.prices[meter] = price
                cell.worth[meter] += price * number
                cell.rated[meter] += number
    return found


def drivers(before: Mapping[Hashable, Cell], now: Mapping[Hashable, Cell]) -> Drivers:
    """Divide a change among its reasons."""
    calls0, calls1 = _calls(before), _calls(now)
    cost0, cost1 = _cost(before), _cost(now)
    change = cost1 - cost0
    if not calls0:
        zero = dollars(0)
        return Drivers(dollars(change), zero, zero, zero, comparable=False)
    scaled = Fraction(calls1 * cost0, calls0)
    same_calls = Fraction(0)
    tokens = Fraction(0)
    for key, cell in now.items():
        past = before.get(key)
        if past is None or not past.calls:
            same_calls += cell.nano_usd
            continue
        same_calls += Fraction(cell.calls * past.nano_usd, past.calls)
        for meter, number in enumerate(cell.tokens):
            longer = number - Fraction(cell.calls * past.tokens[meter], past.calls)
            if longer:
                tokens += longer * past.price(meter)
    parts = [round(scaled - cost0), round(same_calls - scaled), round(tokens)]
    return Drivers(*(dollars(part) for part in (*parts, change - sum(parts))), comparable=True)


def _calls(found: Mapping[Hashable, Cell]) -> int:
    return sum(cell.calls for cell in found.values())


def _cost(found: Mapping[Hashable, Cell]) -> int:
    return sum(cell.nano_usd for cell in found.values())
