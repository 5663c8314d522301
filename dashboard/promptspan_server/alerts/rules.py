"""What a rule says: the schema of `alerts/*.yaml`.

rules:
  - name: errors                # a built-in rule of this name is replaced
    kind: errors
    by: [environment, service, prompt_name, prompt_version]
    where: {environment: production}
    objective: 0.995
    runbook: https://wiki.example/llm-errors
  - {name: latency, kind: latency, enabled: false}
notify:
  group_by: [environment, prompt_name]
  repeat_interval: 12h
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)
from typing_extensions import Self

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_LONGEST = timedelta(days=30)


def _duration(value: Any) -> Any:
    if value == 0:
        return timedelta(0)
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or not any(found.groups()):
        raise ValueError(f"{value!r} is no time: write 30s, 5m, 6h, 3d or 1h30m")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if length > _LONGEST:
        raise ValueError(f"{value!r} is more than {_LONGEST.days} days")
    return length


def said(length: timedelta) -> str:
    """Write a duration as rule files have it: `1h30m`."""
    left = int(length.total_seconds())
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(said, return_type=str)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Label = Literal[
    "environment", "service", "feature", "prompt_name", "prompt_version", "request_model", "provider"
]
Severity = Literal["page", "ticket"]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class _Rule(_Model):
    """What all rules have.

    Attributes:
        name: Its name in alerts; one rule a name.
        enabled: False switches it off.
        every: How often it is evaluated.
        hold: `for` in the file: how long it must hold until it fires.
        keep_firing_for: How long it must be below its recovery threshold until it is resolved.
        description: What it means, for whoever is woken.
        runbook: Address of what to do.
    """

    name: Name
    enabled: bool = True
    every: Duration = timedelta(seconds=15)
    hold: Duration = Field(default=timedelta(0), alias="for")
    keep_firing_for: Duration = timedelta(minutes=15)
    description: str = ""
    runbook: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None

    @field_validator("every")
    @classmethod
    def _not_idle(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=5):
            raise ValueError("5s at least")
        return value

    @property
    def version(self) -> str:
        """A hash of all that the rule says: the same rule judges the same."""
        return hashlib.sha256(self.definition.encode()).hexdigest()[:12]

    @property
    def definition(self) -> str:
        """The rule as canonical JSON."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True)


