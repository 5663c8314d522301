"""The file of destinations: who is told, by what, with which secrets (by reference), how often at most."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path  # noqa: TC003 - pydantic reads it
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from promptspan_server.alerts import texts
from promptspan_server.alerts.delivery import Lane
from promptspan_server.alerts.destinations.alertmanager import RESEND_S, Alertmanager
from promptspan_server.alerts.destinations.mail import Mail, Server
from promptspan_server.alerts.destinations.pagerduty import URL as PAGERDUTY_URL
from promptspan_server.alerts.destinations.pagerduty import PagerDuty
from promptspan_server.alerts.destinations.posting import Poster
from promptspan_server.alerts.destinations.services import Service
from promptspan_server.alerts.destinations.slack import Slack
from promptspan_server.alerts.destinations.webhook import Webhook
from promptspan_server.alerts.documents import read_document
from promptspan_server.alerts.kept_files import KeptFiles
from promptspan_server.alerts.outgoing import Guard
from promptspan_server.alerts.secrets import Secret
from promptspan_server.alerts.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from promptspan_server.alerts.destinations.outcome import Sender

FILE = "destinations.yaml"
_EMAIL = r"^[^@\s<>,;:\"]+@[^@\s<>,;:\"]+$"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Base(_Model):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    per_minute: Annotated[int, Field(ge=1, le=6000)] = 60
    give_up_after_h: Annotated[float, Field(gt=0, le=24 * 30)] = 72

    @property
    def give_up_after(self) -> timedelta:
        """After how long a notice that cannot be delivered is given up."""
        return timedelta(hours=self.give_up_after_h)

    def secrets(self) -> list[Secret]:
        """The references that sending needs."""
        values = [getattr(self, name) for name in type(self).model_fields]
        return [Secret(value) for value in values if is_reference(value)]


class _Templated(_Base):
    title: str | None = None
    text: str | None = None

    @field_validator("title", "text")
    @classmethod
    def _template(cls, value: str | None) -> str | None:
        if value is not None:
            texts.check(value)
        return value


class AlertmanagerConfig(_Base):
    """A Prometheus Alertmanager."""

    type: Literal["alertmanager"]
    url: str
    ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _web(value)


class PagerDutyConfig(_Base):
    """A service of PagerDuty."""

    type: Literal["pagerduty"]
    routing_key: str
    url: str = PAGERDUTY_URL

    @field_validator("routing_key")
    @classmethod
    def _key(cls, value: str) -> str:
        return _reference(value)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _web(value)


class SlackConfig(_Templated):
    """A channel of Slack."""

    type: Literal["slack"]
    url: str

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _reference(value)


class WebhookConfig(_Base):
    """A receiver of signed webhooks. `secrets` may hold two while one replaces the other."""

    type: Literal["webhook"]
    url: str
    secret: str
    next_secret: str | None = None
    ca_file: Path | None = None

    @field_validator("secret", "next_secret")
    @classmethod
    def _secret(cls, value: str | None) -> str | None:
        return None if value is None else _reference(value)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return value if is_reference(value) else _web(value)


class EmailConfig(_Templated):
    """People, by e-mail."""

    type: Literal["email"]
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str | None = None
    sender: Annotated[str, Field(pattern=_EMAIL)]
    to: Annotated[list[Annotated[str, Field(pattern=_EMAIL)]], Field(min_length=1, max_length=50)]
    ca_file: Path | None = None

    @field_validator("password")
    @classmethod
    def _password(cls, value: str | None) -> str | None:
        return None if value is None else _reference(value)

    @model_validator(mode="after")
    def _complete(self) -> EmailConfig:
        if bool(self.user) != (self.password is not None):
            raise ValueError("user and password belong together")
        return self


class AppriseConfig(_Templated):
    """What `apprise` knows."""

    type: Literal["apprise"]
    url: str

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _reference(value)


Destination = Annotated[
    AlertmanagerConfig | PagerDutyConfig | SlackConfig | WebhookConfig | EmailConfig | AppriseConfig,
    Field(discriminator="type"),
]


class WatchdogConfig(_Model):
    """An address outside that expects to hear from us, and tells somebody when it does not."""

    url: str
    every_s: Annotated[float, Field(ge=10, le=3600)] = 60

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return value if is_reference(value) else _web(value)


class Destinations(_Model):
    """The whole file."""

    destinations: list[Destination] = []
    allow_internal: list[str] = []
    watchdog: WatchdogConfig | None = None

    @field_validator("allow_internal")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        Guard.allowing(value)
        return value

    @field_validator("destinations")
    @classmethod
    def _names(cls, value: list[Any]) -> list[Any]:
        names = [each.name for each in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two destinations are called {twice[0]}")
        return value

    @property
    def guard(self) -> Guard:
        """Which addresses may be connected to."""
        return Guard.allowing(self.allow_internal)

    def named(self, name: str) -> Destination | None:
        """Find a destination."""
        return next((each for each in self.destinations if each.name == name), None)


def read_destinations(path: Path) -> Destinations:
    """Read the file.

    Raises:
        DocumentError: It cannot be used; one line for each mistake, with file and line.
    """
    return read_document(path, Destinations)


class DestinationFile(KeptFiles[Destinations]):
    """Who is told, as the file says now; as it said before, while it is wrong. Without a file nobody is.

    Args:
        directory: Where it is; None for nowhere.

    Raises:
        DocumentError: It is wrong at the start.
    """

    def __init__(self, directory: Path | None) -> None:
        path = None if directory is None else directory / FILE

        def listed() -> list[Path]:
            return [path] if path is not None and path.is_file() else []

        super().__init__(listed, lambda: next((read_destinations(each) for each in listed()), Destinations()))


def sender(config: Destination, guard: Guard, allow_internal: Sequence[str]) -> Sender:
    """Build what tells a destination."""
    poster = Poster(guard, getattr(config, "ca_file", None))
    match config:
        case AlertmanagerConfig():
            return Alertmanager(config.url, poster)
        case PagerDutyConfig():
            return PagerDuty(Secret(config.routing_key).reveal, poster, config.url)
        case SlackConfig():
            return Slack(Secret(config.url).reveal, poster, config.title, config.text)
        case WebhookConfig():
            references = [config.secret, *([config.next_secret] if config.next_secret else [])]
            return Webhook(
                lambda: revealed(config.url), lambda: [Secret(each).reveal() for each in references], poster
            )
        case EmailConfig():
            server = Server(config.host, config.port, config.tls, config.user, config.ca_file)
            password = Secret(config.password).reveal if config.password is not None else None
            return Mail(
                server,
                config.sender,
                config.to,
                guard,
                password=password,
                title=config.title,
                text=config.text,
            )
        case AppriseConfig():
            return Service(Secret(config.url).reveal, allow_internal, config.title, config.text)


def lanes(destinations: Destinations) -> dict[str, Lane]:
    """Build what delivers, by the names of the destinations."""
    built: dict[str, Lane] = {}
    for config in destinations.destinations:
        tells = sender(config, destinations.guard, destinations.allow_internal)
        resend = tells.resend if isinstance(tells, Alertmanager) else None
        built[config.name] = Lane(tells, config.per_minute, config.give_up_after, resend, RESEND_S)
    return built


def watchdog(destinations: Destinations, healthy: Callable[[], bool]) -> Watchdog | None:
    """Build the dead man's switch, if there is one.

    Args:
        destinations: The file.
        healthy: See `Watchdog`.
    """
    config = destinations.watchdog
    if config is None:
        return None
    return Watchdog(lambda: revealed(config.url), Poster(destinations.guard), healthy, config.every_s)


def revealed(value: str) -> str:
    """Read what may be a reference.

    Raises:
        MissingSecretError: It is one, and leads nowhere.
    """
    return Secret(value).reveal() if is_reference(value) else value


def is_reference(value: object) -> bool:
    """Whether a value of the file points to a secret."""
    return isinstance(value, str) and value.startswith(("env:", "file:"))


def _reference(value: str) -> str:
    return Secret(value).reference


def _web(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address begins with https:// (http:// for what is under allow_internal)")
    if parts.password:
        raise ValueError("an address with a password in it is a secret: give it as env:NAME or file:PATH")
    return value
