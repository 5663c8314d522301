"""A sum of money and how much of the whole it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

# The four columns that every question about money selects from `prompt_hours`, in this order.
SPEND_COLUMNS = """
    if(sum(cost_calls) = 0, NULL, sum(cost_usd)),
    sum(calls),
    sum(cost_calls),
    sum(no_usage_calls)
"""


@dataclass(frozen=True, slots=True)
class Spend:
    """What calls cost, with its coverage.

    Attributes:
        usd: Sum over the priced calls, exactly; None if not one of them is priced.
        calls: Model calls in all.
        priced: Calls with a known cost.
        no_usage: Calls whose usage is unknown; the other calls without cost lack a price.
    """

    usd: Decimal | None
    calls: int
    priced: int
    no_usage: int

    @property
    def unpriced(self) -> int:
        """Calls with usage but without a price."""
        return self.calls - self.priced - self.no_usage

    @property
    def coverage(self) -> float | None:
        """Share of calls with a known cost, 0 to 1; None without calls."""
        return self.priced / self.calls if self.calls else None

    @property
    def per_call(self) -> Decimal | None:
        """Mean cost of a priced call in USD."""
        return self.usd / self.priced if self.usd is not None and self.priced else None
