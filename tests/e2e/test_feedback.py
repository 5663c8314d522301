"""Feedback from a process of its own, later: it meets the call that it judges."""

from __future__ import annotations

import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import pytest

import promptspan
from e2e.running import until
from promptspan import current_span, traced_prompt

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.running import Store

FEEDBACK = """
import sys, promptspan
endpoint, spool, trace_id, span_id, response_id = sys.argv[1:]
promptspan.configure(service_name="feedback", endpoint=endpoint, spool=spool)
promptspan.record_score("helpful", True, trace_id=trace_id, span_id=span_id)
promptspan.record_score("thumbs", label="down", explanation="asked ada@example.org", response_id=response_id)
"""


@pytest.mark.slow
def test_a_score_from_another_process_meets_its_call(store: Store, tmp_path: Path) -> None:
    promptspan.configure(service_name="scored", endpoint=store.endpoint, spool=tmp_path / "spool")
    response_id = f"chatcmpl-{uuid.uuid4().hex}"
    ids: list[str] = []

    @traced_prompt(name="scored", version="7")
    def ask() -> Any:
        ids.extend([current_span().trace_id, current_span().span_id])
        return {
            "id": response_id,
            "object": "chat.completion",
            "model": "gpt-4o",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Four."}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }

    ask()
    assert promptspan.shutdown(20)
    command = [sys.executable, "-c", FEEDBACK, store.endpoint, str(tmp_path / "feedback"), *ids, response_id]
    subprocess.run(command, check=True, timeout=60)
    query = """SELECT score, score_value, score_label, score_explanation, prompt_version FROM call_scores
        WHERE response_id = {response_id:String} ORDER BY score"""
    until(lambda: len(store.rows(query, response_id=response_id)) == 2, "two scores")
    assert store.rows(query, response_id=response_id) == [
        ("helpful", 1.0, "", "", "7"),
        ("thumbs", None, "down", "asked [email]", "7"),
    ]
