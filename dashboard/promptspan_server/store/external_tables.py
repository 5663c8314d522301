"""External data: tables that come with a query and live as long as it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptspan_server.store.errors import StoreError
from promptspan_server.store.guard import check
from promptspan_server.store.sql_lexer import tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptspan_server.store.engine import Handle

_SUFFIXES = ("_format", "_structure", "_types")


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """One file of a form.

    Attributes:
        name: Of the table, as queries use it.
        format: Input format of the data.
        columns: `name Type, name Type`.
        data: The rows.
    """

    name: str
    format: str
    columns: str
    data: bytes


def take_external(params: dict[str, str], name: str, data: bytes) -> ExternalTable:
    """The table of a file, with the parameters that describe it taken out of `params`.

    Raises:
        StoreError: 36 BAD_ARGUMENTS without `<name>_structure` or `<name>_types`.
    """
    given = {suffix: params.pop(name + suffix, "") for suffix in _SUFFIXES}
    columns = given["_structure"]
    if not columns and given["_types"]:
        columns = ", ".join(f"_{number} {kind}" for number, kind in enumerate(_split(given["_types"]), 1))
    if not columns:
        raise StoreError(
            36, "BAD_ARGUMENTS", f"External table {name} needs {name}_structure or {name}_types."
        )
    return ExternalTable(name, given["_format"] or "TabSeparated", columns, data)


def create(handle: Handle, table: ExternalTable) -> None:
    """Make the table in the session of a handle, before the handle becomes readonly.

    Raises:
        StoreError: Its columns are no plain columns, or its data do not fit them.
    """
    quoted = "`" + table.name.replace("\\", "\\\\").replace("`", "\\`") + "`"
    sql = f"CREATE TEMPORARY TABLE {quoted} ({table.columns})"
    check(handle, sql.encode(), _NO_PARAMS, reading=False, outside=False)
    depth = 0
    for token in list(tokens(sql))[4:]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth < 1 and token.text != ")":
            raise StoreError(
                36, "BAD_ARGUMENTS", f"The structure of external table {table.name} is no list of columns."
            )
    handle.query(sql)
    handle.insert(f"INSERT INTO {quoted}", _format_name(table.format), [table.data])


def drop(handle: Handle, table: ExternalTable) -> None:
    """Remove the table from a session that goes on."""
    quoted = "`" + table.name.replace("\\", "\\\\").replace("`", "\\`") + "`"
    handle.query(f"DROP TEMPORARY TABLE IF EXISTS {quoted}")


_NO_PARAMS: Mapping[str, str] = {}


def _format_name(name: str) -> str:
    if not name.isalnum():
        raise StoreError(73, "UNKNOWN_FORMAT", f"Unknown format {name}")
    return name


def _split(types: str) -> list[str]:
    parts: list[str] = []
    depth = start = 0
    for token in tokens(types):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and not depth:
            parts.append(types[start : token.start].strip())
            start = token.end
    return [*parts, types[start:].strip()]
