"""The SDK's configuration: one frozen object, the environment read once."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _attributes as a
from ._version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace.export import SpanExporter

    from ._call_texts import CallTexts
    from ._span import AttributeValue

DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
DEFAULT_HOOK_BUDGET_S = 0.05
_TRACES_PATH = "/v1/traces"
_LONGEST_NAME = 64
_SMALLEST_SPOOL_BYTES = 100_000
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", "none"})


class DefaultSpool:
    """Stands for "the spool where it always is", as ``None`` means "no spool"."""

    def __repr__(self) -> str:
        return "DEFAULT_SPOOL"


DEFAULT_SPOOL = DefaultSpool()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What ``configure()`` decided.

    Attributes:
        endpoint: Base URL of the OTLP/HTTP receiver.
        headers: Sent with every request.
        resource: Describes this process.
        enabled: Whether anything is recorded.
        capture_content: Whether texts of prompts and answers may leave the process.
        send_templates: Whether the text of templates (code, not user data) may leave it.
        send_sketches: Whether it may be told which of 64 groups the words of an answer are of.
        template_interval_s: How long a template that was sent is not sent again.
        hash_user_ids: Whether user ids leave only as a hash.
        yield_to_others: Whether a call that another instrumentation traced is billed there, and not on our
            span.
        redact: Changes every captured text before it leaves; the built-in rules have run before.
        redact_patterns: More of what must not leave, by name, in RE2's syntax.
        detectors: Say whether a call gets a flag, by the flag.
        hook_budget_s: How long ``redact`` and each detector may take for one text or call.
        download_vocabulary: Whether tiktoken may fetch a vocabulary to estimate tokens with.
        exporter: Another way out than ``endpoint``.
        spool: Directory of the disk spool, the default place, or ``None`` for none.
        spool_max_bytes: Size of the spool at which the oldest spans are dropped, and counted.
    """

    endpoint: str = DEFAULT_ENDPOINT
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    resource: Mapping[str, AttributeValue] = field(default_factory=dict[str, "AttributeValue"])
    enabled: bool = True
    capture_content: bool = False
    send_templates: bool = True
    send_sketches: bool = True
    template_interval_s: float = 600.0
    hash_user_ids: bool = True
    yield_to_others: bool = True
    redact: Callable[[str], str] | None = None
    redact_patterns: Mapping[str, str] = field(default_factory=dict[str, str])
    detectors: Mapping[str, Callable[[CallTexts], object]] = field(default_factory=dict[str, Any])
    hook_budget_s: float = DEFAULT_HOOK_BUDGET_S
    download_vocabulary: bool = False
    exporter: SpanExporter | None = None
    spool: Path | DefaultSpool | None = DEFAULT_SPOOL
    spool_max_bytes: int = 256_000_000


