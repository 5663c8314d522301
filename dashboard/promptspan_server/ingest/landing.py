"""Land OTLP bodies: the engine decodes the protobuf itself (see store/migrations/0008_otlp.sql)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from promptspan_server.store.engine import Handle

Signal = Literal["traces", "logs"]

SCHEMA = Path(__file__).parent / "schemas" / "otlp.proto"

_MESSAGES: dict[Signal, str] = {"traces": "ExportTraceServiceRequest", "logs": "ExportLogsServiceRequest"}
_COLUMNS: dict[Signal, str] = {"traces": "resource_spans", "logs": "resource_logs"}


def land(handle: Handle, signal: Signal, bodies: Sequence[bytes], token: str) -> None:
    """Insert bodies and return when the engine has them and all that its views made of them.

    All or nothing: a malformed body refuses the group, and the caller tries its bodies one by one.

    Args:
        handle: A session of the engine; its settings change.
        signal: What the bodies are.
        bodies: OTLP protobuf requests, uncompressed: `ExportTraceServiceRequest` or
            `ExportLogsServiceRequest`.
        token: Names this insert: a second one with the same token changes nothing.

    Raises:
        StoreError: A body is malformed, or the engine failed. Nothing was inserted.
    """
    if not bodies:
        return
    quoted = token.replace("\\", "\\\\").replace("'", "\\'")
    handle.insert(
        f"INSERT INTO otlp_{signal}_in ({_COLUMNS[signal]}) SETTINGS "
        f"format_schema = '{SCHEMA}:{_MESSAGES[signal]}', "
        f"insert_deduplication_token = '{quoted}', "
        "deduplicate_blocks_in_dependent_materialized_views = 1, "
        # One block, whatever the number of rows: the token names the whole group.
        "min_insert_block_size_rows = 1000000, min_insert_block_size_bytes = 1000000000, "
        # The views are straight lines: looking for better plans took half of the time of a small insert.
        "query_plan_enable_optimizations = 0, optimize_and_compare_chain = 0",
        "Protobuf",
        _delimited(bodies),
    )


def _delimited(bodies: Sequence[bytes]) -> Iterator[bytes]:
    for body in bodies:
        yield _varint(len(body))
        yield body


def _varint(number: int) -> bytes:
    # Protobuf's length prefix: seven bits a byte, lowest first, the high bit says that more follow.
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)
