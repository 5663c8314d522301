"""Applications that send model calls and do not give up, and what of theirs must be in the store."""

from __future__ import annotations

import http.client
import threading
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from collector.collectors import TOKEN
from e2e.bodies import model_call, request
from e2e.running import until
from promptspan_server.pricing.rollup import recompute
from promptspan_server.store.executor import ClientExecutor

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from e2e.running import Store


class Sender(threading.Thread):
    """Sends one body after the other, each until it is acknowledged."""

    def __init__(self, load: Load, number: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged = 0
        self.failures = 0
        self.refusals: set[int] = set()
        self._load = load
        self._first = number << 24

    def run(self) -> None:
        while not self._load.stopping.is_set():
            first = self._first + self.acknowledged * self._load.spans + 1
            ids = range(first, first + self._load.spans)
            body = request(*(model_call(span_id, prompt=self._load.prompt) for span_id in ids))
            while not self._send(body):
                if self._load.stopping.wait(0.05):
                    return
            self._load.sent(ids)
            self.acknowledged += 1
            self._load.stopping.wait(self._load.pause_s)

    def _send(self, body: bytes) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._load.port, timeout=10)
        headers = {"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {TOKEN}"}
        try:
            connection.request("POST", "/v1/traces", body, headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            self.failures += 1
            return False
        finally:
            connection.close()
        if answer.status != 200:
            self.refusals.add(answer.status)
            return False
        return not ExportTraceServiceResponse.FromString(said).partial_success.rejected_spans


class Load:
    """Several senders, for the length of a block."""

    def __init__(
        self, port: int, prompt: str, *, senders: int = 4, spans: int = 20, pause_s: float = 0.02
    ) -> None:
        self.port = port
        self.prompt = prompt
        self.spans = spans
        self.pause_s = pause_s
        self.stopping = threading.Event()
        self.senders = [Sender(self, number + 1) for number in range(senders)]
        self._lock = threading.Lock()
        self._acknowledged: set[int] = set()

    def __enter__(self) -> Self:
        for sender in self.senders:
            sender.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        for sender in self.senders:
            sender.join(15)

    def sent(self, ids: range) -> None:
        with self._lock:
            self._acknowledged.update(ids)

    @property
    def acknowledged(self) -> set[int]:
        with self._lock:
            return set(self._acknowledged)

    def goes_on(self, more: int = 100) -> None:
        """Wait until so many spans more are acknowledged."""
        before = len(self.acknowledged)
        until(
            lambda: len(self.acknowledged) >= before + more,
            f"{more} more spans are acknowledged",
            within_s=120,
        )

    def assert_stored_once(self, store: Store, within_s: float = 60.0) -> None:
        """Every acknowledged call is in `llm_calls` and counted once in the ledger, tokens and money too."""
        acknowledged = self.acknowledged

        def missing() -> int:
            found = store.rows(
                "SELECT span_id FROM llm_calls FINAL WHERE prompt_name = {p:String}", p=self.prompt
            )
            return len(acknowledged - {int(span_id, 16) for (span_id,) in found})

        until(lambda: missing() == 0, "every acknowledged call is in the store", within_s=within_s)
        calls, spans, tokens, cost = store.rows(
            """SELECT count(), uniqExact(span_id), sum(input_tokens + output_tokens), sum(cost_usd)
            FROM llm_costs WHERE billable AND prompt_name = {p:String}""",
            p=self.prompt,
        )[0]
        assert calls == spans
        assert tokens == 12 * spans
        # A call that was on its way when its sender was stopped may be there too: at most one body each.
        assert len(acknowledged) <= spans <= len(acknowledged) + self.spans * len(self.senders)
        with store.client() as client:
            recompute(ClientExecutor(client), interval_s=0)
        ledger = store.rows(
            """SELECT sum(calls), sum(input_tokens + output_tokens), sum(cost_usd) FROM llm_hourly
            WHERE prompt_name = {p:String}""",
            p=self.prompt,
        )
        assert ledger == [(spans, tokens, cost)]
