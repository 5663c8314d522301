"""Secrets and personal data, put wherever an application can: none on the wire, on disk or in logs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

import promptspan
from promptspan import CallTexts, Prompt, current_span, record_score, traced_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from faults.sink import Sink

# Each with the flag that it must raise. Valid in their check digits, and nobody's.
CANARIES = {
    "zq7nar.ada@mail.example": "pii",
    "4539 1488 0343 6467": "pii",
    "DE75512108001245126199": "pii",
    "457-55-5462": "pii",
    "+49 171 5550 4711": "pii",
    "93.184.216.34": "pii",
    "2606:2800:220:1:248:1893:25c8:1946": "pii",
    "sk-proj-zq7nar7Qm2Xv9Lk4Tz8Rw1Np6Bd3": "secret",
    "sk-ant-api03-zq7nar5Hq8Wd2Jx7Fv4Ks9Mt": "secret",
    "AKIAZQ7NAR7Q2X9LK4TZ": "secret",
    "AIzaZq7nar7Qm2Xv9Lk4Tz8Rw1Np6Bd3Hq8Wd2J": "secret",
    "ghp_zq7nar7Qm2Xv9Lk4Tz8Rw1Np6Bd3Hq8Wd2Jx": "secret",
    "glpat-zq7nar7Qm2Xv9Lk4Tz8R": "secret",
    "xoxb-2847563-zq7nar7Qm2Xv9": "secret",
    "sk_live_zq7nar7Qm2Xv9Lk4Tz8R": "secret",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.zq7nar7Qm2Xv9Lk4Tz8Rw1": "secret",
    "Bearer zq7nar7Qm2Xv9Lk4Tz8Rw1Np6": "secret",
    "postgres://app:zq7nar7Qm2@db.internal/x": "secret",
    "password=zq7nar7Qm2": "secret",
    "-----BEGIN PRIVATE KEY-----\nMIIEzq7nar7Qm2\n-----END PRIVATE KEY-----": "secret",
}
# What of each must be nowhere (a host name or the word "Bearer" may).
HEARTS = [*(text for text in CANARIES if "zq7nar" not in text.lower()), "zq7nar", "ZQ7NAR", "Zq7nar"]


@pytest.fixture
def spool(sink: Sink, tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "spool"
    promptspan.shutdown(5)


def everywhere(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def leaked(data: bytes) -> list[str]:
    return [heart for heart in HEARTS if heart.encode() in data]


def answer(text: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": text}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def live(canary: str) -> None:
    """Put it wherever an application can."""
    prompt = Prompt(name="p", template="Say {{word}}")

    @traced_prompt(prompt=prompt, tags=[canary], variant=canary)
    def ask(word: str, messages: list[Any], model: str) -> Any:
        span = current_span()
        prompt.render(word=word)
        span.set_attribute("app.note", word)
        span.set_attribute(f"app.{word}", [word, {"deep": word}])
        span.annotate(
            feature=word, tenant=word, session_id=word, conversation_id=word, user_id=word, fallback_of=word
        )
        trace.get_current_span().add_event(f"seen {word}", {"what": word, word: "x"})
        record_score("good", 1.0, label=word, explanation=f"because of {word}")
        return answer(f"You said {word}.")

    @traced_prompt(prompt="fails")
    def fail(word: str) -> Any:
        raise ValueError(f"no such thing: {word}")

    @traced_prompt(prompt="streams")
    def stream(word: str) -> Iterator[str]:
        half = len(word) // 2
        yield f"... {word[:half]}"
        yield f"{word[half:]} ..."

    ask(canary, [{"role": "tool", "content": {"found": canary}}], model=canary)
    with pytest.raises(ValueError, match="no such thing"):
        fail(canary)
    list(stream(canary))


@pytest.mark.parametrize("capture", [False, True], ids=["text stays", "text leaves"])
def test_no_canary_leaves_and_every_one_is_flagged(
    sink: Sink, spool: Path, caplog: pytest.LogCaptureFixture, capture: bool
) -> None:
    caplog.set_level(logging.DEBUG)

    def nosy(texts: CallTexts) -> bool:
        raise ValueError(texts.input + texts.output)

    for canary, flag in CANARIES.items():
        promptspan.configure(
            service_name="canaries",
            endpoint=sink.endpoint,
            spool=spool,
            capture_content=capture,
            detectors={"nosy": nosy},
        )
        before = len(sink.attempts)
        live(canary)
        assert promptspan.flush(10)
        on_disk = everywhere(spool)
        assert b"gen_ai" in on_disk
        assert leaked(on_disk) == [], canary
        bodies = [received.message for received in sink.attempts[before:]]
        on_wire = b"".join(message.SerializeToString() for message in bodies)
        assert leaked(on_wire) == [], canary
        spans = [
            span
            for message in bodies
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        calls = {
            span.name.split()[0]: {each.key: each.value for each in span.attributes}
            for span in spans
            if not span.name.startswith("gen_ai.evaluation")
        }
        flagged = [
            {value.string_value for value in attributes["promptspan.safety.flags"].array_value.values}
            for attributes in calls.values()
        ]
        assert all(flag in flags for flags in flagged), (canary, flagged)
    assert leaked(caplog.text.encode()) == []
    assert "nosy" in caplog.text


def test_what_tells_calls_apart_still_does(sink: Sink, spool: Path) -> None:
    promptspan.configure(service_name="canaries", endpoint=sink.endpoint, spool=spool)

    @traced_prompt
    def ask(tenant: str) -> Any:
        current_span().annotate(tenant=tenant)
        return answer("x")

    for tenant in ("ada@a.example", "bob@a.example", "ada@a.example", "plain"):
        ask(tenant)
    assert promptspan.flush(10)
    tenants = [
        each.value.string_value
        for received in sink.attempts
        for resource in received.message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        for each in span.attributes
        if each.key == "promptspan.tenant"
    ]
    first, second, third, plain = tenants
    assert first == third != second
    assert first.startswith("[email]#")
    assert plain == "plain"
