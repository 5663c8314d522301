from __future__ import annotations

from typing import TYPE_CHECKING

from schema.bodies import LogRecord, Span, Value, logs, traces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schema.conftest import Store

_EVALUATION: Mapping[str, Value] = {
    "gen_ai.evaluation.name": "relevance",
    "gen_ai.evaluation.score.value": 0.75,
    "gen_ai.evaluation.score.label": "good",
    "gen_ai.evaluation.explanation": "on the point",
    "gen_ai.response.id": "chatcmpl-1",
}
_SCORES = "SELECT name, value, label, explanation, response_id, trace_id, span_id, service FROM scores FINAL"


def test_a_standard_evaluation_event_is_a_score_of_its_span(store: Store) -> None:
    record = LogRecord(_EVALUATION, "gen_ai.evaluation.result", trace_id="ab" * 16, span_id="cd" * 8)
    store.land(logs(record, LogRecord({"other": 1}, "something.else", body="text")), signal="logs")
    assert store.rows(_SCORES) == [
        ("relevance", 0.75, "good", "on the point", "chatcmpl-1", "ab" * 16, "cd" * 8, "inbox")
    ]


def test_our_sdks_score_names_the_call_that_it_judges(store: Store) -> None:
    attributes: dict[str, Value] = {
        **_EVALUATION,
        "promptspan.score.trace_id": "ab" * 16,
        "promptspan.score.span_id": "cd" * 8,
    }
    store.land(traces(Span(attributes, name="gen_ai.evaluation.result")))
    assert store.rows(_SCORES) == [
        ("relevance", 0.75, "good", "on the point", "chatcmpl-1", "ab" * 16, "cd" * 8, "inbox")
    ]
    assert store.value("SELECT count() FROM llm_calls") == 0


def test_a_score_sent_twice_is_one_and_a_label_alone_is_enough(store: Store) -> None:
    body = logs(
        LogRecord(
            {"gen_ai.evaluation.name": "thumbs", "gen_ai.evaluation.score.label": "down"},
            "gen_ai.evaluation.result",
        )
    )
    store.land(body, signal="logs")
    store.land(body, signal="logs")
    assert store.rows("SELECT name, value, label FROM scores FINAL") == [("thumbs", None, "down")]


def test_an_impossible_score_is_null(store: Store) -> None:
    record = LogRecord(
        {**_EVALUATION, "gen_ai.evaluation.score.value": float("nan")}, "gen_ai.evaluation.result"
    )
    store.land(logs(record), signal="logs")
    assert store.rows("SELECT value, label FROM scores") == [(None, "good")]


def test_the_sdks_losses_are_the_latest_numbers_of_each_process(store: Store) -> None:
    chat: dict[str, Value] = {"gen_ai.operation.name": "chat"}
    for emitted, dropped in ((10, 0), (25, 3)):
        resource: dict[str, Value] = {
            "service.name": "inbox",
            "service.instance.id": "process-1",
            "promptspan.sdk.emitted": emitted,
            "promptspan.sdk.delivered": emitted - dropped,
            "promptspan.sdk.dropped": dropped,
            "promptspan.sdk.dropped.queue_full": dropped,
        }
        store.land(traces(Span(chat), Span(chat), resource=resource))
    store.land(traces(Span(chat)))
    assert store.rows("SELECT service, instance_id, emitted, delivered, dropped FROM sdk_losses FINAL") == [
        ("inbox", "process-1", 25, 22, {"queue_full": 3})
    ]


_CHAT: Mapping[str, Value] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1,
    "gen_ai.usage.output_tokens": 1,
    "gen_ai.prompt.name": "summarise",
}


def test_a_score_meets_its_call_by_span_or_by_response_id(store: Store) -> None:
    by_span = Span({**_CHAT, "gen_ai.prompt.version": "1", "gen_ai.response.id": "r-1"})
    by_response = Span({**_CHAT, "gen_ai.prompt.version": "2", "gen_ai.response.id": "r-2"})
    around = Span(
        {**_CHAT, "gen_ai.operation.name": "invoke_workflow", "gen_ai.response.id": "r-2"}, name="around"
    )
    store.land(traces(by_span, by_response, around, Span(_CHAT)))
    scored: Mapping[str, Value] = {"gen_ai.evaluation.name": "helpful", "gen_ai.evaluation.score.value": 1.0}
    store.land(
        traces(
            Span(
                {
                    **scored,
                    "promptspan.score.trace_id": by_span.trace_id,
                    "promptspan.score.span_id": by_span.span_id,
                    "gen_ai.response.id": "r-1",
                },
                name="gen_ai.evaluation.result",
            ),
            Span({**scored, "gen_ai.response.id": "r-2"}, name="gen_ai.evaluation.result"),
            Span({**scored, "gen_ai.response.id": "nobody's"}, name="gen_ai.evaluation.result"),
        )
    )
    assert store.rows(
        "SELECT prompt_version, score, score_value, response_id, span_id FROM call_scores "
        "WHERE ts > now() - INTERVAL 1 YEAR ORDER BY prompt_version"
    ) == [
        ("1", "helpful", 1.0, "r-1", by_span.span_id),
        ("2", "helpful", 1.0, "r-2", by_response.span_id),
    ]
    assert store.rows("SELECT trace_id, span_id FROM scores FINAL WHERE response_id = 'r-2'") == [("", "")]
