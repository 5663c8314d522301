"""What the store answers when it cannot do what was asked."""

from __future__ import annotations

import re

_CODE = re.compile(r"Code: (\d+)\. (?:DB::Exception: )?")
_NAME = re.compile(r"\.?\s*\(([A-Z][A-Z0-9_]+)\)\s*$")
_VERSION = re.compile(r"\s*\(version [^()]*(?:\([^()]*\))?\)\s*\.?\s*$")
# Data are inserted by way of a nameless file; its name says nothing to anyone.
_SPOOL = re.compile(
    r":? \(in file/uri /(?:proc/self|dev)/fd/\d+\)"
    r"|: While executing File: data for INSERT was parsed from file"
)
_UNKNOWN_EXCEPTION = 1002


class StoreError(Exception):
    """An error of the engine, with ClickHouse's own numbering.

    Attributes:
        code: ClickHouse's error code, e.g. 60; 1002 where the engine gave none.
        name: ClickHouse's name of that code, e.g. `UNKNOWN_TABLE`.
        message: The text without code and name.
    """

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message} ({name})")
        self.code = code
        self.name = name
        self.message = message


class StoreLocked(StoreError):  # noqa: N818 - a state of the store, named as one
    """Another process owns the data directory."""

    def __init__(self, message: str) -> None:
        super().__init__(76, "CANNOT_OPEN_FILE", message)


class StoreClosed(StoreError):  # noqa: N818 - a state of the store, named as one
    """The engine is stopping or has stopped; the caller may try again later."""

    def __init__(self) -> None:
        super().__init__(734, "SESSION_REFUSED", "The store is shutting down.")


def engine_error(text: str) -> StoreError:
    """The `StoreError` for a message of the engine (`Code: N. DB::Exception: text (NAME)`)."""
    found = _CODE.search(text)
    if found is None:
        return StoreError(_UNKNOWN_EXCEPTION, "UNKNOWN_EXCEPTION", text.strip())
    message = _SPOOL.sub("", text[found.end() :]).strip()
    # The engine wraps some messages twice: prefix, version and name come again inside.
    while (again := _CODE.match(message)) is not None:
        message = message[again.end() :]
    code_name = "UNKNOWN_EXCEPTION"
    while True:
        message = _VERSION.sub("", message)
        name = _NAME.search(message)
        if name is None:
            return StoreError(int(found[1]), code_name, message.strip())
        message, code_name = message[: name.start()], name[1]
