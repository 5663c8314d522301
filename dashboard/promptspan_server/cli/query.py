"""`promptspan query`: one SQL question, bound parameters, bounded rows."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from promptspan_server.cli.failure import CommandError
from promptspan_server.cli.options import DsnOption, Format, FormatOption

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clickhouse_connect.driver.client import Client
    from urllib3 import HTTPResponse

# One row a line, as JSON arrays, after a line of names and a line of types.
_WIRE_FORMAT = "JSONCompactEachRowWithNamesAndTypes"
_EXACT_SETTINGS = {
    "session_timezone": "UTC",
    "output_format_json_quote_64bit_integers": "0",
    "output_format_json_quote_decimals": "0",
    "output_format_json_quote_denormals": "1",
    "result_overflow_mode": "break",
}
_CHUNK_BYTES = 65_536


def query(
    sql: Annotated[str, typer.Argument(help="The statement; - reads it from standard input.")],
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--param", metavar="NAME=VALUE", help="A value for {NAME:Type} in the statement; repeatable."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Print at most this many rows.")] = 1000,
    form: FormatOption = Format.table,
    dsn: DsnOption = None,
) -> None:
    """Ask the store a question in SQL.

    Runs as the read-only user `reader` unless the DSN names another.

        promptspan query "SELECT count() FROM llm_calls WHERE prompt_name = {p:String}" --param p=summarise
    """
    from promptspan_server.cli.connecting import chosen_dsn, connected
    from promptspan_server.cli.rows import Column, print_rows, read_json

    statement = _statement(sql)
    values = _parameters(parameters or [], statement)
    with connected(chosen_dsn(dsn)) as client:
        lines = _lines(client, statement, values, limit)
        names: list[str] = read_json(next(lines, b"[]"))
        types: list[str] = read_json(next(lines, b"[]"))
        if not names:
            return  # a statement that returns nothing
        rows = _Bounded(lines, limit)
        print_rows([Column(*pair) for pair in zip(names, types, strict=True)], rows, form)
    if rows.cut:
        print(f"promptspan: only the first {limit} rows are shown; --limit shows more", file=sys.stderr)


class _Bounded:
    """At most `limit` rows of the answer; `cut` tells afterwards whether there were more."""

    def __init__(self, lines: Iterator[bytes], limit: int) -> None:
        self._lines = lines
        self._limit = limit
        self.cut = False

    def __iter__(self) -> Iterator[Sequence[Any]]:
        from promptspan_server.cli.rows import read_json

        for count, line in enumerate(self._lines):
            if count == self._limit:
                self.cut = True
                return
            yield read_json(line)


def _statement(sql: str) -> str:
    text = (sys.stdin.read() if sql == "-" else sql).strip().rstrip(";").rstrip()
    if not text:
        raise CommandError("the statement is empty")
    if re.search(r"\bFORMAT\s+\w+$", text, re.IGNORECASE):
        raise CommandError("leave FORMAT out of the statement: --format table|json|csv chooses it")
    if re.match(r"INSERT\b.*\bVALUES\s*\(", text, re.IGNORECASE | re.DOTALL):
        raise CommandError(
            "rows cannot be inserted by this command: a ClickHouse client can, on the same port"
        )
    return text


def _parameters(given: Sequence[str], statement: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise CommandError(f"--param {text}: NAME=VALUE was expected")
        if not re.search(rf"\{{\s*{name}\s*:", statement):
            raise CommandError(f"--param {name}: the statement does not use it as {{{name}:Type}}")
        values[name] = value
    return values


def _lines(client: Client, statement: str, values: dict[str, str], limit: int) -> Iterator[bytes]:
    # The server may stop early ("break" ends at a whole block, so one row more shows that there was more).
    settings = {**_EXACT_SETTINGS, "max_result_rows": str(limit + 1)}
    stream = cast(
        "HTTPResponse",
        client.raw_stream(  # pyright: ignore[reportUnknownMemberType]
            statement, parameters=values or None, settings=settings, fmt=_WIRE_FORMAT
        ),
    )
    chunks = _chunks(stream)
    try:
        pending = b""
        for chunk in chunks:
            *complete, pending = (pending + chunk).split(b"\n")
            for number, line in enumerate(complete):
                if line and not line.startswith(b"["):
                    raise _broken_off(b"\n".join((*complete[number:], pending, *chunks)))
                if line:
                    yield line
        if pending:
            raise _broken_off(pending)
    finally:
        stream.close()


def _chunks(stream: HTTPResponse) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    # read1 gives what has come: where the answer breaks off, the reason has come before the break.
    try:
        while chunk := stream.read1(_CHUNK_BYTES):
            yield chunk
    except HTTPError as error:
        yield f"\n{error}".encode()


def _broken_off(rest: bytes) -> CommandError:
    # An error after the first rows cannot have a status of its own: its text ends the answer, between marks.
    text = rest.decode("utf-8", "replace")
    found = re.search(r"Code: \d+\..*", text)
    return CommandError(f"the answer broke off: {found.group() if found else text.strip()}")
