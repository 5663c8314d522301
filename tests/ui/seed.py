from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from queries.live_store import LiveStore

PROMPT = "summarise-mail"
ALERT, HOSTILE_ALERT = "f00dfeedf00dfeed", "badbadbadbadbad0"
HOSTILE = "<img src=x onerror=alert(1)> **bold** $x$ [a](javascript:alert(1)) :red[x] ' \" \\"
FIRST_TEMPLATE = "You summarise e-mails in two sentences.\n\n{{ mail }}\n"
SECOND_TEMPLATE = "You summarise e-mails in one sentence.\n\n{{ mail }}\nAnswer in English.\n"


def fill(live: LiveStore) -> dict[str, Any]:
    """Two versions of a prompt over the last hours, a model without a price, a prompt with a hostile name.

    Returns:
        The rows that tests look for: `slow` (with spans, text and a score), `failed`, `hostile`.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    common = {"feature": "inbox-summary", "environment": "prod", "prompt_name": PROMPT}
    old = [
        live.call(now - timedelta(minutes=5 * i + 190), **common, prompt_version="v6", duration_ms=500.0 + i)
        for i in range(40)
    ]
    new = [
        live.call(now - timedelta(minutes=5 * i + 5), **common, prompt_version="v7", duration_ms=900.0 + i)
        for i in range(30)
    ]
    nothing = {"input_tokens": None, "output_tokens": None, "usage_source": "missing"}
    bad = [
        live.call(
            now - timedelta(minutes=7 * i + 6),
            **{**common, **nothing},
            prompt_version="v7",
            status="error",
            error_type="RateLimitError",
        )
        for i in range(6)
    ]
    slow = live.call(
        now - timedelta(minutes=3),
        **common,
        prompt_version="v7",
        duration_ms=7_654.0,
        safety_flags=["pii"],
        cache_read_tokens=400,
        reasoning_tokens=60,
        finish_reasons=["stop"],
        response_id="chatcmpl-slow",
        user_id="u:0123",
        attributes={"gen_ai.request.temperature": "0.2"},
    )
    hostile = live.call(
        now - timedelta(minutes=11),
        prompt_name=HOSTILE,
        prompt_version=HOSTILE,
        feature=HOSTILE,
        request_model="nobody-knows",
        response_model="nobody-knows",
        error_type=HOSTILE,
        status="error",
        safety_flags=[HOSTILE],
        finish_reasons=[HOSTILE],
        user_id=HOSTILE,
        attributes={HOSTILE: HOSTILE},
    )
    for rows in (old, new, bad):
        live.insert("llm_calls", *rows)
    live.insert("llm_calls", slow)
    live.insert("llm_calls", hostile)
    _trace(live, slow, "chat gpt-4o-mini", "You are terse.", "Where is the parcel?", "At the depot.")
    _trace(live, hostile, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    for version, template, days in (("v6", FIRST_TEMPLATE, 9), ("v7", SECOND_TEMPLATE, 1)):
        live.insert(
            "prompt_templates",
            {
                "prompt_name": PROMPT,
                "prompt_version": version,
                "template_hash": version * 32,
                "template": template,
                "owner": "inbox-team@example.com",
                "description": "One line for the list of mails.",
                "first_seen": now - timedelta(days=days),
                "last_seen": now,
            },
        )
    live.insert(
        "sdk_losses",
        {
            "service": "inbox",
            "instance_id": "1",
            "emitted": 80,
            "delivered": 77,
            "dropped": {"queue_full": 3},
            "first_seen": now,
            "last_seen": now,
        },
    )
    _alerts(live, now)
    return {"slow": slow, "failed": bad[0], "hostile": hostile}


def _alerts(live: LiveStore, now: datetime) -> None:
    """One alert that fires about the newer version, and one about the hostile name; a marker of each."""
    began = now - timedelta(minutes=100)
    state = {
        "fingerprint": ALERT,
        "rule": "latency",
        "severity": "page",
        "labels": {"environment": "prod", "prompt_name": PROMPT, "prompt_version": "v7"},
        "phase": "firing",
        "value": 12.5,
        "threshold": 1.0,
        "unit": "%",
        "summary": "12.5 % of calls are slow",
        "description": "More calls are slow than its objective allows.",
        "active_since": began,
        "starts_at": began + timedelta(minutes=2),
        "rule_version": "1",
        "evaluated_at": now,
        "revision": 1,
    }
    strange = {
        "fingerprint": HOSTILE_ALERT,
        "rule": "errors",
        "severity": "ticket",
        "labels": {"prompt_name": HOSTILE, "prompt_version": HOSTILE, "tool": HOSTILE},
        "summary": HOSTILE,
        "description": HOSTILE,
        "unit": "%",
    }
    live.insert("alert_states", state, {**state, **strange})
    live.insert(
        "alert_evaluations",
        *(
            {
                "rule": kind,
                "kind": kind,
                "definition": json.dumps({"runbook": "https://runbooks.example/slow"}),
                "rule_version": "1",
                # Of the next hour: however long the tests run, somebody seems to watch.
                "at": now + timedelta(hours=1),
                "outcome": "ok",
                "series": 1,
                "active": 1,
                "elapsed_ms": 3.0,
                "evaluator": "tests",
                "revision": 1,
            }
            for kind in ("latency", "errors")
        ),
    )
    marker = {
        "id": "deploy-v7",
        "at": began - timedelta(minutes=3),
        "kind": "deploy",
        "text": "v7 everywhere",
        "author": "ci",
        "prompt_name": PROMPT,
    }
    live.insert(
        "markers",
        marker,
        {**marker, "id": "strange", "text": HOSTILE, "author": HOSTILE, "prompt_name": HOSTILE},
    )


def _trace(  # noqa: PLR0917
    live: LiveStore, call: dict[str, Any], name: str, system: str, asked: str, answered: str
) -> None:
    who = {"trace_id": call["trace_id"], "span_id": call["span_id"]}
    said = [
        {"role": role, "parts": [{"type": "text", "content": text}]}
        for role, text in (("system", system), ("user", asked))
    ]
    answer = [
        {"role": "assistant", "parts": [{"type": "text", "content": answered}], "finish_reason": "stop"}
    ]
    live.insert(
        "llm_texts",
        {**who, "ts": call["ts"], "input_text": json.dumps(said), "output_text": json.dumps(answer)},
    )
    spans = [
        {
            **who,
            "ts": call["ts"],
            "parent_span_id": "f" * 16,
            "name": name,
            "duration_ms": call["duration_ms"],
        },
        {
            **who,
            "span_id": "f" * 16,
            "ts": call["ts"] - timedelta(milliseconds=40),
            "parent_span_id": "",
            "name": "POST /inbox",
            "duration_ms": call["duration_ms"] + 90,
        },
    ]
    live.insert("spans", *spans)
    live.insert(
        "scores",
        {
            **who,
            "ts": call["ts"],
            "name": "faithful",
            "value": 0.75,
            "label": "good",
            "explanation": name,
            "source_id": "1",
        },
    )
