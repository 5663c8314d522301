"""What the user `reader` may set, and the limits of what it runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from promptspan_server.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Ceilings: a reader may lower them.
LIMITS = {
    "max_execution_time": 30,
    "max_memory_usage": 2_000_000_000,
    "max_result_rows": 10_000_000,
    "max_result_bytes": 1_000_000_000,
}
_ALLOWED_FAMILIES = (
    r"output_format_\w+|date_time_output_format|date_time_input_format|session_timezone|limit|offset",
    r"format_(?:csv|tsv|custom|json|display|binary)\w*|bool_(?:true|false)_representation",
    r"max_(?:threads|block_size|rows_to_read|bytes_to_read|rows_to_group_by|bytes_in_set|rows_in_join)",
    r"(?:read|group_by|sort|distinct|set|join|result|timeout)_overflow_mode",
    r"max_bytes_(?:ratio_)?before_external_(?:group_by|sort)",
    r"join_(?:use_nulls|algorithm|default_strictness)|group_by_use_nulls|transform_null_in|extremes|final",
    r"analyzer_inline_views|optimize_\w+|query_plan_\w+|enable_\w+|use_\w+|compile_\w+|prefer_\w+|preferred_\w+|priority",
    r"do_not_merge_across_partitions_select_final|cast_\w+|totals_mode|count_distinct_implementation",
)
_ALLOWED_NAMES = "|".join(_ALLOWED_FAMILIES)
_ALLOWED = re.compile(f"(?:{_ALLOWED_NAMES})\\Z")
# What clickhouse-connect asks at its start, to know which settings it may send. A readonly session of the
# engine says none; this is what the interface takes from a reader all the same.
_CLIENT_PROBE = b"SELECT name, value, readonly FROM system.settings LIMIT 10000"
_CLIENT_ANSWER = (
    "SELECT name, value, toUInt8(NOT match(name, '^(?:NAMES)$')) AS readonly FROM system.settings LIMIT 10000"
).replace("NAMES", "|".join((_ALLOWED_NAMES, *LIMITS)).replace("\\", "\\\\"))


def reader_statement(sql: bytes) -> bytes:
    """The statement that is run for a reader: its own, but for the one question about settings."""
    if sql.startswith(_CLIENT_PROBE):
        return _CLIENT_ANSWER.encode() + sql[len(_CLIENT_PROBE) :]
    return sql


def reader_settings(requested: Mapping[str, str]) -> dict[str, str]:
    """The settings of a reader's request: what it asked for, within the limits.

    Raises:
        StoreError: 164 READONLY for a setting that readers may not change.
    """
    settings = {name: str(ceiling) for name, ceiling in LIMITS.items()}
    for name, value in requested.items():
        if name in LIMITS:
            settings[name] = _lower(name, value)
        elif _ALLOWED.match(name):
            settings[name] = value
        else:
            raise StoreError(164, "READONLY", f"Cannot modify '{name}' setting in readonly mode.")
    return settings


def _lower(name: str, value: str) -> str:
    try:
        asked = float(value)
    except ValueError:
        raise StoreError(
            72, "CANNOT_PARSE_NUMBER", f"The value of {name} is not a number: {value}."
        ) from None
    # Zero means without limit, and NaN is below nothing.
    return value if 0 < asked <= LIMITS[name] else str(LIMITS[name])
