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

    from promptspan_server.alerts.destinations.config import DestinationFile, Destinations
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
    return files.book, destinations.kept


def _open_files(rules: Path | None) -> tuple[RuleFiles, DestinationFile]:
    from promptspan_server.alerts.destinations.config import DestinationFile
    from promptspan_server.alerts.documents import DocumentError
    from promptspan_server.alerts.rule_files import RuleFiles, rules_directory

    try:
        directory = rules_directory(rules)
        return RuleFiles(directory), DestinationFile(directory)
    except DocumentError as error:
        raise CommandError(str(error)) from error


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
        destinations=names_of(destinations.kept),
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
        loop = Loop(evaluator, stopping, files, destinations)
        telling = loop.telling = Telling(lambda: _deliverers(dsn, destinations.kept, loop))
        telling.start()
        stack.callback(telling.stop)
        for part in _metrics(dsn, telling):
            part.start()
            stack.callback(part.stop)
        loop.run()


class Telling:
    """What tells the destinations and the watchdog, which is made anew when their file changes.

    What is not written down when it ends waits in the store, and is told by the next.

    Args:
        made: Makes what tells.
    """

    def __init__(self, made: Callable[[], list[Any]]) -> None:
        self._made = made
        self.parts: list[Any] = []

    def start(self) -> None:
        """Begin."""
        self.parts = self._made()
        for part in self.parts:
            part.start()

    def stop(self) -> None:
        """End."""
        for part in reversed(self.parts):
            part.stop()
        self.parts = []

    def again(self) -> None:
        """Take up what the file says now."""
        self.stop()
        self.start()


def names_of(destinations: Destinations) -> tuple[str, ...]:
    """The names of who is told."""
    return tuple(each.name for each in destinations.destinations)


class Loop:
    """Turns of an evaluator.

    Args:
        evaluator: Whose.
        stopping: Set to end.
        files: Where its rules are from; they are looked at before each turn.
        destinations: Where it says who is told; looked at like them.

    Attributes:
        mine: Whether this evaluator has the turn.
        telling: What tells the destinations, if anything does.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        stopping: threading.Event,
        files: RuleFiles,
        destinations: DestinationFile,
    ) -> None:
        self._files = files
        self._destinations = destinations
        self.telling: Telling | None = None
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

    def take_up(self) -> None:
        """Take up what changed in the files of rules and of destinations."""
        if self._files.look():
            self._evaluator.book = self._files.book
            self._say_files("rule", self._files.wrong, f"{len(self._files.book.rules)} rules hold")
        if self._destinations.look():
            names = names_of(self._destinations.kept)
            if not self._destinations.wrong:
                self._evaluator.destinations = names
                if self.telling is not None:
                    self.telling.again()
            self._say_files("destination", self._destinations.wrong, f"told are {', '.join(names) or 'none'}")
        wrong = (self._files.wrong, self._destinations.wrong)
        self._evaluator.wrong_files = "\n".join(each for each in wrong if each)

    def _say_files(self, what: str, wrong: str, now: str) -> None:
        if wrong:
            _log.error("%s files are wrong, what they said before holds: %s", what, wrong)
        else:
            _log.warning("%s files changed: %s", what, now)

    def _turn(self) -> None:
        from promptspan_server.queries.connection import QueryFailed, StoreUnreachable

        self.take_up()
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


def _metrics(dsn: Dsn, telling: Telling) -> list[Any]:
    port = os.environ.get(METRICS_PORT_VARIABLE, "")
    if not port:
        return []
    from promptspan_server.alerts.delivery import Deliverer
    from promptspan_server.alerts.exposition import collect, exposed
    from promptspan_server.alerts.metrics_server import MetricsServer
    from promptspan_server.queries.connection import TOKEN_VARIABLE, Store

    store = Store(dsn)

    def text() -> str:
        deliverers = [part for part in telling.parts if isinstance(part, Deliverer)]
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