def environment_names_endpoint(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says where spans go, so that they are recorded without ``configure()``."""
    return _endpoint(environ) is not None and not _disabled(environ)


def read_config(
    environ: Mapping[str, str] = os.environ,
    *,
    service_name: str | None = None,
    service_version: str | None = None,
    environment: str | None = None,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    resource: Mapping[str, AttributeValue] | None = None,
    enabled: bool | None = None,
    capture_content: bool | None = None,
    send_templates: bool | None = None,
    send_sketches: bool | None = None,
    hash_user_ids: bool = True,
    yield_to_others: bool = True,
    redact: Callable[[str], str] | None = None,
    redact_patterns: Mapping[str, str] | None = None,
    detectors: Mapping[str, Callable[[CallTexts], object]] | None = None,
    hook_budget_s: float = DEFAULT_HOOK_BUDGET_S,
    download_vocabulary: bool = False,
    exporter: SpanExporter | None = None,
    spool: str | os.PathLike[str] | DefaultSpool | None = DEFAULT_SPOOL,
    spool_max_bytes: int = 256_000_000,
) -> Config:
    """Combine arguments with the environment; arguments win.

    Raises:
        ValueError: A variable or an argument has no sense; the message names it.
    """
    return Config(
        endpoint=_base(endpoint or _endpoint(environ) or DEFAULT_ENDPOINT),
        headers=_headers(environ, headers),
        resource=_resource(environ, service_name, service_version, environment, resource),
        enabled=not _disabled(environ) if enabled is None else enabled,
        capture_content=_capture(environ) if capture_content is None else capture_content,
        send_templates=_flag(environ, "PROMPTSPAN_SEND_TEMPLATES", True)
        if send_templates is None
        else send_templates,
        send_sketches=_flag(environ, "PROMPTSPAN_SEND_SKETCHES", True)
        if send_sketches is None
        else send_sketches,
        hash_user_ids=hash_user_ids,
        yield_to_others=yield_to_others,
        redact=_callable("redact", redact),
        redact_patterns=_patterns(redact_patterns),
        detectors=_detectors(detectors),
        hook_budget_s=_budget(hook_budget_s),
        download_vocabulary=download_vocabulary,
        exporter=exporter,
        spool=_spool(environ, spool),
        spool_max_bytes=_spool_size(spool_max_bytes),
    )


def _callable(name: str, function: Any) -> Any:
    if function is not None and not callable(function):
        raise ValueError(f"{name} must be a function, not {type(function).__name__}")
    return function


def _detectors(given: Mapping[str, Callable[[CallTexts], object]] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for flag, function in (given or {}).items():
        if not flag or len(flag) > _LONGEST_NAME:
            raise ValueError(
                f"detectors: a flag needs a name of at most {_LONGEST_NAME} characters, not {flag!r}"
            )
        found[flag] = _callable(f"detectors[{flag!r}]", function)
    return found


def _patterns(given: Mapping[str, str] | None) -> dict[str, str]:
    patterns = dict(given or {})
    for name in patterns:
        if not name or len(name) > _LONGEST_NAME:
            raise ValueError(
                f"redact_patterns: a pattern needs a name of at most {_LONGEST_NAME} characters, not {name!r}"
            )
    if patterns:
        from ._redaction import Scanner  # late: loads google-re2

        Scanner(patterns)
    return patterns


def _budget(seconds: float) -> float:
    if not 0 < seconds <= 10:
        raise ValueError(f"hook_budget_s must be between 0 and 10 seconds, not {seconds}")
    return seconds


def _endpoint(environ: Mapping[str, str]) -> str | None:
    for name in ("PROMPTSPAN_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        value = environ.get(name, "").strip()
        if value:
            return value
    return None


def _base(endpoint: str) -> str:
    """The endpoint without the path that OTLP appends: people copy both forms."""
    endpoint = endpoint.strip().rstrip("/")
    endpoint = endpoint.removesuffix(_TRACES_PATH)
    if not endpoint.startswith(("http://", "https://")):
        raise ValueError(f"endpoint must begin with http:// or https://, not {endpoint!r}")
    return endpoint


def _disabled(environ: Mapping[str, str]) -> bool:
    return _flag(environ, "OTEL_SDK_DISABLED", False) or not _flag(environ, "PROMPTSPAN_ENABLED", True)


def _flag(environ: Mapping[str, str], name: str, default: bool) -> bool:
    value = environ.get(name, "").strip().lower()
    if not value:
        return default
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ValueError(f"{name} must be true or false, not {value!r}")


def _capture(environ: Mapping[str, str]) -> bool:
    # EVENT_ONLY asks for log events, which we do not write: it opens nothing on spans.
    value = environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").strip().upper()
    return value in ("SPAN_ONLY", "SPAN_AND_EVENT", "TRUE")


def _pairs(text: str) -> dict[str, str]:
    """OpenTelemetry's ``key=value,key=value`` with percent-encoded values; what is none of it is skipped."""
    if not text:
        return {}
    from urllib.parse import unquote  # late: importing promptspan loads as little as it can

    pairs: dict[str, str] = {}
    for item in text.split(","):
        key, equals, value = item.partition("=")
        if equals and key.strip():
            pairs[unquote(key.strip())] = unquote(value.strip())
    return pairs


def _headers(environ: Mapping[str, str], given: Mapping[str, str] | None) -> dict[str, str]:
    headers = _pairs(environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
    headers |= _pairs(environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS", ""))
    headers |= given or {}
    token = environ.get("PROMPTSPAN_TOKEN", "").strip()
    if token and not any(name.lower() == "authorization" for name in headers):
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _resource(
    environ: Mapping[str, str],
    service_name: str | None,
    service_version: str | None,
    environment: str | None,
    given: Mapping[str, AttributeValue] | None,
) -> dict[str, AttributeValue]:
    resource: dict[str, AttributeValue] = {
        a.TELEMETRY_SDK_LANGUAGE: "python",
        a.TELEMETRY_DISTRO_NAME: "promptspan",
        a.TELEMETRY_DISTRO_VERSION: VERSION,
        a.PROCESS_PID: os.getpid(),
        **_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")),
        **(given or {}),
    }
    named = (
        (a.SERVICE_NAME, service_name or environ.get("OTEL_SERVICE_NAME", "").strip()),
        (a.SERVICE_VERSION, service_version),
        (a.DEPLOYMENT_ENVIRONMENT_NAME, environment or environ.get("PROMPTSPAN_ENVIRONMENT", "").strip()),
    )
    resource.update({key: value for key, value in named if value})
    resource.setdefault(a.SERVICE_NAME, f"unknown_service:{_program()}")
    return resource


def _program() -> str:
    return Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"


def _spool_size(size_bytes: int) -> int:
    if size_bytes < _SMALLEST_SPOOL_BYTES:
        raise ValueError(f"spool_max_bytes must be at least {_SMALLEST_SPOOL_BYTES}, not {size_bytes}")
    return size_bytes


def _spool(
    environ: Mapping[str, str], given: str | os.PathLike[str] | DefaultSpool | None
) -> Path | DefaultSpool | None:
    if given is None:
        return None
    if not isinstance(given, DefaultSpool):
        return Path(given)
    value = environ.get("PROMPTSPAN_SPOOL", "").strip()
    if value.lower() in _FALSE:
        return None
    return Path(value) if value else DEFAULT_SPOOL
