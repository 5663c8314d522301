"""How numbers, times and money are written. Unknown is a dash, never a zero."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from promptspan_server.queries.money import Spend

UNKNOWN = "—"
_THIN = "\u202f"  # narrow no-break space between a number and its unit
UP, DOWN = "\u2191", "\u2193"
_MINUS, _TIMES = "\u2212", "\u00d7"
_UNITS = ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k"))


def count(value: int | None) -> str:
    """Write a count in full up to 9,999, then with three digits and a unit (`12.3 k`)."""
    if value is None:
        return UNKNOWN
    for limit, unit in _UNITS:
        if value >= limit:
            size = 1_000 if unit == "k" else limit
            return f"{_three_digits(value / size)}{_THIN}{unit}"
    return f"{value:,}"


def exact(value: int | None) -> str:
    """Write a count in full."""
    return UNKNOWN if value is None else f"{value:,}"


def mean(value: float | None) -> str:
    """Write a mean of counts."""
    return UNKNOWN if value is None else f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def duration(milliseconds: float | None) -> str:
    """Write a duration in the unit that fits: `340 ms`, `1.24 s`, `2 min 5 s`, `3 h 20 min`."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < 999.5:
        return f"{_three_digits(milliseconds)}{_THIN}ms"
    seconds = milliseconds / 1000
    if seconds < 99.95:
        return f"{_three_digits(seconds)}{_THIN}s"
    whole = round(seconds)
    for size, unit, smaller, small in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{_THIN}{unit}" + (f" {rest}{_THIN}{small}" if rest else "")
    return f"{whole}{_THIN}s"


def step(seconds: int) -> str:
    """Write the width of a bucket: `30 s`, `1 min`, `3 h`, `7 days`."""
    for size, unit in ((86_400, "day"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            number = seconds // size
            plural = "s" if unit == "day" and number > 1 else ""
            return f"{number}{_THIN}{unit}{plural}"
    return f"{seconds}{_THIN}s"


def error_name(error_type: str) -> str:
    """Shorten the full name of an exception class to its last part; codes and names with spaces stay."""
    last = error_type.rpartition(".")[2]
    return last if last.isidentifier() else error_type


def age(seconds: float | None) -> str:
    """Write how long ago something was, in one unit."""
    if seconds is None:
        return UNKNOWN
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)}{_THIN}{unit}"
    return f"{int(seconds)}{_THIN}s"


def share(value: float | None, digits: int = 1) -> str:
    """Write a share of 0 to 1 in per cent. Less than all never rounds to 100, more than none never to 0."""
    if value is None:
        return UNKNOWN
    percent = value * 100
    smallest = 10**-digits
    if 0 < percent < smallest:
        return f"<{_THIN}{smallest:.{digits}f}{_THIN}%"
    if 100 - smallest / 2 <= percent < 100:
        return f">{_THIN}{100 - smallest:.{digits}f}{_THIN}%"
    return f"{percent:.{0 if percent in (0, 100) else digits}f}{_THIN}%"


def usd(value: Decimal | None) -> str:
    """Write an amount in US dollars: cents from a dollar on, three significant digits below."""
    if value is None:
        return UNKNOWN
    sign, size = (_MINUS if value < 0 else ""), abs(value)
    if size == 0:
        return "$0.00"
    if size >= 1:
        return f"{sign}${size.quantize(Decimal('0.01'), ROUND_HALF_EVEN):,}"
    places = min(9, max(2, 2 - size.adjusted()))
    return f"{sign}${size.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):f}"


def usd_exact(value: Decimal | None) -> str:
    """Write an amount in US dollars with every digit that is known, at least cents."""
    if value is None:
        return UNKNOWN
    text = f"{value:f}"
    whole, _, fraction = text.partition(".")
    return f"${int(whole):,}.{fraction.rstrip('0').ljust(2, '0')}"


def measure(value: float | None, unit: str) -> str:
    """Write a measured value in the unit of an alert's rule: `8.3 %`, `1.24 s`, `$12.40/h`, `3 spans`."""
    if value is None:
        return UNKNOWN
    if unit == "%":
        return share(value / 100)
    if unit == "ms":
        return duration(value)
    if unit == "s":
        return duration(value * 1000)
    if unit.startswith("USD"):
        return usd(Decimal(f"{value:.6g}")) + unit.removeprefix("USD")
    return f"{value:,.4g}{_THIN if unit else ''}{unit}"


def coverage(spend: Spend) -> str:
    """Say how much of a cost is known: `97.2 % of calls priced`, and why the rest is not."""
    if not spend.calls:
        return "no calls"
    text = f"{share(spend.coverage)} of calls priced"
    reasons = [
        f"{count(number)} {reason}"
        for number, reason in ((spend.unpriced, "without a price"), (spend.no_usage, "without usage"))
        if number
    ]
    return f"{text} ({', '.join(reasons)})" if reasons else text


def moment(at: datetime | None, *, seconds: bool = True) -> str:
    """Write a time in UTC to the second, or to the minute."""
    return UNKNOWN if at is None else at.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def precise(at: datetime | None) -> str:
    """Write a time in UTC to the millisecond."""
    return UNKNOWN if at is None else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def change(now: float | None, before: float | None) -> str | None:
    """Write a relative change (`+12 %`); None where there is nothing to compare with."""
    if now is None or not before:
        return None
    ratio = now / before - 1
    if abs(ratio) < 0.005:
        return f"±0{_THIN}%"
    if ratio > 9.995:
        return f"{_TIMES}{now / before:,.0f}"
    return f"{ratio * 100:+.0f}{_THIN}%".replace("-", _MINUS)


def name(value: str, missing: str) -> str:
    """Return a name, or the words for calls without one."""
    return value or missing


def _three_digits(value: float) -> str:
    places = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{places}f}"


def clipped(text: str, characters: int) -> str:
    """Cut a text to a length, with an ellipsis where something is missing."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def counted(number: int, singular: str, plural: str = "") -> str:
    """Write a number with its noun."""
    return f"{count(number)} {singular if number == 1 else plural or singular + 's'}"


def short_coverage(spend: Spend) -> str:
    """Say how much of a cost is known, in a few words."""
    return f"{share(spend.coverage)} of calls priced" if spend.calls else "no calls"
