"""Guardrails: what a new version must not worsen by more than a margin, as a file beside the prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from promptspan_server.analysis.metrics import Metric, named
from promptspan_server.pricing.yaml_file import SafeUniqueLoader, reason

if TYPE_CHECKING:
    from pathlib import Path

Margin = Annotated[float, Field(ge=0)]


class GuardrailError(ValueError):
    """The file cannot be understood; the message says where and why."""


class Guardrail(BaseModel):
    """One limit.

    Attributes:
        metric: Name of a metric, see `metrics.named`.
        max_increase_pct: Per cent that it may rise by.
        max_increase: What it may rise by in its own unit: of a rate as a share of calls, of a score in
            points.
        max_decrease: What a score may fall by.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str
    max_increase_pct: Margin | None = None
    max_increase: Margin | None = None
    max_decrease: Margin | None = None

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str) -> str:
        named(name)
        return name

    @model_validator(mode="after")
    def _fits(self) -> Guardrail:
        kind = named(self.metric).kind
        if kind not in ("rate", "score") and self.max_increase is not None:
            raise ValueError(f"{self.metric} is compared as a ratio: say max_increase_pct")
        if kind != "score" and self.max_decrease is not None:
            raise ValueError(f"a fall of {self.metric} is no harm: max_decrease is for scores")
        if kind == "score" and (self.max_increase is not None or self.max_increase_pct is not None):
            raise ValueError(f"a rise of {self.metric} is no harm: say max_decrease")
        return self

    def as_metric(self) -> Metric:
        """The metric with this limit in the place of its own."""
        from dataclasses import replace

        metric = named(self.metric)
        if metric.kind == "score":
            return metric if self.max_decrease is None else replace(metric, max_change=self.max_decrease)
        if self.max_increase_pct is None and self.max_increase is None:
            return metric
        ratio = None if self.max_increase_pct is None else 1 + self.max_increase_pct / 100
        return replace(metric, max_ratio=ratio, max_change=self.max_increase)


class Guardrails(BaseModel):
    """A file of limits: `guardrails:` with a list of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    guardrails: Annotated[list[Guardrail], Field(min_length=1)]


def read_guardrails(path: Path) -> tuple[Metric, ...]:
    """Read a file of guardrails.

    Raises:
        GuardrailError: It is missing, no YAML, or says something that is not understood.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise GuardrailError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise GuardrailError(f"{path} is not UTF-8") from error
    try:
        content = yaml.load(text, Loader=SafeUniqueLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise GuardrailError(f"{path}, line {line}: {error.problem or 'this is no YAML'}") from error
    try:
        rules = Guardrails.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise GuardrailError(f"{path}: {where or 'the file'}: {reason(first, Guardrails)}") from error
    metrics = tuple(rule.as_metric() for rule in rules.guardrails)
    names = [metric.name for metric in metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise GuardrailError(f"{path}: {twice} has two guardrails")
    return metrics
