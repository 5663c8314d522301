"""What is in force now: the configuration, the pipeline behind it, and the functions that users end with."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, cast

from ._config import (
    DEFAULT_HOOK_BUDGET_S,
    DEFAULT_SPOOL,
    Config,
    DefaultSpool,
    environment_names_endpoint,
    read_config,
)
from ._guard import Guard
from ._open_calls import end_open_calls
from ._process import close_at_exit, watch_forks
from ._prompt import SentTemplates
from ._screen import Screen
from ._version import VERSION

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Mapping
    from typing import Protocol

    from opentelemetry.sdk.trace.export import SpanExporter

    from ._call_texts import CallTexts
    from ._span import AttributeValue, FinishedSpan, Note
    from ._stats import Stats

    class Sink(Protocol):
        """Where notes go; the pipeline."""

        def submit(self, note: Note) -> None: ...
        def flush(self, timeout_s: float) -> bool: ...
        def shutdown(self, timeout_s: float) -> bool: ...
        def stats(self) -> Stats: ...


_log = logging.getLogger("promptspan")
_FIRST_USE = Guard("first use")
_SHUTDOWN_S = 2.0


class Recorder:
    """A configuration in force and the pipeline that takes its notes.

    Attributes:
        config: What was configured.
        sink: Takes finished calls.
        submit: ``sink.submit``, bound once.
        capture: Whether content may be captured.
        screen: What looks at texts.
        templates: Which templates were sent.
    """

    __slots__ = ("capture", "config", "screen", "sink", "submit", "templates")

    def __init__(self, config: Config, sink: Sink) -> None:
        self.config = config
        self.sink = sink
        self.submit = sink.submit
        self.capture = config.capture_content
        self.screen = Screen(config)
        self.templates = SentTemplates(config.template_interval_s)


class _State:
    """The recorder in force, for the whole process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.settled = False
        self.recorder: Recorder | None = None
        self.ended: Recorder | None = None  # shut down; its counts can still be asked for
        self.held: Sink | None = None

    def after_fork(self) -> None:
        """In a forked child: calls that the parent began are the parent's to send."""
        self.lock = threading.Lock()
        inherited = self.recorder
        if inherited is not None:
            self.recorder = Recorder(inherited.config, inherited.sink)
            inherited.submit = _ignore


def _ignore(note: Note) -> None:
    """Submit nothing."""


_state = _State()


def active_recorder() -> Recorder | None:
    """The recorder in force, or ``None`` if nothing is recorded."""
    if _state.settled:
        return _state.recorder
    return _first_use()


def _first_use() -> Recorder | None:
    """A decorated function was called before ``configure()``: the environment decides."""
    with _FIRST_USE:
        if environment_names_endpoint():
            try:
                _install(read_config(), only_first=True)
            except ValueError as error:  # it names the variable that has no sense
                _log.error("promptspan records nothing: %s", error)
        else:
            with _state.lock:
                if not _state.settled:
                    _state.settled = True
                    _log.info(
                        "promptspan records nothing: call promptspan.configure(), "
                        "or set PROMPTSPAN_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT"
                    )
    _state.settled = True
    return _state.recorder


def _install(config: Config, *, only_first: bool = False) -> None:
    with _state.lock:
        if only_first and _state.settled:
            return
        previous = _state.recorder
        _state.recorder = Recorder(config, _pipeline(config)) if config.enabled else None
        _state.settled = True
        watch_forks(_state)
        close_at_exit(end_open_calls)
    if previous is not None:
        if previous.sink is not _state.held:
            previous.sink.shutdown(_SHUTDOWN_S)
        previous.screen.close()


@contextmanager
def held_recorder(recorder: Recorder) -> Generator[None]:
    """Put a recorder in force whose sink gets everything, whatever is configured meanwhile (tests)."""
    with _state.lock:
        before = _state.settled, _state.recorder, _state.held, _state.ended
        _state.settled, _state.recorder, _state.held = True, recorder, recorder.sink
    try:
        yield
    finally:
        with _state.lock:
            inside = cast("Recorder | None", _state.recorder)  # of an application that configured itself
            _state.settled, _state.recorder, _state.held, _state.ended = before
        recorder.screen.close()
        if inside is not None:
            inside.screen.close()


def _pipeline(config: Config) -> Sink:
    if _state.held is not None:
        return _state.held
    from ._pipeline import Pipeline  # late: importing promptspan loads no transport
    from ._transport_config import TransportConfig, default_spool_dir

    spool = config.spool
    if isinstance(spool, DefaultSpool):
        spool = default_spool_dir()
    return Pipeline(
        TransportConfig(
            endpoint=config.endpoint,
            headers=config.headers,
            resource=config.resource,
            spool_dir=spool,
            spool_max_bytes=config.spool_max_bytes,
            exporter=config.exporter,
            look_ahead=_look_ahead,
            mirror=_to_own_provider(config),
            sdk_version=VERSION,
        )
    )


def _look_ahead(notes: list[Note]) -> None:
    _background()(notes)


