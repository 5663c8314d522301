"""Runs a set-up in this environment: `python -m schema.capturing.run SETUP OUT.json [SCENARIO ...]`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import hashlib
import inspect
import json
import logging
import os
import sys
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schema.capturing.clients import Clients
from schema.capturing.double import Double
from schema.capturing.setups import SETUPS, switch_on
from schema.capturing.using import use

if TYPE_CHECKING:
    from schema.capturing.scenarios import Scenario

# LiteLLM writes its spans from a thread of its own.
_SETTLE_S = {"litellm": 0.4}


def main() -> None:
    name, out, *only = sys.argv[1:]
    os.environ.update(SETUPS[name].environment)
    os.environ.setdefault("OTEL_SERVICE_NAME", "inbox")
    os.environ.update(
        {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none"}
    )
    logging.disable(logging.CRITICAL)
    trace, sdk, export = (
        use("opentelemetry.trace"),
        use("opentelemetry.sdk.trace"),
        use("opentelemetry.sdk.trace.export"),
    )
    memory = use("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(memory))
    if not name.startswith(("logfire", "pair__logfire")):
        trace.set_tracer_provider(provider)
    setup = switch_on(name, provider, memory)
    encode = use("opentelemetry.exporter.otlp.proto.common.trace_encoder").encode_spans
    double = Double()
    captures: dict[str, Any] = {}
    for scenario_name, scenario in setup.scenarios.items():
        if only and scenario_name not in only:
            continue
        double.play(scenario.replies, hashlib.sha256(f"{name}{scenario_name}".encode()).hexdigest()[:20])
        raised = _act(scenario, Clients(double, openai_module=setup.openai_module))
        _flush(_SETTLE_S.get(setup.venv, 0.03))
        spans = {span.context.span_id: span for span in memory.get_finished_spans()}
        memory.clear()
        captures[scenario_name] = {
            "otlp": base64.b64encode(encode(list(spans.values())).SerializeToString()).decode(),
            "spans": len(spans),
            "calls": [billed(record) for record in double.billed],
            "expected_calls": scenario.calls,
            "ending": scenario.ending,
            "raised": raised,
        }
    Path(out).write_text(
        json.dumps({"setup": name, "versions": _versions(setup.packages), "captures": captures}, indent=1),
        encoding="utf-8",
    )
    os._exit(0)


def _act(scenario: Scenario, clients: Clients) -> str:
    try:
        done = scenario.act(clients)
        if inspect.isawaitable(done):

            async def wait() -> None:
                await done

            asyncio.run(wait())
    except Exception as error:  # noqa: BLE001 - errors are scenarios too
        return f"{type(error).__module__}.{type(error).__name__}: {error}"[:300]
    return ""


def _flush(settle_s: float) -> None:
    gc.collect()  # streams left alone end their spans when they are collected
    time.sleep(settle_s)
    provider = use("opentelemetry.trace").get_tracer_provider()
    if hasattr(provider, "force_flush"):
        provider.force_flush()


def billed(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "api": record["api"],
        "response_id": record["response_id"],
        "model": record["model"],
        "stream": record["stream"],
        "sent_usage": record["sent_usage"],
        "reply": asdict(record["reply"]),
    }


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for package in (*packages, "openai", "anthropic", "opentelemetry-sdk"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


if __name__ == "__main__":
    main()
