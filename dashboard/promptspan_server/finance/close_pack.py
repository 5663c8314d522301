"""The pack of a closed month: every file that its number rests on, and a manifest of their SHA-256.

The same revision gives the same bytes, whenever and wherever it is written.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from promptspan_server.finance.adjustments import BY, differences
from promptspan_server.finance.charge_source import rates_used
from promptspan_server.finance.closed import CloseError, frozen_basis
from promptspan_server.finance.focus_export import export_closed
from promptspan_server.finance.frozen_rows import COLUMNS, frozen_rows
from promptspan_server.finance.table_files import Table, number_text, writing
from promptspan_server.pricing.meters import METER_NAMES

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from promptspan_server.finance.closed import Revision
    from promptspan_server.finance.focus import RateRecord
    from promptspan_server.finance.ledger import Asks
    from promptspan_server.queries.scope import TimeRange

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
"""Raised when the same revision is to be written otherwise."""

_LEDGER: Final = Table("Ledger", COLUMNS)
_PRICES: Final = Table(
    "Prices",
    {
        "rate_id": "text",
        "price_id": "text",
        "tier": "text",
        "input_from": "count",
        "day_from_s": "count",
        **{f"{name}_usd_per_mtok": "price" for name in METER_NAMES},
        **{f"list_{name}_usd_per_mtok": "price" for name in METER_NAMES},
        "request_usd": "price",
        "contract": "text",
    },
)
_DIFFERENCES: Final = Table(
    "Differences", {"by": "text", "value": "text", "cause": "text", "calls": "count", "usd": "money"}
)
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
_CHUNK_BYTES: Final = 1 << 20


def write_files(store: Asks, month: TimeRange, chain: Sequence[Revision], folder: Path) -> str:
    """Write the files of the last revision of a chain into an empty folder, the manifest among them.

    Args:
        store: The store.
        month: The month.
        chain: Its revisions from the first to the one that is wanted.
        folder: Where to.

    Returns:
        The manifest's text.

    Raises:
        InexactExport: The charges are not what was frozen.
        RatesError: An exchange rate is missing.
    """
    revision = chain[-1]
    closes = [one.close_id for one in chain]
    basis = frozen_basis(store, revision)
    for name, text in basis.texts.items():
        (folder / name).write_bytes(text.encode())
    with writing(folder / "ledger.csv", _LEDGER) as file:
        file.write(frozen_rows(store, month, closes))
    with writing(folder / "prices.csv", _PRICES) as file:
        file.write(map(_price_row, rates_used(store, month, tuple(closes)).values()))
    written = export_closed(store, month, folder / "focus.csv", chain)
    if len(chain) > 1:
        with writing(folder / "adjustments.csv", _LEDGER) as file:
            file.write(frozen_rows(store, month, closes[-1:]))
        rules = frozen_basis(store, chain[-2]).allocation, basis.allocation
        with writing(folder / "differences.csv", _DIFFERENCES) as file:
            found = differences(store, month, before=closes[:-1], after=closes[-1:], by=BY, rules=rules)
            for by, parts in found.items():
                file.write((by, part.value, part.cause, part.calls, part.usd) for part in parts)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "month": revision.name,
        "revision": revision.number,
        "closed_at": revision.closed_at.isoformat(),
        "note": revision.note,
        "price_book": {"sha256": revision.price_book, "version": revision.price_book_version},
        "totals": {
            "calls": revision.calls,
            "calls_without_a_cost": revision.uncharged_calls,
            "cost_usd": number_text(revision.cost_usd),
            "adjusted_usd": number_text(revision.adjusted_usd),
            "reporting_currency": written.currency or None,
            "reporting_cost": number_text(written.reporting_cost) if written.currency else None,
        },
        # Each revision vouches for the one before.
        "previous_manifest": _digest(chain[-2].manifest.encode()) if len(chain) > 1 else None,
        "files": [
            {"name": path.name, "bytes": path.stat().st_size, "sha256": file_digest(path)}
            for path in sorted(folder.iterdir())
        ],
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_bytes(text.encode())
    return text


@contextmanager
def scratch() -> Generator[Path]:
    """A folder for the block."""
    folder = Path(tempfile.mkdtemp(prefix="promptspan-close-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def deliver(folder: Path, target: Path) -> None:
    """Put the files of a pack where they are wanted: a `.zip`, or a directory that does not exist yet.

    Raises:
        CloseError: The target is there already.
    """
    if target.exists():
        raise CloseError(f"{target} is there already: choose another --output")
    part = target.with_name(f".{target.name}.part")
    if target.suffix.lower() == ".zip":
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.iterdir()):
                info = zipfile.ZipInfo(path.name, _ZIP_TIME)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                with path.open("rb") as source, archive.open(info, "w", force_zip64=True) as into:
                    shutil.copyfileobj(source, into, _CHUNK_BYTES)
    else:
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(folder, part)
    part.replace(target)


def read_pack(pack: Path) -> dict[str, str]:
    """SHA-256 of every file of a pack, a directory or a `.zip`, by name.

    Raises:
        CloseError: It cannot be read.
    """
    try:
        if pack.is_dir():
            return {path.name: file_digest(path) for path in sorted(pack.iterdir()) if path.is_file()}
        with zipfile.ZipFile(pack) as archive:
            found: dict[str, str] = {}
            for name in sorted(archive.namelist()):
                with archive.open(name) as file:
                    found[name] = hashlib.file_digest(file, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]
            return found
    except (OSError, zipfile.BadZipFile) as error:
        raise CloseError(f"{pack}: no pack that can be read ({error})") from error


def unlike(revision: Revision, found: dict[str, str]) -> list[str]:
    """Name what differs between a pack and the manifest that was frozen with a revision.

    Returns:
        One line for each file that is missing, more, or not the same; none if all is as it was.
    """
    wanted = {name: str(file["sha256"]) for name, file in revision.files.items()}
    wanted[MANIFEST] = _digest(revision.manifest.encode())
    lines = [f"{name}: missing" for name in sorted(wanted.keys() - found.keys())]
    lines += [f"{name}: not in the manifest" for name in sorted(found.keys() - wanted.keys())]
    return lines + [
        f"{name}: SHA-256 is {found[name]}, was {wanted[name]}"
        for name in sorted(wanted.keys() & found.keys())
        if wanted[name] != found[name]
    ]


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _price_row(rate: RateRecord) -> tuple[Any, ...]:
    return (
        rate.rate_id,
        rate.price_id,
        rate.tier,
        rate.input_from,
        rate.day_from_s,
        *rate.usd_per_mtok,
        *rate.list_usd_per_mtok,
        rate.request_usd,
        rate.contract,
    )
