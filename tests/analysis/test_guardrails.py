from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from promptspan_server.analysis.guardrails import GuardrailError, read_guardrails

if TYPE_CHECKING:
    from pathlib import Path


def _file(folder: Path, text: str) -> Path:
    path = folder / "guardrails.yaml"
    path.write_text(text)
    return path


def test_limits_take_the_place_of_the_defaults(tmp_path: Path) -> None:
    latency, errors, score = read_guardrails(
        _file(
            tmp_path,
            "guardrails:\n"
            "  - {metric: latency_p95, max_increase_pct: 20}\n"
            "  - {metric: error_rate, max_increase: 0.01}\n"
            "  - {metric: 'score:helpful', max_decrease: 0.05}\n",
        )
    )
    assert (latency.max_ratio, latency.max_change) == (1.2, None)
    assert (errors.max_ratio, errors.max_change) == (None, 0.01)
    assert (score.max_change, score.worse) == (0.05, "lower")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("guardrails: [", "line"),
        ("guardrails: []", "guardrails"),
        ("rules: []", "Field required"),
        ("guardrails:\n  - {metric: speed}\n", "no metric 'speed'"),
        ("guardrails:\n  - {metric: latency, max_increase: 5}\n", "say max_increase_pct"),
        ("guardrails:\n  - {metric: 'score:x', max_increase_pct: 5}\n", "say max_decrease"),
        ("guardrails:\n  - {metric: latency, max_increase_pct: -5}\n", "greater than or equal to 0"),
        ("guardrails:\n  - {metric: latency}\n  - {metric: latency}\n", "two guardrails"),
        ("guardrails:\n  - {metric: latency, metric: cost}\n", "line 2: metric is there twice"),
        ("hello", "the file"),
    ],
)
def test_a_file_that_is_not_understood_says_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(GuardrailError, match=r"guardrails\.yaml") as raised:
        read_guardrails(_file(tmp_path, text))
    assert said in str(raised.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(GuardrailError, match="No such file"):
        read_guardrails(tmp_path / "none.yaml")
