from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

import promptspan
from promptspan import CallSpan, current_span, record_score, traced_prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from recorded import Recorded


def everything(span: CallSpan) -> None:
    span.set_attribute("app.a", 1)
    span.set_attributes({"app.b": [1, 2], "app.c": {"d": 1}})
    span.set_model("gpt-5")
    span.set_usage(input_tokens=7, output_tokens=2, cache_read_tokens=3, reasoning_tokens=1)
    span.add_flag("off-topic", "toxic")
    span.context(tokens=900, documents=4, stale_s=86_400.0, truncated=True)
    span.annotate(
        feature="f",
        tenant="t",
        user_id="u",
        session_id="s",
        conversation_id="c",
        variant="b",
        attempt=2,
        cached=False,
        fallback_of="gpt-4o",
    )


def test_all_that_is_said_is_on_the_span(recorded: Recorded) -> None:
    @traced_prompt
    def ask() -> str:
        everything(current_span())
        return "words"

    ask()
    expected: dict[str, Any] = {
        "app.a": 1,
        "app.b": ("1", "2"),
        "app.c": "{'d': 1}",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 1,
        "promptspan.usage.source": "provider",
        "promptspan.safety.flags": ("off-topic", "toxic"),
        "promptspan.context.tokens": 900,
        "promptspan.context.documents": 4,
        "promptspan.context.stale_s": 86_400.0,
        "promptspan.context.truncated": True,
        "promptspan.feature": "f",
        "promptspan.tenant": "t",
        "user.id": hashlib.sha256(b"u").hexdigest()[:32],
        "session.id": "s",
        "gen_ai.conversation.id": "c",
        "promptspan.variant": "b",
        "promptspan.attempt": 2,
        "promptspan.cached": False,
        "promptspan.fallback_of": "gpt-4o",
    }
    attributes = recorded.attributes()
    assert {key: attributes.get(key) for key in expected} == expected


def test_outside_a_call_everything_works_and_does_nothing(recorded: Recorded) -> None:
    everything(current_span())
    current_span().set_response({"id": "x"})
    assert (current_span().trace_id, current_span().span_id) == ("", "")
    assert recorded.all() == []


def test_user_ids_leave_as_they_are_only_if_asked_for(configured: Callable[..., Recorded]) -> None:
    recorded = configured(hash_user_ids=False)

    @traced_prompt
    def ask() -> str:
        current_span().annotate(user_id="ada")
        return "words"

    ask()
    assert recorded.attributes()["user.id"] == "ada"


def test_a_response_that_is_not_returned_can_be_given(recorded: Recorded) -> None:
    @traced_prompt
    def ask() -> str:
        response: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "gpt-4o",
            "choices": [],
            "usage": {"prompt_tokens": 5, "completion_tokens": 6},
        }
        current_span().set_response(response)
        response.clear()
        return "words"

    ask()
    attributes = recorded.attributes()
    assert attributes["gen_ai.usage.input_tokens"] == 5
    assert attributes["gen_ai.response.id"] == "chatcmpl-1"


def test_usage_that_is_said_wins_over_the_responses(recorded: Recorded) -> None:
    @traced_prompt
    def ask() -> Any:
        current_span().set_usage(output_tokens=99, estimated=True)
        return {
            "object": "chat.completion",
            "choices": [],
            "usage": {"prompt_tokens": 5, "completion_tokens": 6},
        }

    ask()
    attributes = recorded.attributes()
    assert attributes["gen_ai.usage.input_tokens"] == 5
    assert attributes["gen_ai.usage.output_tokens"] == 99
    assert attributes["promptspan.usage.source"] == "estimated"


def test_what_is_said_after_the_end_is_not_on_the_span(recorded: Recorded) -> None:
    kept: list[CallSpan] = []

    @traced_prompt
    def ask() -> str:
        kept.append(current_span())
        return "words"

    ask()
    kept[0].set_attribute("app.late", 1)
    assert "app.late" not in recorded.attributes()


