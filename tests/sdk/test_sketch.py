"""What the SDK says of an answer's words where no text leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promptspan import traced_prompt
from promptspan._sketch import GROUPS, LEAST_GROUPS, sketch_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from recorded import Recorded

ANSWER = (
    "Your invoice from Monday remains unpaid; please transfer the outstanding amount before Friday evening."
)
_KEY = "promptspan.output.sketch"


@traced_prompt
def answer() -> str:
    return ANSWER


@traced_prompt(capture_content=False)
def private() -> str:
    return ANSWER


def test_an_answer_has_a_sketch_and_no_text_by_default(recorded: Recorded) -> None:
    answer()
    attributes = recorded.attributes()
    assert attributes[_KEY] == sketch_of(ANSWER)
    assert "invoice" not in str(attributes)


def test_it_is_left_out_where_it_is_not_wanted(
    configured: Callable[..., Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = configured()
    private()
    assert _KEY not in recorded.attributes()
    recorded = configured(send_sketches=False)
    answer()
    assert _KEY not in recorded.attributes()
    monkeypatch.setenv("PROMPTSPAN_SEND_SKETCHES", "off")
    recorded = configured()
    answer()
    assert _KEY not in recorded.attributes()


def test_words_count_once_whatever_their_case_order_and_punctuation() -> None:
    words = ANSWER.replace(";", "").replace(".", "").split()
    assert sketch_of(" ".join(reversed(words)).upper() + " 2026 " + " ".join(words)) == sketch_of(ANSWER)
    assert sketch_of(ANSWER.replace("invoice", "elephant")) != sketch_of(ANSWER)


def test_answers_whose_words_could_be_guessed_have_none() -> None:
    assert sketch_of("Yes.") is None
    assert sketch_of("approved because of the third clause") is None
    assert sketch_of("") is None
    sketch = sketch_of(ANSWER)
    assert sketch is not None
    assert LEAST_GROUPS <= int(sketch, 16).bit_count() <= GROUPS


def test_only_the_beginning_of_an_answer_counts_and_any_text_has_one() -> None:
    long = (ANSWER + " ") * 20
    assert sketch_of(long + "Nevertheless consider unrelated elephants") == sketch_of(long)
    assert sketch_of("\ud800 " + ANSWER) == sketch_of("? " + ANSWER)
    # More words than are remembered.
    for at in range(5_000):
        sketch_of(f"word{chr(97 + at % 26)}{chr(97 + at // 26 % 26)}{chr(97 + at // 676)}tail")
    assert sketch_of(ANSWER) == sketch_of(ANSWER.lower())
