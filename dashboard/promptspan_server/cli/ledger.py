"""`promptspan ledger`: keeps the ledger up with the calls, where no store process does."""

from typing import Annotated

import typer

from promptspan_server.cli.options import WriterDsnOption


def ledger(
    every_s: Annotated[
        float | None,
        typer.Option(
            "--every", min=1.0, help="Stay, and look again after so many seconds.", show_default=False
        ),
    ] = None,
    dsn: WriterDsnOption = None,
) -> None:
    """Compute the hours of the ledger that calls or prices have changed.

    `promptspan up` does this by itself; before a ClickHouse server one of these stays (--every 10), or a
    timer runs it. Several at once do no harm. Without a DSN it goes to the local store, as the user who may
    write.
    """
    import signal
    import threading

    from promptspan_server.cli.connecting import chosen_dsn, connected, writer
    from promptspan_server.cli.failure import CommandError
    from promptspan_server.cli.voice import Voice
    from promptspan_server.pricing.rollup import recompute
    from promptspan_server.store.executor import ClientExecutor

    store = writer(chosen_dsn(dsn), given=dsn is not None)
    stopping = threading.Event()
    if every_s is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stopping.set())
    failed = False
    while True:
        hours = 0
        try:
            with connected(store) as client:
                more = True
                while more and not stopping.is_set():
                    done = recompute(ClientExecutor(client))
                    hours, more = hours + done.hours, done.more
        except CommandError as error:
            if every_s is None:
                raise
            # It stays for when the store comes back, and does not repeat itself until then.
            if not failed:
                Voice().say("", f"{error}; trying again")
            failed = True
        else:
            failed = False
            if hours or every_s is None:
                print(f"{hours} hours computed", flush=True)
        if every_s is None or stopping.wait(every_s):
            return
