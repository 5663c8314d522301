from __future__ import annotations

import http.client
import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from e2e.bodies import model_call, request
from e2e.running import Store, start_store

if TYPE_CHECKING:
    from pathlib import Path

SENDERS = 4


class Sender(threading.Thread):
    """Posts small bodies one after the other, and remembers the ids that were acknowledged."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[int] = []
        self.refused: list[int] = []
        self.unanswered = 0
        self._port = port
        self._first = number << 32

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        rng = random.Random(self._first)
        next_id = self._first + 1
        while True:
            ids = list(range(next_id, next_id + rng.randrange(1, 20)))
            next_id = ids[-1] + 1
            body = request(*(model_call(span_id, prompt="killed") for span_id in ids))
            try:
                connection.request(
                    "POST",
                    "/v1/traces",
                    body,
                    {"Content-Type": "application/x-protobuf", "Connection": "keep-alive"},
                )
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                self.unanswered += 1
                return
            if answer.status == 200:
                self.acknowledged += ids
            else:
                self.refused.append(answer.status)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.long)])
def test_every_acknowledged_span_survives_kills_at_random_moments(tmp_path: Path, kills: int) -> None:
    rng = random.Random(9)
    acknowledged: set[int] = set()
    cut_off = 0
    running = start_store(tmp_path)
    for kill in range(kills):
        store = Store(running)
        senders = [Sender(store.otlp_port, kill * SENDERS + number + 1) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        while not any(sender.acknowledged for sender in senders):
            time.sleep(0.005)
            assert all(sender.is_alive() for sender in senders), "a sender was turned away"
        time.sleep(rng.uniform(0.0, 0.4))  # the moment is what varies
        running.kill()
        for sender in senders:
            sender.join(15)
            assert not sender.refused
            acknowledged.update(sender.acknowledged)
            cut_off += sender.unanswered
        running = start_store(tmp_path)
    store = Store(running)
    try:
        kept = {
            table: {int(span_id, 16) for (span_id,) in store.rows(f"SELECT span_id FROM {table} FINAL")}
            for table in ("llm_calls", "spans")
        }
    finally:
        code = running.stop()
    assert acknowledged <= kept["llm_calls"] & kept["spans"]
    assert len(acknowledged) > kills * SENDERS
    assert cut_off > kills, "the kills did not come in the midst of work"
    assert code == 0
