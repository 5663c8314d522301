"""The sketch of an answer is the same, whether the SDK made it or the store did from the text."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from promptspan._sketch import sketch_of
from schema.bodies import Span, traces

if TYPE_CHECKING:
    from schema.conftest import Store

ANSWER = (
    'The "invoice" you sent on 3 March is overdue:\n\tplease remit \u20ac1,204.50 before Friday\\Saturday,'
    " or reply with gr\u00fc\u00dfe \u00fcber die verz\u00f6gerte Zahlung \u2014"
    " \u8acb\u6c42\u66f8\u306e\u4ef6. Thank you kindly!"
)
_OF_THE_SDK = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
_NO_WORDS = "shorter than eight words"


def _number(text: str) -> int | None:
    sketch = sketch_of(text)
    return None if sketch is None else int(sketch, 16)


def _found(store: Store, *answers: object, key: str = "gen_ai.output.messages") -> list[int | None]:
    spans = [Span({**_OF_THE_SDK, key: answer}) for answer in answers]  # pyright: ignore[reportArgumentType]
    store.land(traces(*spans))
    found = dict(store.rows("SELECT span_id, output_sketch FROM llm_calls FINAL"))
    return [found[span.span_id] for span in spans]


def _texts(drawn: random.Random, count: int) -> list[str]:
    """Words of every script, numbers, escapes and signs, most of them with few letters and some with many."""
    known = [
        "invoice",
        "Overdue",
        "gr\u00fc\u00dfe",
        "remit,",
        '"quoted"',
        "3.5",
        "\\n",
        "a\tb",
        "\u8acb\u6c42\u66f8\u306e\u4ef6",
    ]
    ranges = ((1, 127), (1, 127), (128, 0x7FF), (0x800, 0xD7FF), (0x10000, 0x10FFFF))

    def word() -> str:
        if drawn.random() < 0.5:
            return drawn.choice(known)
        low, high = drawn.choice(ranges)
        return "".join(chr(drawn.randint(low, high)) for _ in range(drawn.randint(0, 12)))

    return [" ".join(word() for _ in range(drawn.randint(0, 120))) for _ in range(count)]


def test_the_store_finds_the_groups_of_any_text_as_the_sdk_does(store: Store) -> None:
    texts = _texts(random.Random(7), 300)
    said = [
        json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": text}]}], ensure_ascii=at % 2 == 0
        )
        for at, text in enumerate(texts)
    ]
    assert _found(store, *said) == [_number(text) for text in texts]


@pytest.mark.parametrize(
    "output",
    [
        ANSWER,
        json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": ANSWER}]}]),
        json.dumps([{"role": "assistant", "content": ANSWER}], ensure_ascii=False, separators=(",", ":")),
        json.dumps({"content": [{"type": "text", "text": ANSWER}], "stop_reason": "end_turn"}),
        json.dumps(
            [
                {
                    "role": "assistant",
                    "parts": [
                        {
                            "type": "reasoning",
                            "content": "Nobody should count these quiet private deliberations",
                        },
                        {"type": "text", "content": ANSWER},
                    ],
                }
            ]
        ),
    ],
    ids=["bare", "conventions", "messages", "blocks", "thinking before"],
)
def test_messages_of_any_shape_are_read_as_their_text(store: Store, output: str) -> None:
    assert _found(store, output) == [_number(ANSWER)]
    assert _number(ANSWER) is not None


def test_what_the_sdk_says_wins_over_the_text(store: Store) -> None:
    span = Span(
        {**_OF_THE_SDK, "gen_ai.output.messages": ANSWER, "promptspan.output.sketch": "80000000000000ff"}
    )
    store.land(traces(span))
    assert store.call("output_sketch, attributes") == {"output_sketch": 0x80000000000000FF, "attributes": {}}


@pytest.mark.parametrize(
    "said", ["", "zz", "80000000000000FF", "80000000000000ff0", "0" * 16, "1" + "0" * 15]
)
def test_what_is_no_sketch_is_none(store: Store, said: str) -> None:
    assert _found(store, said, key="promptspan.output.sketch") == [None]


def test_short_answers_and_calls_without_text_have_none(store: Store) -> None:
    assert _found(store, _NO_WORDS, "", "[]", "[{") == [None] * 4
