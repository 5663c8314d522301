"""The evaluator as a process: turns until it is stopped, deliveries beside them.

    python -m promptspan_server.cli.alerting [--rules DIR] [--dashboard-url URL]

The store is PROMPTSPAN_CLICKHOUSE_URL, as a user who may write. What begins and ends is printed.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptspan_server.cli.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from decimal import Decimal

    from promptspan_server.alerts.destinations.config import Destinations
    from promptspan_server.alerts.evaluator import Evaluator, Tick
    from promptspan_server.alerts.reading import BudgetsAt
    from promptspan_server.alerts.rule_files import RuleBook, RuleFiles
    from promptspan_server.alerts.states import State
    from promptspan_server.queries.connection import Dsn, Store

EVERY_S = 5.0
METRICS_PORT_VARIABLE, METRICS_HOST_VARIABLE = "PROMPTSPAN_METRICS_PORT", "PROMPTSPAN_METRICS_HOST"
_FRESH_S = 90.0

_log = logging.getLogger("promptspan.alerts")


def main() -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        0 after a signal, 2 if it could not start.
    """
    parser = argparse.ArgumentParser(prog="python -m promptspan_server.cli.alerting")
    parser.add_argument("--rules", type=Path, default=None)
    parser.add_argument("--dashboard-url", default=None)
    options = parser.parse_args()
    from promptspan_server.queries.connection import dsn_from_environment

    try:
        run(dsn_from_environment(), rules=options.rules, dashboard_url=options.dashboard_url)
    except CommandError as error:
        print(f"promptspan alerts: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


def read_files(rules: Path | None) -> tuple[RuleBook, Destinations]:
    """Read rules and destinations.

    Args:
        rules: The user's directory, see `rules_directory`.

    Raises:
        CommandError: A file says what it must not; the message names file and line.
    """
    files, destinations = _open_files(rules)
    return files.book, destinations


def _open_files(rules: Path | None) -> tuple[RuleFiles, Destinations]:
    from promptspan_server.alerts.destinations.config import FILE, Destinations, read_destinations
    from promptspan_server.alerts.documents import DocumentError
    from promptspan_server.alerts.rule_files import RuleFiles, rules_directory

    try:
        directory = rules_directory(rules)
        files = RuleFiles(directory)
        file = None if directory is None else directory / FILE
        found = read_destinations(file) if file is not None and file.is_file() else Destinations()
    except DocumentError as error:
        raise CommandError(str(error)) from error
    return files, found


def budgets_of(store: Store) -> BudgetsAt:
    """Read budgets and allocation rules, and make what alerts ask of them.

    Raises:
        CommandError: A file cannot be read or taken; the message names file and line.
    """
    from promptspan_server.finance.budgets import alerting, read_burns
    from promptspan_server.finance.currency import RatesError, usd_per
    from promptspan_server.finance.files import load_allocation, load_budgets, load_rates

    try:
        budgets, allocation = load_budgets(), load_allocation()
        foreign = any(each.currency != "USD" for each in budgets.budgets)
        rates = load_rates() if foreign else None
    except ValueError as error:
        raise CommandError(str(error)) from error

    def asked(at: datetime) -> list[Mapping[str, object]]:
        known = usd_per(rates, at.date())

        def worth(currency: str) -> Decimal | None:
            # A day without a rate is a budget without a state, not an end to the other alerts.
            try:
                return known(currency)
            except RatesError:
                return None

        return alerting(read_burns(store, budgets, allocation, at, worth))

    return asked


def page_of(dashboard_url: str | None) -> Callable[[State], str | None]:
    """Make the addresses of incident pages."""
    base = (dashboard_url or "").rstrip("/")
    return lambda state: f"{base}/incident?id={state.fingerprint}" if base else None


def run(
    dsn: Dsn,
    *,
    rules: Path | None = None,
    dashboard_url: str | None = None,
    once: bool = False,
) -> None:
    """Evaluate, and deliver what is to be told, until a signal or, with `once`, one evaluation.

    Raises:
        CommandError: Rules or destinations cannot be read; with `once`, the store cannot be asked.
    """
    from promptspan_server.alerts.evaluator import Evaluator
    from promptspan_server.cli.connecting import tame_driver
    from promptspan_server.queries.connection import QueryFailed, Store, StoreUnreachable

    files, destinations = _open_files(rules)
    tame_driver()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    store = Store(dsn)
    evaluator = Evaluator(
        store,
        files.book,
        budgets=budgets_of(store),
        destinations=[each.name for each in destinations.destinations],
        url_of=page_of(dashboard_url),
    )
    if once:
        try:
            tick = evaluator.tick(wait=True)
        except (StoreUnreachable, QueryFailed) as error:
            raise CommandError(str(error)) from error
        _say(tick)
        return
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    with ExitStack() as stack:
        loop = Loop(evaluator, stopping, files)
        deliverers = _deliverers(dsn, destinations, loop)
        for part in (*deliverers, *_metrics(dsn, deliverers)):
            part.start()
            stack.callback(part.stop)
        loop.run()


class Loop:
    """Turns of an evaluator.

    Args:
        evaluator: Whose.
        stopping: Set to end.
        files: Where its rules are from; they are looked at before each turn.
    """

    def __init__(self, evaluator: Evaluator, stopping: threading.Event, files: RuleFiles) -> None:
        self._files = files
        self._evaluator = evaluator
        self._stopping = stopping
        self._answered: float | None = None
        self._blind = ""
        self.mine = False

    @property
    def healthy(self) -> bool:
        """Whether rules are being evaluated, by this evaluator or the one that has the turn."""
        return not self._blind and self._answered is not None and time.monotonic() - self._answered < _FRESH_S

    def run(self) -> None:
        """Take turns until the end."""
        while not self._stopping.is_set():
            began = time.monotonic()
            self._turn()
            self._stopping.wait(max(0.5, EVERY_S - (time.monotonic() - began)))

    def _take_up(self) -> None:
        if not self._files.look():
            return
        self._evaluator.book, self._evaluator.wrong_files = self._files.book, self._files.wrong
        if self._files.wrong:
            _log.error("rule files are wrong, the rules before them hold: %s", self._files.wrong)
        else:
            _log.warning("rule files changed: %d rules hold", len(self._files.book.rules))

    def _turn(self) -> None:
        from promptspan_server.queries.connection import QueryFailed, StoreUnreachable

        self._take_up()
        try:
            tick = self._evaluator.tick()
        except (StoreUnreachable, QueryFailed) as error:
            self.mine = False
            self._notice_blindness(f"blind: {error}")
            return
        self._answered = time.monotonic()
        self.mine = tick is not None
        if tick is None:
            self._notice_blindness("")
            return
        wrong = [each for each in tick.evaluated if each.outcome == "error"]
        self._notice_blindness("; ".join(f"blind: {each.rule}: {each.detail}" for each in wrong))
        _say(tick)

    def _notice_blindness(self, what: str) -> None:
        if what and what != self._blind:
            _log.error("%s", what)
        elif self._blind and not what:
            _log.warning("sees again")
        self._blind = what


def _deliverers(dsn: Dsn, destinations: Destinations, loop: Loop) -> list[Any]:
    from promptspan_server.alerts.delivery import Deliverer
    from promptspan_server.alerts.destinations.config import lanes, watchdog
    from promptspan_server.alerts.outbox import StoreOutbox
    from promptspan_server.queries.connection import connect
    from promptspan_server.store.executor import ClientExecutor

    clients: list[Any] = []

    def executor() -> ClientExecutor:
        # One client, made when the store first answers; it finds a store that came back by itself.
        if not clients:
            clients.append(connect(dsn))
        return ClientExecutor(clients[0])

    found: list[Any] = []
    if destinations.destinations:
        found.append(Deliverer(lanes(destinations), StoreOutbox(executor), may_deliver=lambda: loop.mine))
    dog = watchdog(destinations, lambda: loop.healthy)
    return [*found, dog] if dog is not None else found


def _metrics(dsn: Dsn, parts: list[Any]) -> list[Any]:
    port = os.environ.get(METRICS_PORT_VARIABLE, "")
    if not port:
        return []
    from promptspan_server.alerts.delivery import Deliverer
    from promptspan_server.alerts.exposition import collect, exposed
    from promptspan_server.alerts.metrics_server import MetricsServer
    from promptspan_server.queries.connection import TOKEN_VARIABLE, Store

    store = Store(dsn)
    deliverers = [part for part in parts if isinstance(part, Deliverer)]

    def text() -> str:
        waiting = {name: number for each in deliverers for name, number in each.backlog().items()}
        return exposed(collect(store, waiting))

    host = os.environ.get(METRICS_HOST_VARIABLE, "127.0.0.1")
    try:
        return [MetricsServer(text, int(port), host, os.environ.get(TOKEN_VARIABLE) or None)]
    except (ValueError, OSError, OverflowError) as error:
        raise CommandError(f"{METRICS_PORT_VARIABLE}={port}: {error}") from error


def _say(tick: Tick | None) -> None:
    if tick is None:
        return
    for before, after in tick.changed:
        if (
            after.name in ("firing", "resolved") and before.phase != "recovering"
        ) or after.name == "resolved":
            word = "FIRING" if after.name == "firing" else after.name
            print(f"{tick.at:%H:%M:%S} {word} {after.severity} {after.rule}: {after.summary}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
