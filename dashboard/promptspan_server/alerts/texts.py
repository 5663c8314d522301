"""The words of a notice: templates of ours or of the user's, in a sandbox, over data that nobody trusts.

Names of prompts, tenants and errors come from applications and from what people typed into them. They are
text here and stay text: control characters go, what a receiver reads as markup is escaped by who sends to it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from promptspan_server.alerts.notice import Alert, Notice

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPLATES = Path(__file__).with_name("templates")
_MAX_TEXT = 20_000
_MAX_FIELD = 2_000
# Invisible characters that turn the direction of text or hide in it.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class TemplateError(ValueError):
    """A template of the user's cannot be used; the message says where."""


def title(notice: Notice, template: str | None = None) -> str:
    """Write the one line that says it all."""
    text = _rendered(template, "title.j2", notice)
    return " ".join(text.split())[:250]


def body(notice: Notice, template: str | None = None) -> str:
    """Write the whole of it as plain text."""
    return _rendered(template, "body.j2", notice).strip()


def alert_text(alert: Alert) -> str:
    """Write one alert as plain text, without its links."""
    return _environment(html=False).get_template("alert.j2").render(alert=cleaned_alert(alert)).strip()


def html(notice: Notice, heading: str) -> str:
    """Write the whole of it as an HTML document, data escaped."""
    return _environment(html=True).get_template("mail.html.j2").render(notice=cleaned(notice), title=heading)


def check(template: str) -> None:
    """Try a template on a firing notice of several alerts and on a resolved one.

    Raises:
        TemplateError: It does not parse, or fails on one of them.
    """
    for notice in EXAMPLES:
        _rendered(template, "", notice)


def cleaned(notice: Notice) -> Notice:
    """Return the notice with every text in it free of control characters and of bounded length."""
    return replace(
        notice,
        group_labels=_labels(notice.group_labels),
        alerts=tuple(cleaned_alert(alert) for alert in notice.alerts),
    )


def cleaned_alert(alert: Alert) -> Alert:
    """As `cleaned`, for one alert."""
    return replace(
        alert,
        rule=_line(alert.rule),
        labels=_labels(alert.labels),
        unit=_line(alert.unit),
        summary=_line(alert.summary),
        description=_plain(alert.description),
        url=alert.url if is_web(alert.url) else None,
        runbook=alert.runbook if is_web(alert.runbook) else None,
        owner=_line(alert.owner),
    )


def is_web(url: str | None) -> bool:
    """Whether an address may become a link: `http(s)`, and nothing in it that ends an attribute or a line."""
    return (
        url is not None
        and url.startswith(("https://", "http://"))
        and len(url) <= _MAX_FIELD
        and not any(character in "<>\"'`|\\ " or not character.isprintable() for character in url)
    )


def measure(value: float | None, unit: str) -> str:
    """Write a measured value with its unit."""
    if value is None:
        return "unknown"
    if unit.startswith("USD"):
        amount = f"${value:,.2f}" if abs(value) >= 1 else f"${value:.3g}"
        return amount + unit.removeprefix("USD")
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{number} {unit}".rstrip()


def utc(at: datetime) -> str:
    """Write a time to the second."""
    return f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def pairs(labels: Mapping[str, str]) -> str:
    """Write labels as `name=value`, sorted."""
    return " ".join(f"{name}={value}" for name, value in sorted(labels.items()))


def _rendered(template: str | None, ours: str, notice: Notice) -> str:
    environment = _environment(html=False)
    try:
        chosen = environment.get_template(ours) if template is None else environment.from_string(template)
        text = chosen.render(notice=cleaned(notice))
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"line {error.lineno} of the template: {error.message}") from error
    except (
        jinja2.TemplateError,
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        RecursionError,
    ) as error:
        raise TemplateError(f"the template fails: {error}") from error
    return text[:_MAX_TEXT]


@cache
def _environment(*, html: bool) -> jinja2.Environment:
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=False,
    )
    known: Any = environment  # jinja2 types its tables by the functions that it ships
    known.filters.update(measure=measure, utc=utc, pairs=pairs)
    known.tests["web"] = is_web
    return environment


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {_line(name): _line(value) for name, value in labels.items()}


def _line(text: str) -> str:
    return " ".join(_plain(text).split())


def _plain(text: str) -> str:
    kept = (
        character if character in "\n\t" or unicodedata.category(character) not in _HIDDEN else " "
        for character in text[:_MAX_FIELD]
    )
    return "".join(kept)


def _example(fingerprint: str, severity: str, ends_at: datetime | None) -> Alert:
    return Alert(
        fingerprint=fingerprint,
        rule="error-rate",
        severity="page" if severity == "page" else "ticket",
        labels={"prompt_name": "inbox-summary", "prompt_version": "7"},
        state="resolved" if ends_at else "firing",
        value=8.3,
        threshold=1.0,
        unit="%",
        starts_at=_WHEN,
        ends_at=ends_at,
        summary="8.3 % of calls of inbox-summary 7 fail",
        description="",
        runbook=None,
        url=None,
    )


_WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
_LATER = _WHEN + timedelta(hours=1)
EXAMPLES = (
    Notice(
        "example-1",
        "{}",
        "example",
        "firing",
        {"prompt_name": "inbox-summary", "severity": "page"},
        (_example("a", "page", None), _example("b", "ticket", _LATER)),
        _WHEN,
    ),
    Notice("example-2", "{}", "example", "resolved", {}, (_example("a", "page", _LATER),), _LATER),
)
