"""Our own captures of real instrumentations (captures.json.xz, made by `capturing`) and their truth."""

from __future__ import annotations

import hashlib
import json
import lzma
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schema.bodies import SECOND, Event, Span, traces
from schema.truth import COLUMNS, Json, differences, logical_calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schema.conftest import Store

_FOLDER = Path(__file__).parent
GAPS = _FOLDER / "captures_gaps.txt"


@dataclass(frozen=True)
class Capture:
    """One scenario of one set-up.

    `name`, SET-UP/SCENARIO, is also the service of its spans: captures share a store, not a service.
    """

    name: str
    scenario: str
    content: Json

    def spans(self, begin_ns: int) -> list[Span]:
        return [self._span(span, begin_ns) for span in self.content["spans"]]

    def body(self, begin_ns: int) -> bytes:
        return traces(*self.spans(begin_ns), resource={"service.name": self.name})

    @property
    def calls(self) -> list[Json]:
        """What `llm_costs where billable` must say, in the order of the calls."""
        return logical_calls(self.scenario, self.content)

    def _span(self, span: Json, begin_ns: int) -> Span:
        start = begin_ns + span["start"]
        seed = hashlib.sha256(self.name.encode()).hexdigest()[:12]
        return Span(
            span["attributes"],
            name=span["name"],
            scope=span["scope"],
            scope_version=span["version"],
            kind=span["kind"],
            start_ns=start,
            duration_ns=span["duration"],
            span_id=f"{seed}{span['id']:04x}",
            parent_span_id=f"{seed}{span['parent']:04x}" if span["parent"] else "",
            trace_id=f"{span['trace']:08x}{seed:0>24}",
            status_code=span["status"],
            status_message=span["message"],
            events=[
                Event(event["name"], begin_ns + event["at"], event["attributes"])
                for event in span.get("events", ())
            ],
        )


def captures() -> Iterator[Capture]:
    setups: Mapping[str, Json] = json.loads(lzma.decompress((_FOLDER / "captures.json.xz").read_bytes()))
    for setup, made in setups.items():
        for scenario, content in made["captures"].items():
            yield Capture(f"{setup}/{scenario}", scenario, content)


def answers(store: Store) -> dict[str, list[Json]]:
    """What the store bills, by service, in the order of the calls."""
    found: defaultdict[str, list[Json]] = defaultdict(list)
    for service, *values in store.rows(
        f"SELECT service, {', '.join(COLUMNS)} FROM llm_costs WHERE billable ORDER BY service, ts"
    ):
        found[service].append(dict(zip(COLUMNS, values, strict=True)))
    return found


def gaps(capture: Capture, billed: list[Json]) -> set[str]:
    """What the store says otherwise: `column` for what it does not say, `column = value` for the rest."""
    truth = capture.calls
    if len(billed) != len(truth):
        return {f"calls = {len(billed)}"}
    rest = list(billed)
    found: set[str] = set()
    for call in truth:
        row = next((row for row in rest if row["response_id"] == call["response_id"]), rest[0])
        rest.remove(row)
        found |= {
            column if said is None else f"{column} = {said}"
            for column, said in differences(call, row).items()
        }
    return found


def listed() -> dict[str, set[str]]:
    """captures_gaps.txt, by name of the capture."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for line in GAPS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            setup, gap, scenarios = (part.strip() for part in line.split("|"))
            for scenario in scenarios.split():
                found[f"{setup}/{scenario}"].add(gap)
    return found


def begin() -> int:
    """Nanoseconds since 1970: a moment of today that leaves room for the longest capture."""
    return time.time_ns() - 600 * SECOND
