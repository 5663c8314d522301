from __future__ import annotations

import logging
from contextlib import contextmanager
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

    from promptspan_server.queries.connection import Dsn


def chosen_dsn(text: str | None) -> Dsn:
    """Return the store to talk to: `--dsn`, the environment, or the local store's reader.

    Raises:
        CommandError: The DSN cannot be read.
    """
    try:
        return dsn_from_environment(text=text)
    except InvalidDsn as error:
        raise CommandError(str(error)) from error


@contextmanager
def connected(dsn: Dsn) -> Generator[Client]:
    """Open a client for the block; every failure of the store inside becomes one line and exit code 2.

    Raises:
        CommandError: The store cannot be reached, or answered with an error.
    """
    from clickhouse_connect import common
    from clickhouse_connect.driver.exceptions import ClickHouseError
    from urllib3.exceptions import HTTPError

    # A reader may not be allowed to change a setting; the answer is the same without it.
    common.set_setting("invalid_setting_action", "drop")  # pyright: ignore[reportUnknownMemberType]
    logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)
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
    return text[start:] if start >= 0 else text
