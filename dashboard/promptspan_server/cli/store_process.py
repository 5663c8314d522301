"""The store process: the one owner of the engine, and everything that speaks to it.

    python -m promptspan_server.cli.store_process --data-dir D --host H --clickhouse-port P --otlp-port P
        --otlp-grpc-port P [--token-env PROMPTSPAN_TOKEN] [--fsync]

When it serves, it prints one JSON line: `{"event": "ready", "clickhouse_port": ..., ...}`. SIGTERM and
SIGINT end it cleanly: no new requests, running ones finish, what was accepted is landed, the engine closes.
Exit code 2, with one line on stderr, means that it could not start.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from promptspan_server.ingest.batcher import Signal
    from promptspan_server.store.access import Access
    from promptspan_server.store.engine import Engine

_STOP_S = 3.0

_log = logging.getLogger("promptspan.store")


class CannotStartError(Exception):
    """One line for the person who started it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until a signal.

    Returns:
        0 after a clean stop, 2 if it could not start.
    """
    options = _options(arguments)
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # gRPC writes lines of its own to stderr; what matters comes as an exception.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        _run(options)
    except CannotStartError as error:
        print(f"promptspan store: {error}", file=sys.stderr)
        return 2
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m promptspan_server.cli.store_process")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--clickhouse-port", type=int, default=8123)
    parser.add_argument("--otlp-port", type=int, default=4318)
    parser.add_argument("--otlp-grpc-port", type=int, default=4317)
    parser.add_argument("--token-env", help="environment variable that holds the token")
    parser.add_argument(
        "--fsync", action="store_true", help="acknowledge what the disk has, so that it survives a power loss"
    )
    parser.add_argument(
        "--allow-outside",
        action="store_true",
        help="let the user `default` read and write files and open connections in SQL (file(), url(), ...)",
    )
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> None:
    access = _access(options.host, options.token_env)
    try:
        from promptspan_server.store.engine import Engine, StoreError
        from promptspan_server.store.http_server import listen
    except ImportError as error:
        raise CannotStartError(f"{error.name} is missing: pip install 'promptspan[local]'") from None

    # Ports first: they are what fails most, and cost nothing.
    with contextlib.ExitStack() as stack:
        sockets: dict[str, socket.socket] = {}
        for name in ("clickhouse_port", "otlp_port"):
            try:
                sockets[name] = listen(options.host, getattr(options, name))
            except (OSError, OverflowError) as error:
                raise CannotStartError(_cannot_listen(options.host, getattr(options, name), error)) from None
            stack.callback(sockets[name].close)
        _try_port(options.host, options.otlp_grpc_port)
        try:
            engine = Engine.open(options.data_dir, fsync=options.fsync)
        except StoreError as error:
            raise CannotStartError(error.message) from None
        stack.callback(engine.close, _STOP_S)
        _prepare(engine)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(engine, access, options, sockets))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _try_port(host: str, port: int) -> None:
    # gRPC takes its port itself, after the engine has started; it is better known before.
    from promptspan_server.store.http_server import listen

    try:
        listen(host, port).close()
    except (OSError, OverflowError) as error:
        raise CannotStartError(_cannot_listen(host, port, error)) from None


def _access(host: str, token_env: str | None) -> Access:
    try:
        from promptspan_server.store.access import Access, is_loopback
    except ImportError as error:
        raise CannotStartError(f"{error.name} is missing: pip install 'promptspan[local]'") from None

    token = os.environ.get(token_env) if token_env else None
    if token_env and not token:
        raise CannotStartError(f"{token_env} is not set")
    if token is None and not is_loopback(host):
        raise CannotStartError(
            f"--host {host} is not loopback: start with a token (--token-env PROMPTSPAN_TOKEN)"
        )
    return Access(host, token)


def _prepare(engine: Engine) -> None:
    from promptspan_server.pricing.sync import sync_prices
    from promptspan_server.store.executor import HandleExecutor
    from promptspan_server.store.migrate import MigrationError, migrate
    from promptspan_server.store.retention import RetentionError, apply, wanted

    with engine.handle() as handle:
        executor = HandleExecutor(handle)
        try:
            kept = wanted(os.environ)
            migrate(executor)
            apply(executor, kept)
        except (MigrationError, RetentionError) as error:
            raise CannotStartError(str(error)) from None
        try:
            sync_prices(executor)
        except ValueError as error:
            # The price file is the user's; without it the store still serves, with the book it has.
            _log.warning("the price book was not renewed: %s", error)


async def _serve(
    engine: Engine, access: Access, options: argparse.Namespace, sockets: Mapping[str, socket.socket]
) -> None:
    from promptspan_server.cli.housekeeping import Housekeeping
    from promptspan_server.ingest.batcher import Batcher
    from promptspan_server.ingest.landing import land
    from promptspan_server.ingest.markers import recorder
    from promptspan_server.ingest.otlp_grpc import OtlpGrpc
    from promptspan_server.ingest.otlp_http import OtlpHttp
    from promptspan_server.store.clickhouse_http import ClickHouseHttp
    from promptspan_server.store.http_server import HttpServer

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    batchers: dict[Signal, Batcher] = {
        "traces": Batcher(engine, "traces", land),
        "logs": Batcher(engine, "logs", land, workers=1),
    }
    clickhouse = ClickHouseHttp(engine, access, outside=options.allow_outside)
    try:
        grpc_server = OtlpGrpc(batchers, access, options.host, options.otlp_grpc_port)
    except OSError as error:
        raise CannotStartError(_cannot_listen(options.host, options.otlp_grpc_port, error)) from None
    servers = {
        "clickhouse_port": HttpServer(clickhouse, sockets["clickhouse_port"]),
        "otlp_port": HttpServer(OtlpHttp(batchers, access, recorder(engine)), sockets["otlp_port"]),
    }
    serving = [asyncio.create_task(server.run_on_socket()) for server in servers.values()]
    grpc_server.start()
    housekeeping = Housekeeping(engine)
    housekeeping.start()
    for server in servers.values():
        await server.ready.wait()
    ready = {name: sockets[name].getsockname()[1] for name in servers}
    print(
        json.dumps(
            {
                "event": "ready",
                **ready,
                "otlp_grpc_port": grpc_server.port,
                "version": version("promptspan"),
                "engine": engine.version,
            }
        ),
        flush=True,
    )
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([stopped, *serving], return_when=asyncio.FIRST_COMPLETED)
    for server in servers.values():
        server.should_exit = True
    await asyncio.gather(
        asyncio.to_thread(grpc_server.stop, _STOP_S),
        asyncio.to_thread(housekeeping.stop),
        # Queries may run for as long as they like; a stop does not wait for them.
        clickhouse.stop_queries(),
        *serving,
    )
    for batcher in batchers.values():
        await asyncio.to_thread(batcher.close)
    await clickhouse.close()
    stopped.cancel()


def _cannot_listen(host: str, port: int, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another program"
    reason = getattr(error, "strerror", None) or str(error)
    return f"cannot listen on {host} port {port}: {reason}"


if __name__ == "__main__":
    sys.exit(main())
