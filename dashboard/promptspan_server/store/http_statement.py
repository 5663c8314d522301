"""Where a request of the ClickHouse interface has its statement: in the URL, in the body, in a form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from promptspan_server.store.engine import StoreError
from promptspan_server.store.external_tables import ExternalTable, take_external
from promptspan_server.store.http_body import BodyError, InsertSpool
from promptspan_server.store.statements import Insert, may_be_insert, parse_insert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping

    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_MAX_STATEMENT_BYTES = 16 << 20
# The head of an INSERT (its columns, its settings) must end within this.
_MAX_INSERT_HEAD_BYTES = 1 << 20
_MAX_FORM_PART_BYTES = 64 << 20


async def read_statement(
    query: bytes, body: AsyncIterator[bytes] | None, spool: InsertSpool
) -> tuple[Insert | None, bytes]:
    """Find the statement in the URL and the body.

    Args:
        query: The `query` parameter, perhaps empty.
        body: Plain pieces of the body; None if it was a form.
        spool: Takes the data of an INSERT.

    Returns:
        The INSERT with its data in the spool; or None and the whole statement.

    Raises:
        StoreError: 229 for a statement that is too large.
        BodyError: The body cannot be taken.
    """
    pieces = body if body is not None else _nothing()
    if query:
        insert = parse_insert(query.decode("latin-1"), complete=True)
        if insert is not None:
            spool.write(query[insert.data_start :].lstrip())
            async for piece in pieces:
                spool.write(piece)
            return insert, query
    text = query
    asked = bool(query)
    async for piece in pieces:
        text = text + b"\n" + piece if asked else text + piece
        asked = False
        if (
            not query
            and len(text) <= _MAX_INSERT_HEAD_BYTES + len(piece)
            and may_be_insert(text[:4096].decode("latin-1"))
        ):
            insert = parse_insert(text[:_MAX_INSERT_HEAD_BYTES].decode("latin-1"), complete=False)
            if insert is not None:
                spool.write(text[insert.data_start :])
                async for rest in pieces:
                    spool.write(rest)
                return insert, b""
        if len(text) > _MAX_STATEMENT_BYTES:
            raise StoreError(
                229, "QUERY_IS_TOO_LARGE", f"The statement is larger than {_MAX_STATEMENT_BYTES} bytes."
            )
    if not query:
        insert = parse_insert(text.decode("latin-1"), complete=True)
        if insert is not None:
            spool.write(text[insert.data_start :])
            return insert, text
    return None, text


async def read_form(
    scope: MutableMapping[str, Any], receive: Receive, params: dict[str, str]
) -> list[ExternalTable]:
    """Read a form: its fields are added to the parameters, its files are external tables.

    Raises:
        BodyError: The form is malformed or too large.
        StoreError: A file without a structure.
    """
    tables: list[ExternalTable] = []
    request = Request(scope, receive)
    try:
        async with request.form(max_files=16, max_fields=1000, max_part_size=_MAX_FORM_PART_BYTES) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    if (value.size or 0) > _MAX_FORM_PART_BYTES:
                        raise BodyError(
                            413, f"A file of the form is larger than {_MAX_FORM_PART_BYTES} bytes."
                        )
                    tables.append(take_external(params, name, await value.read()))
                else:
                    params[name] = value.encode("utf-8", "surrogateescape").decode("latin-1")
    except MultiPartException as error:
        raise BodyError(400, f"The form is malformed: {error.message}") from None
    return tables


async def _nothing() -> AsyncIterator[bytes]:
    for piece in ():
        yield piece
