"""The ClickHouse interface on a real socket, inside the test's process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from promptspan_server.store.access import Access
from promptspan_server.store.clickhouse_http import ClickHouseHttp
from promptspan_server.store.http_server import HttpServer, listen

if TYPE_CHECKING:
    from collections.abc import Generator

    from promptspan_server.store.engine import Engine


@contextlib.contextmanager
def serving(engine: Engine, access: Access | None = None, *, outside: bool = False) -> Generator[int]:
    sock = listen("127.0.0.1", 0)
    port: int = sock.getsockname()[1]
    servers: list[HttpServer] = []
    failures: list[BaseException] = []

    async def main() -> None:
        app = ClickHouseHttp(engine, access or Access("127.0.0.1"), outside=outside)
        server = HttpServer(app, sock)
        servers.append(server)
        try:
            await server.run_on_socket()
        finally:
            await app.close()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield port
    finally:
        while not servers and thread.is_alive():
            thread.join(0.01)
        for server in servers:
            server.should_exit = True
        thread.join(30)
        assert not failures
        assert not thread.is_alive()