@cache
def _background() -> Callable[[list[Note]], None]:
    from ._outcome import look_ahead  # late: the caller's path needs none of it

    return look_ahead


def _to_own_provider(config: Config) -> Callable[[FinishedSpan], object]:
    """An application with a tracer provider of its own sees our spans there as well."""
    from . import _others

    hidden = None if config.capture_content else _others.is_content

    def mirror(span: FinishedSpan) -> None:
        provider = _others.provider()
        if provider is not None:
            from ._export import emit_to_provider

            emit_to_provider(span, provider, VERSION, hidden)

    return mirror


def configure(
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
) -> None:
    """Say where spans go and what may be in them; a second call replaces the first.

    What is not given comes from the environment, read now: ``OTEL_SERVICE_NAME``,
    ``OTEL_RESOURCE_ATTRIBUTES``, ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_HEADERS`` (and their
    ``_TRACES_`` forms), ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``, ``OTEL_SDK_DISABLED``,
    ``PROMPTSPAN_ENDPOINT``, ``PROMPTSPAN_TOKEN``, ``PROMPTSPAN_ENVIRONMENT``, ``PROMPTSPAN_SPOOL`` (a
    directory or ``off``), ``PROMPTSPAN_SEND_TEMPLATES``,
    ``PROMPTSPAN_SEND_SKETCHES`` and ``PROMPTSPAN_ENABLED``.

    Without ``configure()`` decorated functions work and nothing is recorded, unless the environment names an
    endpoint. Nothing is opened or started before the first span.

    Args:
        service_name: Name of this application.
        service_version: Its version.
        environment: production, staging and so on.
        endpoint: Base URL of an OTLP/HTTP receiver (``/v1/traces`` is appended), default
            http://127.0.0.1:4318.
        headers: Sent with every request, for example ``Authorization``.
        resource: More resource attributes.
        enabled: False records nothing.
        capture_content: Whether texts of prompts and answers leave the process (redacted). Off by default.
        send_templates: Whether templates' texts are sent, so that the dashboard can show what changed. On by
            default: a template is code, not user data.
        send_sketches: Whether each answer's sketch is sent: which of 64 groups the words at its beginning are
            of. It shows that answers use other words than they used to, and no word. On by default; answers
            with few words have none, and functions with ``capture_content=False`` neither.
        hash_user_ids: Whether user ids are sent as a hash only.
        yield_to_others: If another instrumentation traces the call inside a decorated function, the tokens
            are on its span and ours is a wrapper. Say False if those spans go to another backend only.
        redact: Your own redaction of each text, after the built-in rules. If it fails or takes too long, the
            text is withheld.
        redact_patterns: More of what must not leave: patterns in RE2's syntax by name. A match becomes
            ``[name]`` and raises a flag of that name.
        detectors: Functions that are given a call's ``CallTexts`` and say whether it gets the flag that they
            are named by. They run in the background, also where no text leaves.
        hook_budget_s: How long ``redact`` and each detector may take, in seconds. A slow one is skipped, and
            named in ``promptspan.safety.skipped``.
        download_vocabulary: Where a provider tells no usage, tokens are estimated with ``tiktoken``, if it is
            installed and its cache holds a vocabulary, else by length. Say True to let it fetch one.
        exporter: An OpenTelemetry ``SpanExporter`` to use in place of ``endpoint``.
        spool: Directory where spans wait for the network; ``None`` keeps them in memory only.
        spool_max_bytes: Size of that directory at which the oldest spans are dropped, and counted.

    Raises:
        ValueError: An argument or a variable has no sense; the message names it.
    """
    given = locals()  # its parameters are read_config()'s, by name
    _install(read_config(**given))


def flush(timeout_s: float = 5.0) -> bool:
    """Send now what was recorded before.

    Args:
        timeout_s: Longest time to wait.

    Returns:
        True if all of it was settled in time, also when there was nothing to send.
    """
    recorder = _state.recorder
    return True if recorder is None else recorder.sink.flush(timeout_s)


def shutdown(timeout_s: float = _SHUTDOWN_S) -> bool:
    """Stop recording and send what is left. Happens by itself at the end of the process.

    Args:
        timeout_s: Longest time to wait.

    Returns:
        True if nothing is left.
    """
    with _state.lock:
        recorder, _state.recorder = _state.recorder, None
        _state.ended = recorder or _state.ended
        _state.settled = True
    if recorder is None:
        return True
    nothing_left = recorder.sink.shutdown(timeout_s)
    recorder.screen.close()
    return nothing_left


def stats() -> Stats:
    """Where all spans of this process are: emitted = delivered + spooled + queued + dropped (by reason)."""
    recorder = _state.recorder or _state.ended
    if recorder is not None:
        return recorder.sink.stats()
    from ._stats import Stats, Tally

    nothing = Tally(emitted=0, delivered=0, spooled=0, queued=0, dropped={})
    return Stats(emitted=0, delivered=0, spooled=0, queued=0, dropped={}, adopted=nothing, last_error=None)
