"""What the store itself says about its health."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from promptspan_server.cli.connecting import connected
from promptspan_server.cli.failure import CommandError
from promptspan_server.cli.finding import Finding, Status
from promptspan_server.queries.connection import QueryFailed, StoreUnreachable
from promptspan_server.queries.diagnosis import Disks, LastModelCall, RecentCalls, StoreClock
from promptspan_server.queries.health import Losses, PriceBook, Quarantine, Unpriced
from promptspan_server.queries.scope import TimeRange
from promptspan_server.store.executor import ClientExecutor
from promptspan_server.store.migrate import MigrationError, pending_migrations
from promptspan_server.store.retention import kept, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from promptspan_server.queries.connection import Dsn, Store

_SKEW_WARN_S = 2.0
_FREE_WARN = 0.10
_FREE_FAIL_BYTES = 2 * 1024**3
_WINDOW_MINUTES = 60
_SHOWN = 5


def reach(store: Store) -> list[Finding]:
    """Check that the store answers, and its clock."""
    try:
        store.ask(StoreClock())  # connects; the second one takes only its own time
        answer = store.ask(StoreClock())
    except StoreUnreachable as error:
        detail = f"{error.address} {error.reason}"
        return [Finding("ClickHouse HTTP", Status.fail, detail, error.remedy, unreachable=True)]
    except QueryFailed as error:
        return [Finding("ClickHouse HTTP", Status.fail, error.message, error.remedy)]
    clock = answer.rows[0]
    detail = f"{store.dsn.address} answers ({answer.elapsed_s * 1000:.0f} ms), engine {clock.version}"
    found = [Finding("ClickHouse HTTP", Status.ok, detail)]
    # The reply was made some time between asking and now; the middle is off by half of that at most.
    skew_s = clock.time.timestamp() - (answer.asked_at_s + answer.elapsed_s / 2)
    excess_s = abs(skew_s) - answer.elapsed_s / 2
    if excess_s > _SKEW_WARN_S:
        direction = "ahead of" if skew_s > 0 else "behind"
        found.append(
            Finding(
                "clock",
                Status.warn,
                f"the store's clock is {abs(skew_s):.1f} s {direction} this machine's",
                "let both follow NTP: windows such as 'last hour' depend on it",
            )
        )
    else:
        found.append(
            Finding("clock", Status.ok, f"the store's clock agrees with this machine's ({_signed(skew_s)})")
        )
    return found


def schema(dsn: Dsn) -> Finding:
    """Check that the store's tables are those of this version."""
    check = "migrations"
    remedy = "`promptspan migrate` brings them"
    try:
        with connected(dsn) as client:
            pending = pending_migrations(ClientExecutor(client))
    except (MigrationError, CommandError) as error:
        return Finding(check, Status.fail, str(error), remedy if isinstance(error, CommandError) else "")
    if pending:
        named = ", ".join(f"{migration.version:04}_{migration.name}" for migration in pending[:_SHOWN])
        detail = f"{len(pending)} not applied: {named}{_more(len(pending))}"
        return Finding(check, Status.fail, detail, remedy)
    return Finding(check, Status.ok, "every table is of this version")


def retention(dsn: Dsn) -> Finding:
    """Say how long what is kept."""
    try:
        with connected(dsn) as client:
            times = kept(ClientExecutor(client))
    except CommandError as error:
        return Finding("kept", Status.fail, str(error))
    return Finding("kept", Status.ok, "; ".join(f"{rule.what} {said(rule, n)}" for rule, n in times.items()))


def contents(store: Store) -> list[Finding]:
    """Look at the data: how fresh, how complete, how much room."""
    looks = (
        ("data", _data),
        ("prices", _prices),
        ("SDK losses", _losses),
        ("quarantine", _quarantine),
        ("disk", _disk),
    )
    return [_guarded(check, look, store) for check, look in looks]


def _guarded(check: str, look: Callable[[str, Store], Finding], store: Store) -> Finding:
    try:
        return look(check, store)
    except StoreUnreachable as error:
        return Finding(check, Status.fail, f"{error.address} {error.reason}", error.remedy, unreachable=True)
    except QueryFailed as error:
        return Finding(check, Status.fail, error.message, error.remedy)


