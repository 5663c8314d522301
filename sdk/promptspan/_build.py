"""From a finished call to its span: read the response, decide what kind of span it is, write attributes.

Runs on the pipeline's thread, calls in the order in which they finished: inner calls before those around
them.
"""

from __future__ import annotations

import hashlib
import re
import time
from typing import TYPE_CHECKING, Any

from . import _attributes as a
from . import _content, _flags, _outcome
from ._call_texts import CallTexts
from ._guard import Guard
from ._host import server_of
from ._kinds import is_list
from ._plain import plain
from ._readers._fields import count, fields_of, text
from ._sketch import sketch_of
from ._span import (
    KIND_CLIENT,
    KIND_INTERNAL,
    NOTHING_SHARED,
    STATUS_ERROR,
    STATUS_OK,
    STATUS_UNSET,
    FinishedSpan,
    Shared,
    SpanEvent,
)

if TYPE_CHECKING:
    from ._call import Call
    from ._host import Server
    from ._reading import Reading, Usage
    from ._span import AttributeValue

_SERVER = Guard("read server")
_FLAGS = Guard("safety flags")
_CONTENT = Guard("captured content")
_NOTED = Guard("noted attributes")
_SKETCH = Guard("sketch")
_EVENTS = Guard("events")
_ERROR = Guard("error message")

_CODE = re.compile(r"[\w.-]{1,64}\Z")
_MOST_FLAGS = 32
_MOST_KINDS = 256  # of one function
_COUNTS = (
    ("input_tokens", a.GEN_AI_USAGE_INPUT_TOKENS),
    ("output_tokens", a.GEN_AI_USAGE_OUTPUT_TOKENS),
    ("cache_read_tokens", a.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS),
    ("cache_write_tokens", a.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS),
    ("cache_write_1h_tokens", a.PROMPTSPAN_USAGE_CACHE_WRITE_1H_INPUT_TOKENS),
    ("reasoning_tokens", a.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS),
    ("audio_input_tokens", a.GEN_AI_USAGE_AUDIO_INPUT_TOKENS),
    ("audio_output_tokens", a.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS),
    ("image_input_tokens", a.GEN_AI_USAGE_IMAGE_INPUT_TOKENS),
    ("image_output_tokens", a.GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS),
)
_STATUS_PATHS = (("status_code",), ("response", "ResponseMetadata", "HTTPStatusCode"), ("code",))
_USER_HASH_DIGITS = 32
_STATUS_CODES = {
    a.STATUS_VALUE_OK: STATUS_OK,
    a.STATUS_VALUE_ERROR: STATUS_ERROR,
    a.STATUS_VALUE_CANCELLED: STATUS_UNSET,
    a.STATUS_VALUE_INCOMPLETE: STATUS_UNSET,
}


def build_span(call: Call) -> FinishedSpan:
    """The span of a finished call."""
    outcome = call.outcome or _outcome.Outcome(call)
    reading, status, wrapper = outcome.reading, outcome.status, outcome.wrapper
    arguments, usage = outcome.arguments, outcome.usage
    server = None
    if call.client is not None:
        with _SERVER:
            server = server_of(call.client)
    redactor = _content.Redactor(call.recorder.screen, outcome.clean)
    name, shared = _shared(call, reading, usage, server, status, redactor=redactor, wrapper=wrapper)
    attributes: dict[str, AttributeValue] = {}
    _own(call, reading, usage, attributes, wrapper)
    texts = _captured(call, arguments, reading, redactor) if call.capture else None
    message = _error_message(call, redactor) if status == a.STATUS_VALUE_ERROR else ""
    if call.prompt is not None:
        _template(call, attributes, redactor)
    if call.noted:
        _noted(call, attributes, shared, redactor)
    events = _events(call, redactor) if call.events else []
    finished = status == a.STATUS_VALUE_OK
    _safety(call, arguments, reading, redactor, attributes, finished=finished, wrapper=wrapper)
    if reading is not None and not wrapper and call.spec.capture and call.recorder.config.send_sketches:
        with _SKETCH:
            if sketch := sketch_of(reading.text):
                attributes[a.PROMPTSPAN_OUTPUT_SKETCH] = sketch
    if call.noted and not attributes.keys().isdisjoint(shared.attributes):
        attributes, shared = {**shared.attributes, **attributes}, NOTHING_SHARED
    if texts:
        attributes.update(texts)  # last: they are the longest
    return FinishedSpan(
        name,
        KIND_INTERNAL if wrapper else KIND_CLIENT,
        call.trace_id,
        call.span_id,
        call.parent_span_id,
        int(call.trace_flags),
        call.trace_state.to_header() if call.trace_state else "",
        call.start_unix_ns,
        call.start_unix_ns + max(0, call.end_ns - call.start_ns),
        attributes,
        events,
        _STATUS_CODES[status],
        message,
        shared,
    )


