"""``python -m promptspan_server.demo``: a week of history, then live traffic until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from datetime import datetime, timezone

import promptspan
from promptspan_server.demo.application import Application
from promptspan_server.demo.delivery import RefusedError, deliver, mark
from promptspan_server.demo.history import bodies, past_calls
from promptspan_server.demo.live import live
from promptspan_server.demo.settings import ENVIRONMENT, SERVICE
from promptspan_server.demo.story import EARLY_ROLLOUT, INCIDENT_AFTER_S

_FLUSH_S = 2.0


def main() -> int:
    """Run the demo's application.

    Returns:
        0 after SIGINT, SIGTERM or ``--duration``; 2 for a wrong endpoint or one that refuses what is sent.
    """
    options = _options()
    try:
        promptspan.configure(
            service_name=SERVICE,
            environment=ENVIRONMENT,
            endpoint=options.endpoint,
            capture_content=True,
            spool=None,  # what a demo could not send is not worth a place on the disk
        )
    except ValueError as error:
        print(f"demo: {error}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        return asyncio.run(_run(options))
    finally:
        promptspan.shutdown(_FLUSH_S)


async def _run(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    stop_past = threading.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    print(  # noqa: T201
        f"demo: sending {options.history_days:g} days of history and {options.rate:g} calls a second to "
        f"{options.endpoint}; version 7 of inbox-summary goes wrong after {INCIDENT_AFTER_S:g} s",
        flush=True,
    )
    if options.duration is not None:
        loop.call_later(options.duration, stop.set)
    refusals: list[RefusedError] = []

    def tell_the_past() -> None:
        try:
            _tell_the_past(options, stop_past)
        except RefusedError as error:
            refusals.append(error)
            loop.call_soon_threadsafe(stop.set)

    # A daemon: a receiver that hangs must not hold the end of the demo.
    threading.Thread(target=tell_the_past, name="history", daemon=True).start()

    def tell_the_rollout(share: float) -> None:
        # Beside the calls, which must not wait for it.
        threading.Thread(target=_mark, args=(options, stop_past, share), name="marker", daemon=True).start()

    await live(Application(), rate_hz=options.rate, seed=options.seed, stop=stop, on_rollout=tell_the_rollout)
    stop_past.set()
    for error in refusals:
        print(f"demo: {error}", file=sys.stderr)  # noqa: T201
    return 2 if refusals else 0


def _tell_the_past(options: argparse.Namespace, stop: threading.Event) -> None:
    now = datetime.now(timezone.utc)
    calls = past_calls(
        now=now,
        days=options.history_days,
        seed=options.seed,
        rollout=EARLY_ROLLOUT,
        rate_hz=options.rate,
    )
    deliver(bodies(calls), endpoint=options.endpoint, token=_token(), stop=stop)


def _mark(options: argparse.Namespace, stop: threading.Event, share: float) -> None:
    marker = {
        "kind": "deploy",
        "text": f"inbox-summary: version 7 gets {share:.0%} of the calls",
        "author": "rollout",
        "environment": ENVIRONMENT,
        "service": SERVICE,
        "prompt_name": "inbox-summary",
        "prompt_version": "7",
    }
    mark(marker, endpoint=options.endpoint, token=_token(), stop=stop)


def _token() -> str | None:
    return os.environ.get("PROMPTSPAN_TOKEN", "").strip() or None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m promptspan_server.demo", description=__doc__)
    parser.add_argument(
        "--endpoint", default="http://127.0.0.1:4318", help="base URL of the OTLP/HTTP receiver"
    )
    parser.add_argument("--rate", type=_positive, default=2.0, help="calls a second, on average")
    parser.add_argument(
        "--history-days", type=float, default=7.0, help="how far the past reaches back; 0 for none"
    )
    parser.add_argument(
        "--duration", type=float, default=None, help="seconds to run; without it, until stopped"
    )
    parser.add_argument("--seed", type=int, default=7, help="of the dice")
    return parser.parse_args()


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
