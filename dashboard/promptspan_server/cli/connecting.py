from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from promptspan_server.cli.failure import CommandError
from promptspan_server.queries.connection import (
    InvalidDsn,
    QueryFailed,
    StoreUnreachable,
    connect,
    dsn_from_environment,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from clickhouse_connect.driver.client import Client

    from promptspan_server.queries.connection import Dsn, Store


_CODE_READONLY = 164
# What the driver and the server add behind an error: where it was sent, and the server's version.
_ENDING = re.compile(r"(\s*\((?:for url|version) [^()]*(?:\([^()]*\))?[^()]*\)\.?)+$")


def chosen_dsn(text: str | None) -> Dsn:
    """Return the store to talk to: `--dsn`, the environment, or the local store's reader.

    Raises:
        CommandError: The DSN cannot be read.
    """
    try:
        return dsn_from_environment(text=text)
    except InvalidDsn as error:
        raise CommandError(str(error)) from error


def writer(dsn: Dsn, *, given: bool) -> Dsn:
    """Return the DSN for a command that writes: the default one's reader becomes the local store's writer.

    Args:
        dsn: The store.
        given: The user named it, and so the user who writes.
    """
    return dsn if given else replace(dsn, user="default")


def tame_driver() -> None:
    """Let the driver drop settings that a reader may not change, and leave the reporting of errors to us."""
    from clickhouse_connect import common

    common.set_setting("invalid_setting_action", "drop")  # pyright: ignore[reportUnknownMemberType]
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL + 1)


@contextmanager
def connected(dsn: Dsn) -> Generator[Client]:
    """Open a client for the block; every failure of the store inside becomes one line and exit code 2.

    Raises:
        CommandError: The store cannot be reached, or answered with an error.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError
    from urllib3.exceptions import HTTPError

    tame_driver()
    try:
        client = connect(dsn)
        try:
            yield client
        finally:
            client.close()
    except (StoreUnreachable, QueryFailed) as error:
        raise CommandError(str(error)) from error
    except (ClickHouseError, HTTPError, OSError) as error:
        raise CommandError(_one_line(error)) from error


def _one_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    # The driver puts its own words before ClickHouse's, which say what is wrong and begin with its code.
    start = text.find("Code: ")
    line = _ENDING.sub("", text[start:] if start >= 0 else text)
    if getattr(error, "code", None) == _CODE_READONLY:
        return f"{line} (this user may only read: the DSN has to name one that may write)"
    return line


@contextmanager
def opened(dsn: str | None, *, write: bool = False) -> Generator[Store]:
    """The store for a block; what it refuses becomes one line and exit code 2."""
    from promptspan_server.queries.connection import Store

    tame_driver()
    chosen = chosen_dsn(dsn)
    store = Store(writer(chosen, given=dsn is not None) if write else chosen)
    try:
        yield store
    except (StoreUnreachable, QueryFailed) as error:
        raise CommandError(str(error)) from error
    finally:
        store.close()