def _shared(
    call: Call,
    reading: Reading | None,
    usage: Usage | None,
    server: Server | None,
    status: str,
    *,
    redactor: _content.Redactor,
    wrapper: bool,
) -> tuple[str, Shared]:
    """The span's name and the attributes that it has in common with others of its kind."""
    spec, prompt = call.spec, call.prompt
    kind = (
        (prompt.name, prompt.version, prompt.template_hash) if prompt and not spec.prompt else None,
        status,
        wrapper,
        call.streaming,
        server,
        _outcome.request_model(call, reading),
        _outcome.error_type(call, status),
        usage is not None and (usage.estimated if usage.known else None),
        (reading.operation, reading.provider, reading.model, reading.finish_reasons, reading.service_tier)
        if reading is not None
        else None,
    )
    known = spec.kinds.get(kind)
    if known is None:
        if len(spec.kinds) >= _MOST_KINDS:
            spec.kinds.clear()
        known = spec.kinds[kind] = _of_kind(
            call, reading, usage, server, status, redactor=redactor, wrapper=wrapper
        )
    return known


def _of_kind(
    call: Call,
    reading: Reading | None,
    usage: Usage | None,
    server: Server | None,
    status: str,
    *,
    redactor: _content.Redactor,
    wrapper: bool,
) -> tuple[str, Shared]:
    spec = call.spec
    operation = spec.operation or (reading.operation if reading else a.OPERATION_CHAT)
    if wrapper:
        operation = a.OPERATION_INVOKE_WORKFLOW
    requested = _outcome.request_model(call, reading)
    answered = reading.model if reading else None
    of_host = server.provider if server else ""
    attributes: dict[str, Any] = {
        a.GEN_AI_OPERATION_NAME: operation,
        a.GEN_AI_PROVIDER_NAME: of_host or (reading.provider if reading else ""),
        a.GEN_AI_REQUEST_MODEL: requested,
        a.GEN_AI_RESPONSE_MODEL: answered,
        **call.named(),
        a.PROMPTSPAN_STATUS: status,
        a.ERROR_TYPE: _outcome.error_type(call, status),
        a.GEN_AI_RESPONSE_FINISH_REASONS: reading.finish_reasons if reading else (),
        a.GEN_AI_REQUEST_STREAM: True if call.streaming else None,
        a.SERVER_ADDRESS: server.address if server else None,
        a.SERVER_PORT: server.port if server else None,
        **spec.static,
    }
    if wrapper:
        attributes[a.GEN_AI_WORKFLOW_NAME] = spec.prompt_name
    else:
        attributes[a.PROMPTSPAN_USAGE_SOURCE] = _usage_source(usage)
        attributes[a.PROMPTSPAN_SERVICE_TIER] = reading.service_tier if reading else None
    present = {key: value for key, value in attributes.items() if value not in (None, "", ())}
    for key in a.IDENTITY_KEYS & present.keys():
        present[key] = redactor.attribute(key, present[key])
    requested = present.get(a.GEN_AI_REQUEST_MODEL)
    shown = spec.prompt_name if wrapper else requested or answered or ""
    return f"{operation} {shown}".rstrip(), Shared(present)