def test_a_flood_of_attributes_leaves_the_essential_ones(recorded: Recorded) -> None:
    @traced_prompt(prompt="p", version="1")
    def ask() -> str:
        current_span().set_attributes({f"app.{number}": number for number in range(10_000)})
        current_span().set_usage(input_tokens=1)
        return "words"

    ask()
    attributes = recorded.attributes()
    assert len(attributes) < 160
    assert attributes["gen_ai.usage.input_tokens"] == 1
    assert list(attributes)[:2] == ["gen_ai.operation.name", "gen_ai.prompt.name"]


class TestScores:
    def test_inside_a_call_a_score_belongs_to_it(self, recorded: Recorded) -> None:
        ids: list[str] = []

        @traced_prompt
        def ask() -> str:
            span = current_span()
            ids.extend((span.trace_id, span.span_id))
            record_score("helpful", 0.5, label="meh", explanation="asked ada@example.org")
            return "words"

        ask()
        score = next(span for span in recorded.all() if span.name == "gen_ai.evaluation.result")
        assert dict(score.attributes or {}) == {
            "gen_ai.evaluation.name": "helpful",
            "gen_ai.evaluation.score.value": 0.5,
            "gen_ai.evaluation.score.label": "meh",
            "gen_ai.evaluation.explanation": "asked [email]",
            "promptspan.score.trace_id": ids[0],
            "promptspan.score.span_id": ids[1],
        }
        assert score.parent is not None
        assert f"{score.parent.span_id:016x}" == ids[1]

    def test_later_and_elsewhere_a_score_names_the_response(self, recorded: Recorded) -> None:
        thread = threading.Thread(target=record_score, args=("thumbs", 1), kwargs={"response_id": "resp_1"})
        thread.start()
        thread.join()
        attributes = recorded.attributes()
        assert attributes["gen_ai.response.id"] == "resp_1"
        assert attributes["gen_ai.evaluation.score.value"] == 1.0

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"name": "", "value": 1}, "needs a name"),
            ({"name": "a"}, "a value or a label"),
            ({"name": "a", "value": 1}, "which call"),
            ({"name": "a", "value": float("nan"), "response_id": "r"}, "finite"),
            ({"name": "a", "value": 1, "trace_id": "xyz"}, "32 hexadecimal"),
            ({"name": "a", "value": 1, "trace_id": "ab" * 16, "span_id": "xyz"}, "16 hexadecimal"),
            ({"name": "a", "value": 1, "span_id": "ab" * 8}, "needs its trace_id"),
        ],
    )
    def test_a_score_for_nothing_is_refused(
        self, recorded: Recorded, arguments: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ValueError, match=words):
            record_score(**arguments)
        assert recorded.all() == []
        promptspan.shutdown()
        with pytest.raises(ValueError, match=words):
            record_score(**arguments)
        record_score("a", 1, response_id="r")  # nothing is recorded, and nothing is wrong


def test_context_that_makes_no_sense_is_left_out_and_said_once(
    recorded: Recorded, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptspan._handle._said", set[str]())
    wrong: Any = "many"

    @traced_prompt
    def ask() -> None:
        span = current_span()
        for _ in range(2):
            span.context(tokens=wrong, documents=-1, stale_s=float("nan"), truncated=wrong)
            span.annotate(attempt=0, cached=wrong)
        span.context(documents=3, stale_s=2)

    ask()
    attributes = recorded.attributes()
    assert attributes["promptspan.context.documents"] == 3
    assert attributes["promptspan.context.stale_s"] == 2.0
    assert not {"promptspan.context.tokens", "promptspan.context.truncated", "promptspan.attempt"} & set(
        attributes
    )
    assert caplog.text.count("tokens=<str> makes no sense and is left out") == 1
    assert caplog.text.count("makes no sense") == 6


def test_what_a_call_is_can_be_said_by_the_decorator_and_inside(recorded: Recorded) -> None:
    @traced_prompt(variant="b", attempt=2, cached=False, fallback_of="gpt-5")
    def ask(more: bool) -> None:
        if more:
            current_span().annotate(variant="c", attempt=3, cached=True, fallback_of="gpt-6")

    ask(False)
    ask(True)
    keys = [f"promptspan.{name}" for name in ("variant", "attempt", "cached", "fallback_of")]
    said = [tuple((span.attributes or {})[key] for key in keys) for span in recorded.all()]
    assert said == [("b", 2, False, "gpt-5"), ("c", 3, True, "gpt-6")]
