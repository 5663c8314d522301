"""The ClickHouse HTTP interface over the embedded engine.

What it promises, clients of a ClickHouse server already know: statements in the URL or the body, data behind
an INSERT, parameters, settings, sessions, formats, compression both ways, errors with ClickHouse's codes, and
an exception block where a result fails after its status was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers

from promptspan_server.store.access import Access, DeniedError
from promptspan_server.store.codecs import encoder
from promptspan_server.store.engine import Engine, StoreClosed, StoreError
from promptspan_server.store.formats import content_types
from promptspan_server.store.http_answer import Answer
from promptspan_server.store.http_body import (
    BodyError,
    ClientGoneError,
    Incoming,
    InsertSpool,
    decoded,
    discard,
)
from promptspan_server.store.http_errors import error_text, exception_block, new_tag, status_of
from promptspan_server.store.http_request import QueryRequest, query_request, url_params
from promptspan_server.store.http_server import AbortResponseError
from promptspan_server.store.http_statement import read_form, read_statement
from promptspan_server.store.native_compression import BlockDecoder, BlockEncoder
from promptspan_server.store.query_job import QueryJob
from promptspan_server.store.sessions import Sessions
from promptspan_server.store.statements import Insert, describe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
    from typing import TypeVar

    from promptspan_server.store.codecs import Encoder
    from promptspan_server.store.external_tables import ExternalTable

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    T = TypeVar("T")

_MAX_INSERT_BYTES = 8 << 30
_WORKERS = 24
_MAX_QUERIES = 16
_QUEUE_S = 10.0
_SMALL_BYTES = 512

_log = logging.getLogger(__name__)


class ClickHouseHttp:
    """An ASGI application. One for each store process."""

    def __init__(self, engine: Engine, access: Access, *, outside: bool = False) -> None:
        """Serve an engine.

        Args:
            engine: The opened engine.
            access: Who may come in.
            outside: Let the user `default` reach files and addresses outside the store.
        """
        self._engine = engine
        self._access = access
        self._outside = outside
        self._sessions = Sessions(engine)
        self._version = engine.version
        self._formats = content_types(engine)
        with engine.handle() as handle:
            zone_and_name = handle.query("SELECT timezone(), displayName()", "TSVRaw").data.decode().strip()
        self._timezone, _, self._display_name = zone_and_name.partition("\t")
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="clickhouse-http")
        self._slots = asyncio.Semaphore(_MAX_QUERIES)
        self._running: dict[str, QueryJob] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        answer = Answer(send, head_only=scope["method"] == "HEAD")
        incoming = Incoming(receive)
        try:
            await self._route(scope, headers, incoming, answer)
        except DeniedError as denied:
            await self._deny(answer, denied)
        except BodyError as error:
            await discard(incoming)
            code = 229 if error.status == 413 else 33
            await self._fail(answer, StoreError(code, "BAD_REQUEST", error.reason), error.status)
        except StoreError as error:
            await self._fail(answer, error, status_of(error))
        except ClientGoneError:
            return
        except AbortResponseError:
            raise
        except Exception:  # noqa: BLE001 - a fault of ours is this request's alone
            _log.exception("A request of the ClickHouse interface failed")
            await self._fail(
                answer, StoreError(1002, "UNKNOWN_EXCEPTION", "Internal error of the store"), 500
            )

    async def stop_queries(self, grace_s: float = 1.0) -> None:
        """Give running queries a moment, then stop them. No new ones must come any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        for job in list(self._running.values()):
            if not job.writes:
                await self._kill(job)

    async def close(self) -> None:
        """End threads and sessions. The server has stopped before."""
        await asyncio.to_thread(self._workers.shutdown, wait=True, cancel_futures=True)
        self._sessions.close()

    async def _route(
        self, scope: MutableMapping[str, Any], headers: Headers, receive: Receive, answer: Answer
    ) -> None:
        path, method = scope["path"], scope["method"]
        self._access.check_page(headers)
        if path in {"/ping", "/replicas_status"} and method in {"GET", "HEAD"}:
            await answer.whole(200, {"content-type": "text/html; charset=UTF-8"}, b"Ok.\n")
            return
        if method not in {"GET", "HEAD", "POST"}:
            await answer.whole(405, {"allow": "GET, HEAD, POST"}, b"Method not allowed\n")
            return
        params = url_params(scope["query_string"])
        if path == "/" and method != "POST" and "query" not in params:
            await answer.whole(200, {"content-type": "text/html; charset=UTF-8"}, b"Ok.\n")
            return
        if path not in {"/", "/query"}:
            await answer.whole(
                404, {"content-type": "text/plain; charset=UTF-8"}, b"There is no such page.\n"
            )
            return
        user = self._access.user(headers, params)
        await self._take_slot()
        try:
            await self._query(user, scope, params, receive, answer)
        finally:
            self._slots.release()

    async def _query(
        self,
        user: str,
        scope: MutableMapping[str, Any],
        params: dict[str, str],
        receive: Receive,
        answer: Answer,
    ) -> None:
        headers = Headers(scope=scope)
        external: list[ExternalTable] = []
        form = headers.get("content-type", "").startswith("multipart/form-data")
        if form:
            external = await read_form(scope, receive, params)
        chunked = scope["http_version"] != "1.0"
        request = query_request(user, scope["method"], headers, params, chunked=chunked)
        answer.request = request
        job = QueryJob(self._engine, self._sessions, request, outside=self._outside, external=external)
        if request.query_id in self._running:
            raise StoreError(
                216,
                "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
                f"Query with id = {request.query_id} is already running.",
            )
        self._running[request.query_id] = job
        self._idle.clear()
        try:
            body = None if form else self._body(request, headers, receive)
            await self._run(job, request, body, receive, answer)
        finally:
            del self._running[request.query_id]
            if not self._running:
                self._idle.set()
            await self._in_worker(job.close)

    async def _run(
        self,
        job: QueryJob,
        request: QueryRequest,
        body: AsyncIterator[bytes] | None,
        receive: Receive,
        answer: Answer,
    ) -> None:
        with InsertSpool(self._engine.data_dir) as spool:
            statement, sql = await read_statement(request.query, body, spool)
            if isinstance(statement, Insert):
                await self._in_worker(job.insert, statement, spool)
                await answer.whole(200, self._headers(job, request), b"")
                return
        killed = describe(sql.decode("latin-1")).kill
        if killed is not None and killed in self._running and not request.reading:
            await self._kill(self._running[killed])
            first = await self._in_worker(job.killed_rows, killed, sql)
        else:
            first = await self._unless_gone(job, receive, job.run, sql)
        await self._respond(job, request, first, receive, answer)

    async def _respond(
        self, job: QueryJob, request: QueryRequest, first: bytes, receive: Receive, answer: Answer
    ) -> None:
        headers = self._headers(job, request)
        encode = self._encoder(request, headers, small=job.ended and len(first) < _SMALL_BYTES)
        if job.ended:
            body = encode.feed(first) + encode.finish() if encode else first
            await answer.whole(200, headers, body)
            return
        if not request.chunked:
            raise StoreError(396, "TOO_MANY_ROWS_OR_BYTES", "The result is too large for HTTP/1.0")
        tag = new_tag()
        headers["x-clickhouse-exception-tag"] = tag
        await answer.begin(200, headers)
        try:
            await answer.part(encode.feed(first) if encode else first)
            while not job.ended:
                data = await self._unless_gone(job, receive, job.more)
                if data:
                    await answer.part(encode.feed(data) if encode else data)
        except StoreError as error:
            block = exception_block(error, self._version, tag)
            await answer.part(encode.feed(block) + encode.finish() if encode else block)
            raise AbortResponseError from None
        except ClientGoneError:
            raise AbortResponseError from None
        await answer.end(encode.finish() if encode else b"")

    def _body(self, request: QueryRequest, headers: Headers, receive: Receive) -> AsyncIterator[bytes]:
        stages = (BlockDecoder(),) if request.decompress else ()
        return decoded(receive, headers.get("content-encoding", ""), _MAX_INSERT_BYTES, *stages)

    def _encoder(self, request: QueryRequest, headers: dict[str, str], *, small: bool) -> Encoder | None:
        if request.compress:
            return BlockEncoder()
        chosen = None if small else encoder(request.accept_encoding)
        if chosen is None:
            return None
        headers["content-encoding"] = chosen[0]
        headers["vary"] = "Accept-Encoding"
        return chosen[1]

    def _headers(self, job: QueryJob, request: QueryRequest) -> dict[str, str]:
        name, kind = self._formats.get(job.format.lower(), (job.format, "text/plain; charset=UTF-8"))
        summary = {
            "read_rows": str(job.rows_read),
            "read_bytes": str(job.bytes_read),
            "written_rows": str(job.rows_written),
            "written_bytes": str(job.bytes_written),
            "total_rows_to_read": str(job.rows_read),
            "result_rows": str(job.result_rows),
            "result_bytes": str(job.result_bytes),
            "elapsed_ns": str(job.elapsed_ns()),
        }
        headers = {
            "content-type": kind,
            "x-clickhouse-server-display-name": self._display_name,
            "x-clickhouse-query-id": _header_safe(request.query_id),
            "x-clickhouse-timezone": self._timezone,
            "x-clickhouse-summary": json.dumps(summary, separators=(",", ":")),
            # A browser that shows a result must not take it for a page.
            "x-content-type-options": "nosniff",
        }
        if name:
            headers["x-clickhouse-format"] = name
        return headers

    async def _fail(self, answer: Answer, error: StoreError, status: int) -> None:
        if answer.begun:
            raise AbortResponseError
        headers = {
            "content-type": "text/plain; charset=UTF-8",
            "x-clickhouse-server-display-name": self._display_name,
            "x-clickhouse-exception-code": str(error.code),
            "x-clickhouse-timezone": self._timezone,
            "x-content-type-options": "nosniff",
        }
        if status == 503:
            headers["retry-after"] = "1"
        if status in {408, 413}:
            # The rest of the body is not read.
            headers["connection"] = "close"
        body = error_text(error, self._version).encode()
        if answer.request is not None:
            headers["x-clickhouse-query-id"] = _header_safe(answer.request.query_id)
            if answer.request.compress:
                body = BlockEncoder().feed(body)
        await answer.whole(status, headers, body)

    async def _deny(self, answer: Answer, denied: DeniedError) -> None:
        headers = {"content-type": "text/plain; charset=UTF-8", "x-clickhouse-exception-code": "516"}
        if denied.status == 401:
            headers["www-authenticate"] = 'Basic realm="promptspan"'
        error = StoreError(516, "AUTHENTICATION_FAILED", denied.reason)
        await answer.whole(denied.status, headers, error_text(error, self._version).encode())

    async def _take_slot(self) -> None:
        try:
            async with asyncio.timeout(_QUEUE_S):
                await self._slots.acquire()
        except TimeoutError:
            raise StoreError(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many simultaneous queries") from None

    async def _kill(self, job: QueryJob) -> None:
        if job.handle_id:
            with contextlib.suppress(StoreError):
                await asyncio.to_thread(self._engine.kill, job.handle_id)

    async def _in_worker(self, run: Callable[..., T], *args: Any) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._workers, run, *args)
        except RuntimeError:
            raise StoreClosed from None

    async def _unless_gone(self, job: QueryJob, receive: Receive, run: Callable[..., T], *args: Any) -> T:
        """Run on a worker; if the client leaves meanwhile, stop the query and raise `ClientGoneError`."""
        work = asyncio.ensure_future(self._in_worker(run, *args))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await self._kill(job)
                with contextlib.suppress(StoreError):
                    await work
                raise ClientGoneError
            return work.result()
        finally:
            gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _header_safe(value: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in value)[:256]
