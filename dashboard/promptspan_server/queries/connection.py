"""The way to the data: a data source name becomes a client, every failure one sentence with its remedy."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from clickhouse_connect.driver.client import Client

    from promptspan_server.queries.query import Query

Row = TypeVar("Row")

DEFAULT_DSN = "http://reader@127.0.0.1:8123/default"
DSN_VARIABLE = "PROMPTSPAN_CLICKHOUSE_URL"
TOKEN_VARIABLE = "PROMPTSPAN_TOKEN"  # noqa: S105  (the variable's name)

CONNECT_TIMEOUT_S = 3
QUERY_TIMEOUT_S = 25
# Views are read as if their text stood in the question: what it does not ask for is not planned.
_SETTINGS = {"max_execution_time": QUERY_TIMEOUT_S, "analyzer_inline_views": 1}
# A page is drawn on fresh connections of the pool: one panel a thread.
_POOL_SIZE = 8
_SECURE = {"https": True, "clickhouses": True, "http": False, "clickhouse": False}
_CODE_AUTHENTICATION = {192, 193, 194, 516}
_CODE_UNKNOWN_TABLE = {60, 81, 47}
_CODE_LIMITS = {158, 159, 160, 241, 307, 396}


class StoreUnreachable(Exception):  # noqa: N818  (a state of the world, not a mistake)
    """No answer from the store, or a refusal to let us in.

    Attributes:
        address: Where we knocked, without the password.
        reason: What happened, one clause.
        remedy: What the reader can do about it, one sentence.
    """

    def __init__(self, address: str, reason: str, remedy: str) -> None:
        super().__init__(f"the store at {address} {reason}; {remedy}")
        self.address = address
        self.reason = reason
        self.remedy = remedy


class QueryFailed(Exception):  # noqa: N818  (the question failed, the store is up)
    """The store answered with an error of its own.

    Attributes:
        code: ClickHouse's error code, 0 where it gave none.
        message: ClickHouse's text.
        remedy: What the reader can do about it, one sentence.
    """

    def __init__(self, code: int, message: str, remedy: str) -> None:
        super().__init__(f"the store refused a question ({message}); {remedy}")
        self.code = code
        self.message = message
        self.remedy = remedy


class InvalidDsn(ValueError):  # noqa: N818  (reads as the sentence it makes)
    """The data source name cannot be understood; the text says why, without the password."""


@dataclass(frozen=True, slots=True)
class Dsn:
    """A parsed data source name.

    Attributes:
        host: Name or address, without brackets.
        port: TCP port of the ClickHouse HTTP interface.
        user: User name, `default` if none was given.
        password: Empty if none was given. Never printed: see `address`.
        database: The database that unqualified names refer to.
        secure: TLS.
        settings: Settings from the query part, sent with every query.
    """

    host: str
    port: int
    user: str
    password: str
    database: str
    secure: bool
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def address(self) -> str:
        """Where this leads, for messages: no password in it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{self.user}@{host}:{self.port}/{self.database}"

    def __repr__(self) -> str:
        return f"Dsn({self.address})"

    @property
    def url(self) -> str:
        """The name in full, as `parse_dsn` reads it, with the password: for a child's environment only."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        secret = f":{quote(self.password, safe='')}" if self.password else ""
        scheme = "https" if self.secure else "http"
        query = "?" + "&".join(f"{quote(k)}={quote(v)}" for k, v in self.settings) if self.settings else ""
        return (
            f"{scheme}://{quote(self.user, safe='')}{secret}@{host}:{self.port}/{quote(self.database)}{query}"
        )


def parse_dsn(text: str) -> Dsn:
    """Read `http(s)://user:password@host:port/database` or `clickhouse(s)://...`.

    Left out, the user is `default`, the database `default`, the port 8123 (8443 with TLS). Query
    parameters are ClickHouse settings.

    Raises:
        InvalidDsn: The text is no such name; the message says what is wrong and never repeats a password.
    """
    example = f"it looks like {DEFAULT_DSN}"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:
        raise InvalidDsn(f"the DSN has a port that is no number or a broken address; {example}") from error
    if parts.scheme not in _SECURE:
        found = f"{parts.scheme}://" if parts.scheme and "//" in text else "no scheme"
        schemes = ", ".join(f"{name}://" for name in sorted(_SECURE))
        raise InvalidDsn(f"the DSN has {found}, one of {schemes} was expected; {example}")
    if not parts.hostname:
        raise InvalidDsn(f"the DSN names no host; {example}")
    database = unquote(parts.path.strip("/"))
    if "/" in database:
        raise InvalidDsn(f"the DSN's path is one database name; {example}")
    secure = _SECURE[parts.scheme]
    settings = dict(parse_qsl(parts.query))
    secure = settings.pop("secure", str(secure)).lower() in ("true", "1")
    return Dsn(
        host=parts.hostname,
        port=port or (8443 if secure else 8123),
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=database or "default",
        secure=secure,
        settings=tuple(sorted(settings.items())),
    )


def dsn_from_environment(environment: Mapping[str, str] | None = None, text: str | None = None) -> Dsn:
    """Choose the store: `text` if given, else `PROMPTSPAN_CLICKHOUSE_URL`, else the local store's reader.

    A DSN of a loopback address without a password takes `PROMPTSPAN_TOKEN` as its password: with a token the
    local store asks for it.

    Raises:
        InvalidDsn: See `parse_dsn`.
    """
    values = os.environ if environment is None else environment
    dsn = parse_dsn(text or values.get(DSN_VARIABLE) or DEFAULT_DSN)
    token = values.get(TOKEN_VARIABLE, "")
    if token and not dsn.password and dsn.host in ("127.0.0.1", "localhost", "::1"):
        return Dsn(dsn.host, dsn.port, dsn.user, token, dsn.database, dsn.secure, dsn.settings)
    return dsn


def connect(dsn: Dsn) -> Client:
    """Open a `clickhouse_connect` client. It has no session, so threads may share it.

    Raises:
        StoreUnreachable: Nothing answers there, it is not ClickHouse, or it does not let us in.
        QueryFailed: It answered with another error.
    """
    import clickhouse_connect
    from clickhouse_connect.driver import httputil

    # The driver leaves its keyword arguments untyped.
    driver: Any = clickhouse_connect
    pools: Any = httputil
    # Its log repeats as a traceback what the raised sentence says.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    with _translated(dsn):
        client: Client = driver.get_client(
            host=dsn.host,
            port=dsn.port,
            username=dsn.user,
            password=dsn.password,
            database=dsn.database,
            secure=dsn.secure,
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=QUERY_TIMEOUT_S + 5,
            query_retries=1,
            autogenerate_session_id=False,
            client_name="promptspan",
            settings=dict(dsn.settings),
            pool_mgr=pools.get_pool_manager(maxsize=_POOL_SIZE, num_pools=2),
        )
    return client


@dataclass(frozen=True, slots=True)
class Answer(Generic[Row]):
    """Rows, and what makes them trustworthy.

    Attributes:
        rows: Typed rows, at most the query's own limit.
        asked_at_s: When the question was put, seconds since the epoch: the age of what is shown.
        elapsed_s: How long the store took, with transport.
    """

    rows: tuple[Row, ...]
    asked_at_s: float
    elapsed_s: float


class Store:
    """The store behind one data source name. One per process; threads share it.

    The client is made at the first question and again after a failure, so a store that comes back is found.
    """

    def __init__(self, dsn: Dsn) -> None:
        self.dsn = dsn
        self._lock = threading.Lock()
        self._client: Client | None = None

    def ask(self, query: Query[Row]) -> Answer[Row]:
        """Put one question.

        Raises:
            StoreUnreachable: No answer, or we are not let in.
            QueryFailed: The store refused the question.
        """
        asked_at_s = time.time()
        began = time.perf_counter()
        client: Any = self._connected()
        try:
            with _translated(self.dsn):
                result = client.query(
                    query.sql(),
                    parameters=dict(query.parameters()),
                    settings=_settable(client),
                )
        except StoreUnreachable:
            self.close()
            raise
        rows = tuple(query.row(values) for values in result.result_rows)
        return Answer(rows, asked_at_s, time.perf_counter() - began)

    def table(self, sql: str, parameters: Mapping[str, Any]) -> Any:
        """Put one question whose answer is many numbers, and take it as columns: a `pyarrow.Table`.

        Raises:
            StoreUnreachable: No answer, or we are not let in.
            QueryFailed: The store refused the question.
        """
        client: Any = self._connected()
        try:
            with _translated(self.dsn):
                return client.query_arrow(sql, parameters=dict(parameters), settings=_settable(client))
        except StoreUnreachable:
            self.close()
            raise

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]], *, token: str | None = None) -> None:
        """Insert rows that all have the same columns, in one block; nothing happens without rows.

        Args:
            table: A table's name, of ours.
            rows: Values as JSON has them, and aware datetimes.
            token: Of several inserts with the same token into a table that remembers them, the first stays.

        Raises:
            StoreUnreachable: No answer, or we are not let in.
            QueryFailed: The store refused the rows.
        """
        if not rows:
            return
        body = "\n".join(json.dumps(row, default=_written, ensure_ascii=False) for row in rows)
        client: Any = self._connected()
        try:
            with _translated(self.dsn):
                client.raw_insert(
                    table,
                    column_names=list(rows[0]),
                    insert_block=body.encode("utf-8", "replace"),
                    fmt="JSONEachRow",
                    settings={} if token is None else {"insert_deduplication_token": token},
                )
        except StoreUnreachable:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connections; the next question makes new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = connect(self.dsn)
            return self._client


def _settable(client: Any) -> dict[str, int]:
    """What may be set here: an older server does not know it all, and a user may be held to the server's."""
    known = client.server_settings
    return {name: value for name, value in _SETTINGS.items() if name in known and not known[name].readonly}


