"""The recorded traffic of two services, a minute at a time, priced by a rule of its own."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# USD per million tokens of a model that no other test prices.
INPUT_USD = "2.51"
OUTPUT_USD = "10.07"
SERVICES = ("conv", "code")


@dataclass(frozen=True)
class Request:
    """One recorded request."""

    service: str
    at: datetime
    input_tokens: int
    output_tokens: int

    @property
    def usd(self) -> Fraction:
        """What it costs by the rule, rounded half up to nine places as a bill is."""
        exact = Fraction(INPUT_USD) * self.input_tokens + Fraction(OUTPUT_USD) * self.output_tokens
        return Fraction(int(exact * 1000 + Fraction(1, 2)), 10**9)


def requests(shared_data: Path) -> list[Request]:
    """All requests in the order of time."""
    found: list[Request] = []
    for service in SERVICES:
        with gzip.open(shared_data / "azure-llm" / f"{service}-2023.csv.gz", "rt") as lines:
            for row in csv.DictReader(lines):
                at = datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=timezone.utc)
                found.append(Request(service, at, int(row["ContextTokens"]), int(row["GeneratedTokens"])))
    return sorted(found, key=lambda request: request.at)


def by_minute(found: list[Request]) -> list[float]:
    """USD of each whole minute."""
    start = found[0].at
    minutes = (found[-1].at - start) // timedelta(minutes=1)
    spent = [0.0] * (minutes + 1)
    for request in found:
        spent[(request.at - start) // timedelta(minutes=1)] += float(request.usd)
    return spent[:minutes]