def _own(
    call: Call,
    reading: Reading | None,
    usage: Usage | None,
    attributes: dict[str, AttributeValue],
    wrapper: bool,
) -> None:
    """What only this call has; first what a row cannot do without, as encoders cut from the end."""
    if usage is not None and usage.known:
        for name, key in _COUNTS:
            known = getattr(usage, name)
            if known is not None:
                attributes[key] = known
    if reading is not None:
        if reading.response_id:
            attributes[a.GEN_AI_RESPONSE_ID] = reading.response_id
        if reading.reported_cost_usd is not None and not wrapper:
            attributes[a.PROMPTSPAN_COST_REPORTED_USD] = format(reading.reported_cost_usd, "f")
        for name, took_ms in reading.timings_ms.items():
            attributes[f"{a.PROMPTSPAN_SERVER_TIMING_PREFIX}{name}_ms"] = took_ms
    if call.first_chunk_ns:
        attributes[a.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = (call.first_chunk_ns - call.start_ns) / 1e9
    if call.exception is not None:
        with _SERVER:
            code = _http_status(call.exception)
            if code is not None:
                attributes[a.HTTP_RESPONSE_STATUS_CODE] = code


def _usage_source(usage: Usage | None) -> str:
    if usage is None or not usage.known:
        return a.USAGE_SOURCE_MISSING
    return a.USAGE_SOURCE_ESTIMATED if usage.estimated else a.USAGE_SOURCE_PROVIDER


def _http_status(exc: BaseException) -> int | None:
    """The status in an error of a client: of most, of botocore, of google-genai."""
    found = (count(exc, *path) for path in _STATUS_PATHS)
    return next((status for status in found if status is not None and 100 <= status < 600), None)


def _error_message(call: Call, redactor: _content.Redactor) -> str:
    """The exception's text where content may leave, else its codes: errors quote prompts."""
    exc = call.exception
    if exc is None:
        return ""
    with _ERROR:
        if call.capture and exc.args and isinstance(exc.args[0], str):
            return redactor.text(str.__str__(exc.args[0]))
    code = text(exc, "code")
    named = code if code is not None and _CODE.match(code) else None
    codes = [str(code) for code in (_http_status(exc), named) if code is not None]
    return " ".join([type(exc).__qualname__, *codes])


def _safety(
    call: Call,
    arguments: dict[str, Any],
    reading: Reading | None,
    redactor: _content.Redactor,
    attributes: dict[str, AttributeValue],
    *,
    finished: bool,
    wrapper: bool,
) -> None:
    """The flags, whether texts leave or not, and which detectors gave no answer."""
    flags: set[str] = set()
    skipped: tuple[str, ...] = ()
    with _FLAGS:
        if not (wrapper and call.inner_calls):  # what is inside and ours is flagged itself
            response = fields_of(call.response if call.response is not None else call.result)
            wants_json = call.spec.expect_json or _flags.wants_json(arguments, response, call.request)
            flags |= _flags.of_reading(reading, finished=finished, wants_json=wants_json)
            flags |= _flags.of_provider(response, call.exception)
            given = _flags.of_input(
                {**arguments, **_content.variables(call, arguments)}, call.rendered, redactor
            )
            if reading is not None:
                _flags.of_output(reading, redactor)
            if call.recorder.screen.detectors:
                raised, skipped = _flags.of_detectors(call.recorder.screen, _texts(call, given, reading))
                flags |= raised
    flags |= redactor.found
    flags.update(call.flags or ())
    if flags:
        attributes[a.PROMPTSPAN_SAFETY_FLAGS] = tuple(sorted(flags)[:_MOST_FLAGS])
    if skipped:
        attributes[a.PROMPTSPAN_SAFETY_SKIPPED] = skipped


def _texts(call: Call, given: list[str], reading: Reading | None) -> CallTexts:
    identity = call.named()
    return CallTexts(
        input="\n".join(given),
        output=reading.text if reading is not None else "",
        prompt=str(identity.get(a.GEN_AI_PROMPT_NAME, "")),
        version=str(identity.get(a.GEN_AI_PROMPT_VERSION, "")),
        feature=str(identity.get(a.PROMPTSPAN_FEATURE, "")),
    )


def _template(call: Call, attributes: dict[str, AttributeValue], redactor: _content.Redactor) -> None:
    prompt, recorder = call.prompt, call.recorder
    if (
        prompt is None
        or not prompt.template
        or not prompt.share_template
        or not recorder.config.send_templates
    ):
        return
    if recorder.templates.due(prompt, time.monotonic()):
        attributes[a.PROMPTSPAN_PROMPT_TEMPLATE] = redactor.own(prompt.template)
        if prompt.description:
            attributes[a.PROMPTSPAN_PROMPT_DESCRIPTION] = redactor.own(prompt.description)


def _noted(
    call: Call, attributes: dict[str, AttributeValue], shared: Shared, redactor: _content.Redactor
) -> None:
    """What the user's code noted, redacted. It may say more than we know, and never less."""
    for key, value in list((call.noted or {}).items()):
        with _NOTED:
            noted = _attribute(value)
            if key == a.USER_ID:
                noted = _user(noted, call)
            else:
                key, noted = redactor.name(key), redactor.attribute(key, noted)  # noqa: PLW2901
            known = attributes.get(key, shared.attributes.get(key))
            # A count that turned into a text would be no count any more.
            if known is None or type(known) is type(noted):
                attributes[key] = noted


def _user(noted: AttributeValue, call: Call) -> str:
    if not call.recorder.config.hash_user_ids:
        return str(noted)
    return hashlib.sha256(str(noted).encode("utf-8", "surrogatepass")).hexdigest()[:_USER_HASH_DIGITS]


def _attribute(value: Any) -> AttributeValue:
    clean = plain(value)
    if is_list(clean):
        return tuple(item if isinstance(item, str) else str(item) for item in clean)
    return clean if isinstance(clean, (str, bool, int, float)) else str(clean)


def _name(name: object) -> str:
    return str.__str__(name) if isinstance(name, str) else f"<{type(name).__name__}>"


def _captured(
    call: Call, arguments: dict[str, Any], reading: Reading | None, redactor: _content.Redactor
) -> dict[str, AttributeValue]:
    """The texts that may leave, redacted."""
    texts: dict[str, AttributeValue] = {}
    with _CONTENT:
        for name, value in _content.variables(call, arguments).items():
            texts[a.GEN_AI_PROMPT_VARIABLE_PREFIX + name] = redactor.text(str(plain(value)))
    with _CONTENT:
        given = _content.input_messages(call, arguments)
        if given:
            texts[a.GEN_AI_INPUT_MESSAGES] = redactor.messages(given)
    with _CONTENT:
        if reading is not None and reading.output:
            texts[a.GEN_AI_OUTPUT_MESSAGES] = redactor.messages(reading.output)
    return texts


def _events(call: Call, redactor: _content.Redactor) -> list[SpanEvent]:
    events: list[SpanEvent] = []
    for event in call.events or ():
        with _EVENTS:
            clean = {
                redactor.name(_name(key)): redactor.attribute(_name(key), _attribute(value))
                for key, value in event.attributes.items()
            }
            events.append(SpanEvent(redactor.text(_name(event.name)), event.time_unix_nano, clean))
    return events
