from __future__ import annotations

import gzip
import http.client
import json
from typing import TYPE_CHECKING

import pytest

from e2e.bodies import model_call, request

if TYPE_CHECKING:
    from e2e.running import Store

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
GOOD = request(model_call(77, prompt="good-neighbour"))


def post(store: Store, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", store.otlp_port, timeout=30)
    try:
        connection.request("POST", "/v1/traces", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(GOOD[:-7], PROTOBUF, id="truncated protobuf"),
        pytest.param(b"\xff" * 200, PROTOBUF, id="no protobuf at all"),
        pytest.param(b'{"resourceSpans": [', JSON, id="half a JSON"),
        pytest.param(b'{"resourceSpans": 7}', JSON, id="JSON of another shape"),
        pytest.param(gzip.compress(GOOD)[:-9], PROTOBUF | {"Content-Encoding": "gzip"}, id="truncated gzip"),
        pytest.param(GOOD, PROTOBUF | {"Content-Encoding": "gzip"}, id="gzip by name only"),
        pytest.param(GOOD, {"Content-Type": "text/csv"}, id="another content type"),
        pytest.param(b"\0" * 70_000_000, PROTOBUF, id="70 MB"),
    ],
)
def test_a_malformed_body_is_refused_with_a_reason_and_others_are_served(
    store: Store, body: bytes, headers: dict[str, str]
) -> None:
    try:
        status, reason = post(store, body, headers)
    except (BrokenPipeError, ConnectionResetError):
        assert len(body) > 1_000_000, "only a body that is too large may be cut off while it is sent"
    else:
        assert 400 <= status < 500
        assert len(reason) > 10
    assert post(store, GOOD, PROTOBUF)[0] == 200


def test_what_was_sent_between_the_malformed_bodies_is_there_once(store: Store) -> None:
    as_json = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "e2e"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": f"{78:032x}",
                                "spanId": f"{78:016x}",
                                "name": "chat m",
                                "kind": 3,
                                "startTimeUnixNano": "1772366400000000000",
                                "endTimeUnixNano": "1772366401000000000",
                                "attributes": [
                                    {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                                    {"key": "gen_ai.prompt.name", "value": {"stringValue": "good-neighbour"}},
                                    {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "5"}},
                                ],
                            }
                        ]
                    }
                ],
            }
        ]
    }
    body = json.dumps(as_json).encode()
    for sent, headers in (
        (GOOD, PROTOBUF),
        (body, JSON),
        (gzip.compress(body), JSON | {"Content-Encoding": "gzip"}),
    ):
        assert post(store, sent, headers)[0] == 200
    counted = store.rows(
        """SELECT span_id, count() FROM llm_calls FINAL
        WHERE prompt_name = {p:String} GROUP BY span_id ORDER BY span_id""",
        p="good-neighbour",
    )
    assert counted == [(f"{77:016x}", 1), (f"{78:016x}", 1)]