class _Series(_Rule):
    """A rule that judges each set of labels apart.

    Attributes:
        by: The labels; at least one.
        where: Only calls with these values.
    """

    where: dict[Label, str] = Field(default_factory=dict[Label, str])
    by: tuple[Label, ...] = Field(
        default=("environment", "service", "prompt_name", "prompt_version"), min_length=1
    )

    @field_validator("by")
    @classmethod
    def _once(cls, value: tuple[Label, ...]) -> tuple[Label, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a label is named twice")
        return value


class _OfHours(_Series):
    """A rule that also reads the hourly sums, which do not tell providers apart."""

    @model_validator(mode="after")
    def _known_to_hours(self) -> Self:
        if "provider" in (*self.by, *self.where):
            raise ValueError("what is usual of a provider is not known: take `provider` out of by and where")
        return self


class ErrorRule(_Series):
    """Too many calls fail: burn rates and an e-CUSUM on the objective.

    Attributes:
        objective: Share of calls that must succeed.
        rho: The factor over what the objective allows that must be found fast.
        least: Failed calls that a burn rate needs before it says anything.
    """

    kind: Literal["errors"]
    objective: Share = 0.99
    rho: Annotated[float, Field(gt=1, le=100)] = 5.0
    least: Annotated[int, Field(ge=1)] = 10


class LatencyRule(_OfHours):
    """Too many calls are slow: above `threshold_ms`, or a multiple of the usual 95th percentile.

    Limits are rounded up to an eighth of an octave (9 %), the steps of the stored histograms.

    Attributes:
        objective: Share of calls that must not be slow.
        threshold_ms: What is slow, in ms.
        times_p95: Without it: this many times the 95th percentile of the seven days before today.
    """

    kind: Literal["latency"]
    objective: Share = 0.99
    threshold_ms: Annotated[float, Field(gt=0, le=3.6e6)] | None = None
    times_p95: Annotated[float, Field(ge=1, le=100)] = 2.0
    rho: Annotated[float, Field(gt=1, le=100)] = 5.0
    least: Annotated[int, Field(ge=1)] = 10


class FlagRule(_OfHours):
    """More answers carry safety flags than usual.

    Attributes:
        by: Labels; a prompt's new version is held against what the prompt was like.
        times: The factor over what is usual that matters.
        least: Flagged calls before anything is said.
        flags: Only these flags; all without it.
    """

    kind: Literal["flags"]
    times: Annotated[float, Field(gt=1, le=100)] = 3.0
    least: Annotated[int, Field(ge=1)] = 10
    flags: tuple[str, ...] = ()
    severity: Severity = "page"


class SpendRule(_OfHours):
    """More money goes than is budgeted or usual.

    Attributes:
        monthly_usd: The budget of each series; what is usual, without it.
        times: How many times the usual spend is worth telling.
        floor_usd_per_hour: Nothing is said about less than this above what is usual.
    """

    kind: Literal["spend"]
    by: tuple[Label, ...] = Field(default=("environment", "feature", "prompt_name"), min_length=1)
    every: Duration = timedelta(minutes=1)
    monthly_usd: Annotated[float, Field(gt=0)] | None = None
    times: Annotated[float, Field(gt=1, le=100)] = 2.0
    floor_usd_per_hour: Annotated[float, Field(ge=0)] = 1.0


class TrafficRule(_OfHours):
    """Calls have stopped coming where they usually come.

    Attributes:
        by: Labels.
    """

    kind: Literal["traffic"]
    by: tuple[Label, ...] = Field(default=("environment", "service"), min_length=1)
    every: Duration = timedelta(seconds=30)
    severity: Severity = "page"


class RegressionRule(_Rule):
    """A version of a prompt is worse than the one it replaces, by `promptspan compare`.

    Attributes:
        look_back: How far back calls are compared.
        prompts: How many prompts, the busiest first.
    """

    kind: Literal["regression"]
    every: Duration = timedelta(minutes=5)
    look_back: Duration = timedelta(days=3)
    prompts: Annotated[int, Field(ge=1, le=200)] = 20
    severity: Severity = "ticket"


class DriftRule(_Rule):
    """A signal of a version became worse than its own past, by `promptspan drift`.

    Attributes:
        look_back: How far back changes are looked for.
        false_alarms_per_week: Tolerated over all series together.
        smallest_change: The smallest change that matters, as a share.
    """

    kind: Literal["drift"]
    every: Duration = timedelta(minutes=15)
    look_back: Duration = timedelta(days=3)
    false_alarms_per_week: Annotated[float, Field(gt=0, le=1000)] = 1.0
    smallest_change: Annotated[float, Field(gt=0, le=10)] = 0.1
    severity: Severity = "ticket"


class UnpricedRule(_Rule):
    """Calls of a model have usage but no price, so spend is understated.

    Attributes:
        calls: How many in a day before it is told.
    """

    kind: Literal["unpriced"]
    every: Duration = timedelta(minutes=10)
    calls: Annotated[int, Field(ge=1)] = 20
    severity: Severity = "ticket"


class BudgetRule(_Rule):
    """A budget of the budgets file is broken, or will probably be by the end of its period.

    Attributes:
        chance: Probability of ending over it from which it is told.
    """

    kind: Literal["budgets"]
    every: Duration = timedelta(minutes=10)
    chance: Annotated[float, Field(gt=0, lt=1)] = 0.8
    severity: Severity = "ticket"


class LagRule(_Rule):
    """What arrives is old: an application or a Collector is sending what it had to keep.

    Attributes:
        limit: How old the newest call of a service may be when its spans arrive.
    """

    kind: Literal["lag"]
    every: Duration = timedelta(seconds=30)
    hold: Duration = Field(default=timedelta(minutes=2), alias="for")
    limit: Duration = timedelta(minutes=5)
    severity: Severity = "ticket"


class LossRule(_Rule):
    """Applications lost spans, as their SDKs count them.

    Attributes:
        spans: How many, of the processes that reported within the last hour.
    """

    kind: Literal["losses"]
    every: Duration = timedelta(minutes=1)
    spans: Annotated[int, Field(ge=1)] = 1
    severity: Severity = "ticket"


class BlindRule(_Rule):
    """Another rule cannot be evaluated."""

    kind: Literal["blind"]
    hold: Duration = Field(default=timedelta(minutes=2), alias="for")
    keep_firing_for: Duration = timedelta(minutes=1)
    severity: Severity = "page"


ShareRule = ErrorRule | LatencyRule | FlagRule
Rule = (
    ErrorRule
    | LatencyRule
    | FlagRule
    | SpendRule
    | TrafficRule
    | RegressionRule
    | DriftRule
    | UnpricedRule
    | BudgetRule
    | LagRule
    | LossRule
    | BlindRule
)
AnyRule = Annotated[Rule, Field(discriminator="kind")]

Matchers = Annotated[dict[str, str], Field(min_length=1)]


class Inhibition(_Model):
    """While an alert that matches `source` fires, those that match `target` stay silent.

    Attributes:
        source: Labels (or `rule`, `severity`) and their values; `*` stands for any characters.
        target: The same.
        equal: Labels that both must agree on. A target whose failed calls went to several providers agrees
            with each of them.
    """

    source: Matchers
    target: Matchers
    equal: tuple[str, ...] = ()


class Policy(_Model):
    """How alerts become notices.

    Attributes:
        group_by: Alerts that agree on these labels (or `rule`) share a notice; pages and tickets never do.
        group_wait: How long the first notice of a group waits for more alerts.
        group_interval: The least time between two notices of a group.
        repeat_interval: When a notice is repeated while nothing changes.
    """

    group_by: tuple[str, ...] = ("environment", "prompt_name")
    group_wait: Duration = timedelta(seconds=30)
    group_interval: Duration = timedelta(minutes=5)
    repeat_interval: Duration = timedelta(hours=4)

    @model_validator(mode="after")
    def _in_order(self) -> Policy:
        if self.repeat_interval < self.group_interval:
            raise ValueError("repeat_interval must not be shorter than group_interval")
        return self


class RuleFile(_Model):
    """One file.

    Attributes:
        rules: In any order.
        notify: At most one file has it.
        inhibit: Added to the built-in ones.
    """

    rules: tuple[AnyRule, ...] = ()
    notify: Policy | None = None
    inhibit: tuple[Inhibition, ...] = ()
