"""``promptspan.testing``, as the tests of an application use it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import promptspan
from promptspan import CallTexts, current_span, record_score, testing, traced_prompt
from promptspan.testing import capture_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recorded import Recorded

ROOT = Path(__file__).resolve().parents[2]


def answer(text: str = "Four.", **more: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": text}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, "cost": 0.25},
        **more,
    }


@traced_prompt(name="summarise", version="7", feature="inbox", variant="b")
def summarise(text: str, model: str = "gpt-4o") -> Any:
    if text == "fail":
        raise KeyError(text)
    return answer(text)


def test_a_call_has_what_was_recorded_of_it() -> None:
    with capture_spans() as spans:

        @traced_prompt(name="ask")
        def ask(model: str) -> Any:
            spans.clock.advance(0.25)
            current_span().annotate(attempt=2, cached=True, tenant="acme")
            return answer("Write to ada@example.org")

        ask(model="gpt-4o")
    call = spans.one(prompt="ask")
    assert (call.status, call.request_model, call.response_model) == ("ok", "gpt-4o", "gpt-4o-2024-08-06")
    assert (call.input_tokens, call.output_tokens, call.cache_read_tokens) == (12, 3, None)
    assert call.flags == {"pii"}
    assert call.reported_cost_usd == Decimal("0.25")
    assert (call.duration_ms, call.ttft_ms) == (250.0, None)
    assert call.started == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert (call.attempt, call.cached, call.tenant) == (2, True, "acme")
    assert call.output_text == ""
    assert call.attributes["gen_ai.response.id"] == "chatcmpl-1"


def test_ids_and_times_are_the_same_in_every_run() -> None:
    def run() -> list[tuple[str, str, datetime]]:
        with capture_spans() as spans:
            summarise("a")
            spans.clock.advance(1)
            summarise("b")
        return [(call.trace_id, call.span_id, call.started) for call in spans]

    first = run()
    assert run() == first
    assert len({trace_id for trace_id, _, _ in first}) == 2
    with pytest.raises(ValueError, match="does not go back"), capture_spans() as spans:
        spans.clock.advance(-1)


def test_the_only_call_that_is_meant_is_found_or_the_message_lists_all() -> None:
    with capture_spans() as spans:
        summarise("a")
        with pytest.raises(KeyError):
            summarise("fail")
    assert spans.one(status="error").error_type == "KeyError"
    assert [call.status for call in spans.where(prompt="summarise")] == ["ok", "error"]
    assert len(spans) == 2
    words = (
        r"2 calls with prompt='summarise'; recorded were:\n  'summarise' version '7': ok, gpt-4o-2024-08-06\n"
    )
    with pytest.raises(AssertionError, match=words):
        spans.one(prompt="summarise")
    with pytest.raises(AssertionError, match="0 calls with prompt='x'"):
        spans.one(prompt="x")
    with pytest.raises(TypeError, match="a call has no promt; it has attempt, attributes"):
        spans.one(promt="summarise")
    spans.clear()
    with pytest.raises(AssertionError, match=r"0 calls with any call; recorded were:\n  none"):
        spans.one()


def test_streams_scores_and_nesting_are_captured() -> None:
    @traced_prompt(name="stream")
    def stream() -> Iterator[str]:
        yield "a"
        spans.clock.advance(0.5)
        yield "b"

    @traced_prompt(name="outer")
    def outer() -> None:
        summarise("x")
        record_score("helpful", True, explanation="said ada@example.org")

    with capture_spans(capture_content=True) as spans:
        list(stream())
        outer()
        record_score("thumbs", label="down", response_id="r")
    assert spans.one(prompt="stream").duration_ms == 500
    assert spans.one(prompt="stream").streaming
    assert '"content": "ab"' in spans.one(prompt="stream").output_text
    inner, around = spans.one(prompt="summarise"), spans.one(prompt="outer")
    assert (inner.parent_span_id, inner.trace_id) == (around.span_id, around.trace_id)
    assert around.operation == "invoke_workflow"
    helpful, thumbs = spans.scores
    assert (helpful.value, helpful.span_id, helpful.explanation) == (1.0, around.span_id, "said [email]")
    assert (thumbs.value, thumbs.label, thumbs.response_id, thumbs.trace_id) == (None, "down", "r", "")


def test_an_application_that_configures_itself_sends_nothing(tmp_path: Path) -> None:
    before = threading.active_count()
    with capture_spans() as spans:
        promptspan.configure(endpoint="http://192.0.2.1:4318", spool=tmp_path / "spool", capture_content=True)
        summarise("hello")
        assert promptspan.flush(1)
        assert promptspan.stats().delivered == 1
        promptspan.shutdown()
        summarise("after the end")
    assert '"content": "hello"' in spans.one().output_text
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


def test_what_was_configured_before_is_in_force_again(recorded: Recorded) -> None:
    with capture_spans() as outer:
        with capture_spans() as inner:
            summarise("inner")
        summarise("outer")
    summarise("real")
    assert len(inner) == len(outer) == 1
    assert len(recorded.all()) == 1
    assert recorded.one().start_time is not None
    assert recorded.one().start_time != inner.one().started


def test_detectors_and_redaction_can_be_tested() -> None:
    def lark(texts: CallTexts) -> bool:
        return "Lark" in texts.output

    with capture_spans(
        capture_content=True,
        detectors={"lark": lark},
        redact_patterns={"ticket": r"T-\d+"},
        redact=lambda text: text.replace("Lark", "[bird]"),
    ) as spans:
        summarise("Lark T-12")
    assert spans.one().flags == {"lark", "ticket"}
    assert "[bird] [ticket]" in spans.one().output_text


def test_the_public_names_are_these() -> None:
    assert testing.__all__ == ["CapturedCall", "CapturedScore", "CapturedSpans", "Clock", "capture_spans"]
    assert all(hasattr(testing, name) for name in testing.__all__)


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    """Each block under the file name that its first line says, then pytest in a fresh process."""
    section = (
        (ROOT / "docs" / "sdk.md").read_text("utf-8").partition("\n## Testing\n")[2].partition("\n## ")[0]
    )
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", section, re.DOTALL)
    assert {name for name, _ in blocks} == {"inbox.py", "conftest.py", "test_inbox.py"}
    for name, code in blocks:
        (tmp_path / name).write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_without_pytest_it_works_too() -> None:
    code = "import sys, promptspan.testing as t\nwith t.capture_spans(): assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