@contextmanager
def _translated(dsn: Dsn) -> Generator[None]:
    from clickhouse_connect.driver.exceptions import ClickHouseError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as error:
        raise _failure(dsn, error) from error


def _failure(dsn: Dsn, error: Exception) -> StoreUnreachable | QueryFailed:
    code: Any = getattr(error, "code", None)
    message = _first_line(error)
    if code in _CODE_AUTHENTICATION:
        return StoreUnreachable(
            dsn.address,
            "does not accept this user and password",
            f"put them into {DSN_VARIABLE} (for the local store the password is its token)",
        )
    if isinstance(code, int) and code:
        return QueryFailed(code, message, _remedy(code))
    if "HTTP status" in message:
        return StoreUnreachable(
            dsn.address, "answers, but not as ClickHouse does", f"check host and port in {DSN_VARIABLE}"
        )
    return StoreUnreachable(
        dsn.address, _reason(message), f"start it with `promptspan up`, or set {DSN_VARIABLE}"
    )


def _remedy(code: int) -> str:
    if code in _CODE_UNKNOWN_TABLE:
        return "run `promptspan migrate`: this store lacks a table or column that this version reads"
    if code in _CODE_LIMITS:
        return "choose a shorter time range: the question went over the store's limits"
    return "`promptspan doctor` tells more"


def _reason(message: str) -> str:
    lowered = message.lower()
    if "refused" in lowered:
        return "refuses connections"
    if "timed out" in lowered or "timeout" in lowered:
        return "does not answer in time"
    if "resolve" in lowered or "name or service" in lowered or "getaddrinfo" in lowered:
        return "has a name that does not resolve"
    if "ssl" in lowered or "certificate" in lowered:
        return "cannot be trusted (TLS)"
    return "cannot be reached"


def _written(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
    raise TypeError(f"{type(value).__name__} has no form in the store")


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
