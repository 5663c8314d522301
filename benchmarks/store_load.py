"""Traffic for the store's benchmarks: OTLP bodies like those of our SDK, each span with ids of its own."""

from __future__ import annotations

import http.client
import json
import random
import re
import sysconfig
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SPANS = 2_000
_ID = b"0123456789abcdef0123456789abcdef"
_MODELS = (("openai", "gpt-4o-mini"), ("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"))


class Traffic:
    """Batches of spans of model calls with 22 attributes, of the last minute."""

    def __init__(self, *, with_text: bool, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self._english = _english() if with_text else ""
        self._spans = [self._span() for _ in range(_SPANS)]

    def batch(self, spans: int) -> bytes:
        """An ExportTraceServiceRequest, uncompressed."""
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        for key, value in (
            ("service.name", "inbox"),
            ("deployment.environment.name", "prod"),
            ("service.instance.id", f"worker-{self._random.randrange(8)}"),
            ("telemetry.sdk.language", "python"),
            ("telemetry.sdk.name", "opentelemetry"),
            ("telemetry.sdk.version", "1.45.0"),
        ):
            resource.resource.attributes.add(key=key).value.string_value = value
        scope = resource.scope_spans.add()
        scope.scope.name, scope.scope.version = "promptspan", "0.1.0"
        scope.spans.extend(
            Span.FromString(self._fresh(self._random.choice(self._spans))) for _ in range(spans)
        )
        return request.SerializeToString()

    def _fresh(self, span: bytes) -> bytes:
        # The ids come first, so their places are known; the id of the answer is found by its placeholder.
        ids = self._random.randbytes(24)
        fresh = b"\x0a\x10" + ids[:16] + b"\x12\x08" + ids[16:] + span[28:]
        fresh = fresh.replace(_ID, self._random.randbytes(16).hex().encode())
        if not self._english:
            return fresh
        text = Span()
        for key, value in (
            ("gen_ai.input.messages", self._message("user", 1_200)),
            ("gen_ai.output.messages", self._message("assistant", 400)),
        ):
            text.attributes.add(key=key).value.string_value = value
        # One message after another is both of them together.
        return fresh + text.SerializeToString()

    def _span(self) -> bytes:
        rng = self._random
        started = time.time_ns() - rng.randrange(60 * 10**9)
        span = Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="chat", kind=Span.SPAN_KIND_CLIENT)
        span.start_time_unix_nano = started
        span.end_time_unix_nano = started + int(rng.lognormvariate(7, 0.6) * 1e6)
        provider, model = rng.choice(_MODELS)
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.response.model": model,
            "gen_ai.response.id": "chatcmpl-" + _ID.decode(),
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.response.time_to_first_chunk": rng.lognormvariate(-1, 0.5),
            "gen_ai.request.stream": True,
            "gen_ai.request.temperature": 0.2,
            "gen_ai.request.max_tokens": 512,
            "gen_ai.usage.input_tokens": int(rng.lognormvariate(7, 0.5)),
            "gen_ai.usage.output_tokens": int(rng.lognormvariate(5, 0.5)),
            "gen_ai.usage.cache_read.input_tokens": rng.randrange(64),
            "gen_ai.prompt.name": rng.choice(("summarise", "classify", "reply")),
            "gen_ai.prompt.version": rng.choice(("6", "7")),
            "promptspan.feature": rng.choice(("inbox-summary", "search", "triage")),
            "promptspan.tenant": f"tenant-{rng.randrange(20)}",
            "promptspan.prompt.template_hash": "9f86d081884c7d659a2feaa0c55ad015" * 2,
            "promptspan.usage.source": "provider",
            "promptspan.context.region": rng.choice(("eu", "us")),
            "user.id": f"{rng.randrange(5_000):016x}",
            "session.id": f"{rng.randrange(50_000):016x}",
        }
        for key, value in attributes.items():
            target = span.attributes.add(key=key).value
            if isinstance(value, bool):
                target.bool_value = value
            elif isinstance(value, int):
                target.int_value = value
            elif isinstance(value, float):
                target.double_value = value
            elif isinstance(value, list):
                target.array_value.values.add().string_value = value[0]
            else:
                target.string_value = value
        return span.SerializeToString()

    def _message(self, role: str, length: int) -> str:
        begin = self._random.randrange(len(self._english) - 2 * length)
        content = self._english[begin : begin + self._random.randrange(length // 2, 2 * length)]
        return json.dumps([{"role": role, "parts": [{"type": "text", "content": content}]}])


def send(
    port: int, batches: Sequence[bytes], senders: int, headers: Mapping[str, str] | None = None
) -> float:
    """Send all batches, each sender its share, the next one when the last is acknowledged.

    Returns:
        Seconds until the last acknowledgement.

    Raises:
        RuntimeError: A batch was not acknowledged.
    """
    failed: list[str] = []

    def work(share: Iterator[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for body in share:
            given = {"content-type": "application/x-protobuf", **(headers or {})}
            connection.request("POST", "/v1/traces", body, given)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                failed.append(f"{answer.status}: {text[:200]!r}")
                return
        connection.close()

    threads = [
        threading.Thread(target=work, args=(iter(batches[number::senders]),)) for number in range(senders)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise RuntimeError(failed[0])
    return time.monotonic() - started


def _english() -> str:
    """Prose that is on every machine that has the store: what its libraries say about themselves."""
    paths = sysconfig.get_paths()
    folders = [
        Path(paths["stdlib"]),
        *(Path(paths["purelib"]) / name for name in ("numpy", "pandas", "scipy")),
    ]
    texts: dict[str, None] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            if {"site-packages", "test", "tests"} & set(path.relative_to(folder).parts):
                continue
            for text in re.findall(
                r'"""(.*?)"""', path.read_text(encoding="utf-8", errors="replace"), re.DOTALL
            ):
                texts[" ".join(text.split())] = None
    return "\n".join(text for text in texts if len(text) > 100)