def _data(check: str, store: Store) -> Finding:
    last = store.ask(LastModelCall())
    newest = last.rows[0]
    if newest is None:
        return Finding(
            check,
            Status.warn,
            "no model call has arrived yet",
            "point configure(endpoint=...) at the OTLP/HTTP address; --send tries the way",
        )
    age = f"the newest is {age_text(max(0.0, last.asked_at_s - newest.timestamp()))} old"
    recent = store.ask(RecentCalls(_WINDOW_MINUTES)).rows[0]
    if not recent.calls:
        return Finding(
            check,
            Status.warn,
            f"no model call in the last hour, {age}",
            "does the application run, and is its endpoint this store? promptspan.stats() says what it sent",
        )
    errors = f", {recent.errors} failed" if recent.errors else ""
    return Finding(check, Status.ok, f"{recent.calls} model calls in the last hour{errors}, {age}")


def _prices(check: str, store: Store) -> Finding:
    book = store.ask(PriceBook()).rows
    if not book:
        return Finding(
            check, Status.fail, "no prices were ever loaded", "`promptspan prices sync` loads them"
        )
    models = [row for row in store.ask(Unpriced(_last_week())).rows if row.price_status == "unpriced"]
    if not models:
        return Finding(
            check, Status.ok, f"{book[0].version}; every model called in the last 7 days has a price"
        )
    calls = sum(model.calls for model in models)
    named = ", ".join(
        f"{model.provider or 'unknown provider'}/{model.model or 'unknown model'} ({model.calls})"
        for model in models[:_SHOWN]
    )
    return Finding(
        check,
        Status.warn,
        f"{calls} calls of the last 7 days have usage and no price: {named}{_more(len(models))}",
        "`promptspan prices sync` loads the newest price book; until then their cost is unknown, not zero",
    )


def _losses(check: str, store: Store) -> Finding:
    losses = [row for row in store.ask(Losses(_last_week())).rows if row.lost]
    if not losses:
        return Finding(check, Status.ok, "no SDK reported a lost span in the last 7 days")
    named = ", ".join(
        f"{row.service}: "
        + ", ".join(f"{spans} {reason}" for reason, spans in sorted(row.dropped.items()) if spans)
        for row in losses[:_SHOWN]
    )
    lost = sum(row.lost for row in losses)
    return Finding(
        check,
        Status.warn,
        f"{lost} spans were lost before they were sent: {named}{_more(len(losses))}",
        "give the spool a directory and room (docs/sdk.md), and see promptspan.stats() there",
    )


def _quarantine(check: str, store: Store) -> Finding:
    kinds = store.ask(Quarantine(_last_week())).rows
    if not kinds:
        return Finding(check, Status.ok, "no value was set aside in the last 7 days")
    values = sum(kind.values for kind in kinds)
    named = ", ".join(
        f"{kind.values} {kind.field}, {kind.reason} (from {kind.instrumentation or 'unknown'})"
        for kind in kinds[:_SHOWN]
    )
    return Finding(
        check,
        Status.warn,
        f"{values} values of the last 7 days were set aside: {named}{_more(len(kinds))}",
        "SELECT * FROM quarantine shows them; mend the sender (a future or ancient time is its clock)",
    )


def _last_week() -> TimeRange:
    now = datetime.now(timezone.utc)
    return TimeRange(now - timedelta(days=7), now + timedelta(hours=1))


def _disk(check: str, store: Store) -> Finding:
    disks = store.ask(Disks()).rows
    if not disks:
        return Finding(check, Status.skip, "this user may not see system.disks")
    tightest = min(disks, key=lambda disk: disk.free_bytes / max(1, disk.total_bytes))
    used = sum(disk.used_bytes for disk in disks)
    share = tightest.free_bytes / max(1, tightest.total_bytes)
    detail = f"{size_text(used)} used, {size_text(tightest.free_bytes)} free ({share:.0%}) on {tightest.name}"
    if tightest.free_bytes < _FREE_FAIL_BYTES:
        return Finding(check, Status.fail, detail, "make room now: inserts fail when the disk is full")
    if share < _FREE_WARN:
        return Finding(
            check, Status.warn, detail, "make room, or shorten the time that data is kept (docs/store.md)"
        )
    return Finding(check, Status.ok, detail)


def _more(count: int) -> str:
    return f" and {count - _SHOWN} more" if count > _SHOWN else ""


def _signed(seconds: float) -> str:
    return f"{seconds * 1000:+.0f} ms"


def age_text(seconds: float) -> str:
    """Write a duration as people say it, in its largest unit."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def size_text(size_bytes: int) -> str:
    """Write a size in the largest binary unit that fits."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
