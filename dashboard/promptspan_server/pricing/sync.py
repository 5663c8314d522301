"""Put the current price book into the store: idempotent, and quick when nothing changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptspan_server.pricing.meters import METER_NAMES
from promptspan_server.pricing.names import current_book, match_remembered
from promptspan_server.pricing.repricing import mark_repriced_hours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from promptspan_server.pricing.book import Book
    from promptspan_server.store.executor import Executor

_PACKAGE_MODULE = "genai_prices"
_PACKAGE = "genai-prices"
_FORMAT = "1"
"""Raised when the same inputs are to be written differently, so that a new release of ours writes them
again."""


@dataclass(frozen=True)
class BookSummary:
    """What a synchronisation left in force.

    Attributes:
        version: The book's version, for people.
        hash: SHA-256 of its rows, hex.
        models: Priced models.
        rows: Price rows.
        changed: Whether the book in force is another than before.
    """

    version: str
    hash: str
    models: int
    rows: int
    changed: bool


def sync_prices(executor: Executor) -> BookSummary:
    """Make the installed `genai-prices`, under the imported `prices.yaml`, the book in force.

    When a book changes, every remembered name is matched against it before it becomes current, and the hours
    whose calls are priced otherwise are marked for the ledger's recompute.

    Raises:
        PriceFileError: The imported file names a price that the installed package does not have.
    """
    content = _imported_file(executor)
    inputs = _inputs_hash(content)
    current = executor.rows(
        "SELECT book, version, inputs, models, price_rows FROM price_books ORDER BY applied_at DESC LIMIT 1"
    )
    if current and current[0][2] == inputs:
        book, name, _, models, rows = current[0]
        return BookSummary(name, book, models, rows, changed=False)

    return _put(executor, _build(content), inputs, before=current[0][0] if current else "")


def import_prices(executor: Executor, content: str, name: str = "prices.yaml") -> BookSummary:
    """Take a user's price file and make the book that it gives the one in force. An empty file takes it away.

    Args:
        executor: The store.
        content: The file, YAML.
        name: What to call it in messages.

    Raises:
        PriceFileError: The file is wrong; nothing was changed.
    """
    built = _build(content, name)
    if content != _imported_file(executor):
        executor.command(
            "INSERT INTO price_files (imported_at, content, sha256) "
            "SELECT now64(6, 'UTC'), {content:String}, lower(hex(SHA256({content:String})))",
            {"content": content},
        )
    return _put(executor, built, _inputs_hash(content), before=current_book(executor))


def lay_out(executor: Executor, content: str | None, name: str = "prices.yaml") -> Book:
    """Write a book and match the remembered names against it, without putting it in force.

    Args:
        executor: The store.
        content: A price file, YAML; None for the one that was imported last.
        name: What to call it in messages.

    Raises:
        PriceFileError: The file is wrong; nothing was written.
    """
    built = _build(_imported_file(executor) if content is None else content, name)
    _write(executor, built)
    match_remembered(executor, built.hash)
    return built


def _build(content: str, name: str = "prices.yaml") -> Book:
    # The package's data is a module of 30,000 lines: loaded only when there is something to build.
    from promptspan_server.pricing.book import build_book
    from promptspan_server.pricing.contracts import parse_contracts
    from promptspan_server.pricing.genai import read_package

    return build_book(read_package(), parse_contracts(content, name) if content else None)


def _put(executor: Executor, built: Book, inputs: str, *, before: str) -> BookSummary:
    changed = built.hash != before
    executor.insert("model_windows", ("price_id", "context_window"), built.windows)
    if changed:
        _write(executor, built)
        match_remembered(executor, built.hash)
    executor.command(
        "INSERT INTO price_books (applied_at, book, version, inputs, models, price_rows) "
        "SELECT now64(6, 'UTC'), {book:String}, {version:String}, {inputs:String}, {models:UInt32}, "
        "{rows:UInt32}",
        {
            "book": built.hash,
            "version": built.version,
            "inputs": inputs,
            "models": str(built.models),
            "rows": str(len(built.rates)),
        },
    )
    if changed:
        # Once more, for the names that came while the book was written.
        match_remembered(executor, built.hash)
        mark_repriced_hours(executor, before, built.hash)
    return BookSummary(built.version, built.hash, built.models, len(built.rates), changed=changed)


def _write(executor: Executor, book: Book) -> None:
    executor.insert("price_rates", _RATE_COLUMNS, _rate_rows(book))
    executor.insert("price_match", _MATCH_COLUMNS, _match_rows(book))


_RATE_COLUMNS = (
    "book",
    "price_id",
    "tier",
    "tenant",
    "valid_from",
    "valid_to",
    "day_from_s",
    "day_to_s",
    "input_from",
    "input_to",
    "rate_id",
    "meters",
    *(f"{name}_usd_per_mtok" for name in METER_NAMES),
    "request_usd",
    "list_usd_per_mtok",
    "source",
    "contract",
)
_MATCH_COLUMNS = (
    "book",
    "scope",
    "provider",
    "priority",
    "alternative",
    "target",
    "equals",
    "starts",
    "ends",
    "contains",
    "patterns",
    "not_patterns",
)


def _rate_rows(book: Book) -> Iterator[list[Any]]:
    from promptspan_server.pricing.book import rate_id

    for rate in book.rates:
        yield [
            book.hash,
            rate.price_id,
            rate.tier,
            rate.tenant,
            rate.valid_from,
            rate.valid_to,
            rate.day_from_s,
            rate.day_to_s,
            rate.input_from,
            rate.input_to,
            rate_id(rate),
            sum(1 << bit for bit, price in enumerate(rate.usd_per_mtok) if price is not None),
            *(0 if price is None else price for price in rate.usd_per_mtok),
            rate.request_usd,
            list(rate.list_usd_per_mtok),
            rate.source,
            rate.contract,
        ]


def _match_rows(book: Book) -> Iterator[list[Any]]:
    for index, name in enumerate(book.names):
        test = name.test
        yield [
            book.hash,
            name.scope,
            name.provider,
            name.priority,
            index,
            name.target,
            test.equals,
            test.starts,
            test.ends,
            list(test.contains),
            list(test.patterns),
            list(test.not_patterns),
        ]


def _imported_file(executor: Executor) -> str:
    rows = executor.rows("SELECT content FROM price_files ORDER BY imported_at DESC LIMIT 1")
    return str(rows[0][0]) if rows else ""


def _inputs_hash(content: str) -> str:
    spec = find_spec(_PACKAGE_MODULE)
    digest = hashlib.sha256(f"{_FORMAT}\n{version(_PACKAGE)}\n".encode())
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        # Data may be replaced without a new version (a nightly build, a patched installation).
        for file in sorted(Path(folder).glob("data*.py")):
            digest.update(file.read_bytes())
    digest.update(content.encode())
    return digest.hexdigest()
