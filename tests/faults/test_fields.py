"""Rows 26-29 of the matrix on every public way in: a bad value costs its field, never span or host."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

import promptspan
from promptspan import Prompt, current_span, record_score, traced_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from faults.sink import Sink

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


def completion(response_id: Any = "chatcmpl-1", text: Any = "hi", **more: Any) -> dict[str, Any]:
    """What a provider answers."""
    return {
        "id": response_id,
        "object": "chat.completion",
        "model": "gpt-x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": USAGE,
        **more,
    }


touched: list[tuple[str, threading.Thread]] = []


def _hostile(name: str) -> Callable[..., Any]:
    def method(*args: Any) -> Any:
        del args
        touched.append((name, threading.current_thread()))
        raise RuntimeError(f"{name} was called")

    return method


METHODS = {
    *("str", "repr", "format", "bytes", "int", "float", "index", "bool", "len", "hash"),
    *("eq", "ne", "lt", "le", "gt", "ge", "iter", "contains", "getitem"),
}


def hostile(base: type[Any] = object, *args: Any) -> Any:
    """An object that raises whatever it is asked, and notes who asked it."""
    members = {f"__{name}__": _hostile(name) for name in METHODS if base is object or name != "hash"}
    if base is not object:
        members["__hash__"] = base.__hash__
        members |= {name: _hostile(name) for name in ("keys", "items", "values", "get", "copy", "encode")}
    members["__getattr__"] = _hostile("getattr")
    return type("Hostile", (base,), members)(*args)


def cyclic() -> dict[str, Any]:
    """A dictionary and a list inside each other."""
    value: dict[str, Any] = {"in": []}
    value["in"].append(value)
    return value


def deep(levels: int) -> Any:
    """Nested lists."""
    value: Any = "end"
    for _ in range(levels):
        value = [value]
    return value


VALUES: dict[str, Callable[[], Any]] = {
    "hostile object": hostile,
    "hostile string": lambda: hostile(str, "text"),
    "hostile integer": lambda: hostile(int, 7),
    "hostile number": lambda: hostile(float, 0.5),
    "hostile list": lambda: hostile(list, [1, 2]),
    "hostile dictionary": lambda: hostile(dict, {"a": 1}),
    "lone surrogate": lambda: "a\ud800b\udfff",
    "nul": lambda: "a\0b",
    "huge integer": lambda: 1 << 5_000_000,
    "over 64 bits": lambda: 1 << 64,
    "not a number": lambda: float("nan"),
    "infinite": lambda: float("-inf"),
    "cyclic": cyclic,
    "deep": lambda: deep(5_000),
    "five megabytes": lambda: "x" * 5_000_000,
    "a million items": lambda: [1] * 1_000_000,
    "bytes": lambda: b"\xff\xfe",
    "class": lambda: type,
    "complex": lambda: 1j,
    "surrogate key": lambda: {"\udcff": "\udcff", 3: {1: 2}, ("a",): None},
    "nothing": lambda: None,
}


def in_call(say: Callable[[], Any]) -> None:
    """Say something inside of a call that goes well."""

    @traced_prompt(name="way", version="7")
    def ask() -> Any:
        say()
        return completion()

    ask()


def raising(value: Any) -> None:
    @traced_prompt(name="way", version="7")
    def ask() -> Any:
        current_span().set_response(completion())
        raise LookupError(value)

    with suppress(LookupError):
        ask()


def raising_with_codes(value: Any) -> None:
    class CodedError(Exception):
        status_code = code = completion = message = value

    @traced_prompt(name="way", version="7")
    def ask() -> Any:
        current_span().set_response(completion())
        raise CodedError(value, value)

    with suppress(CodedError):
        ask()


def argument(value: Any) -> None:
    @traced_prompt(name="way", version="7")
    def ask(first: Any, *rest: Any, model: Any = None, **named: Any) -> Any:
        return completion()

    ask(value, value, model=value, messages=value)
    ask([{"role": value, "content": value}], messages=[{"role": "user", "content": value}])


def argument_of_a_method(value: Any) -> None:
    class Client:
        def __init__(self) -> None:
            self.client = value

        def __getattribute__(self, name: str) -> Any:
            if name == "__dict__":
                raise RuntimeError("not your business")
            return object.__getattribute__(self, name)

        @traced_prompt(name="way", version="7")
        def ask(self) -> Any:
            assert self.client is value
            return completion()

    Client().ask()


def returned(value: Any) -> None:
    @traced_prompt(name="way", version="7")
    def ask() -> Any:
        current_span().set_usage(input_tokens=11, output_tokens=5)
        return value

    assert ask() is value


def yielded(value: Any) -> None:
    @traced_prompt(name="way", version="7")
    def ask() -> Iterator[Any]:
        current_span().set_usage(input_tokens=11, output_tokens=5)
        yield value
        yield "text"

    assert next(iter(ask())) is value


def rendered(value: Any) -> None:
    prompt = Prompt("way", "Hello {{name}}", version="7")
    text = value if type(value) is str else "x"
    in_call(lambda: prompt.render(name=text))


def events(value: Any) -> None:
    def say() -> None:
        span = trace.get_current_span()
        span.set_attribute("k", value)
        span.set_attribute(value, "v")
        span.set_attributes({"k": value})
        span.set_attributes(value)
        span.add_event("e", {"k": value}, timestamp=value)
        span.add_event(value, value)
        span.record_exception(LookupError(value), attributes={"k": value})
        span.record_exception(value)
        span.set_status(value, value)
        span.update_name(value)

    in_call(say)


def handle(value: Any) -> None:
    own: Any = 11 if isinstance(value, int) else value  # a count of the user's own counts

    def say() -> None:
        span: Any = current_span()
        span.set_attribute("k", value)
        span.set_attribute(value, "v")
        span.set_attributes({"k": value, "gen_ai.usage.input_tokens": own})
        span.set_attributes(value)
        span.add_flag(value, "mine")
        span.context(tokens=value, documents=value, stale_s=value, truncated=value)
        span.annotate(feature=value, tenant=value, user_id=value, session_id=value, attempt=value)

    in_call(say)


def model(value: Any) -> None:
    in_call(lambda: current_span().set_model(value))


def response(value: Any) -> None:
    @traced_prompt(name="way", version="7")
    def ask() -> Any:
        current_span().set_response(value)
        current_span().set_usage(input_tokens=11, output_tokens=5, reasoning_tokens=value)

    ask()


def response_fields(value: Any) -> None:
    @traced_prompt(name="way", version="7")
    def ask() -> Any:
        return completion(value, value, model="gpt-x", service_tier=value, system_fingerprint=value)

    ask()


def names(value: Any) -> None:
    if type(value) is str:  # anything else is a mistake that decorating tells at once
        traced_prompt(name="way", version=value, feature=value, tenant=value, tags=[value], variant=value)(
            completion
        )()


def scores(value: Any) -> None:
    with suppress(ValueError):  # what is no score is said; what breaks is not
        record_score("way", 0.5, label=value, explanation=value, response_id=value)
    with suppress(ValueError):
        record_score(value, value, label=value, trace_id=value, span_id=value)


WAYS = [
    argument,
    argument_of_a_method,
    returned,
    yielded,
    raising,
    raising_with_codes,
    rendered,
    events,
    handle,
    model,
    response,
    response_fields,
    names,
    scores,
]


@pytest.fixture(params=[True, False], ids=["captured", "not captured"])
def configured(sink: Sink, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """The SDK as applications have it, sending to the sink."""
    promptspan.configure(
        service_name="fields", endpoint=sink.endpoint, spool=tmp_path, capture_content=request.param
    )
    touched.clear()
    yield
    promptspan.shutdown(10)


def arrived(sink: Sink) -> list[tuple[str, dict[str, Any]]]:
    """Name and attributes of the spans that were stored: what came was valid protobuf, so valid UTF-8."""
    assert promptspan.flush(20)
    return [
        (span.name, {pair.key: pair.value for pair in span.attributes})
        for received in sink.accepted
        for resource in received.message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


@pytest.mark.usefixtures("configured")
def test_no_value_on_any_way_in_costs_more_than_its_field(sink: Sink) -> None:
    for way in WAYS:
        before = promptspan.stats().emitted
        sink.start_over()
        for make in VALUES.values():
            value = make()
            way(value)
            in_call(lambda: None)  # a neighbour
        told = way.__name__
        found = arrived(sink)
        assert not promptspan.stats().dropped, told
        assert promptspan.stats().emitted - before == len(found), told
        for name, facts in found:
            if name.startswith("chat"):
                assert facts["gen_ai.usage.input_tokens"].int_value == 11, (told, facts)
                assert facts["gen_ai.usage.output_tokens"].int_value == 5, (told, facts)
                assert facts["gen_ai.prompt.name"].string_value == "way", (told, facts)
                assert facts["gen_ai.prompt.version"].string_value, (told, facts)
        asked = [name for name, thread in touched if thread is threading.current_thread()]
        assert not asked, (told, asked)
