"""Delivers from an outbox of files until it is killed: `python deliver_child.py FOLDER URL`."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from promptspan_server.alerts.delivery import FINAL, Deliverer, Delivery, Lane
from promptspan_server.alerts.destinations.posting import Poster
from promptspan_server.alerts.destinations.webhook import Webhook
from promptspan_server.alerts.notice import Alert, Notice
from promptspan_server.alerts.outgoing import Guard

if TYPE_CHECKING:
    from collections.abc import Sequence


class Files:
    """An outbox in a folder: `outbox` and `deliveries`, a JSON object a line."""

    def __init__(self, folder: Path) -> None:
        self._outbox = folder / "outbox"
        self._deliveries = folder / "deliveries"

    def waiting(self) -> Sequence[tuple[Notice, int]]:
        notices = [Notice.from_json(line) for line in self._outbox.read_text().splitlines()]
        made: dict[str, int] = {}
        ended: set[str] = set()
        for line in self._deliveries.read_text().splitlines():
            each = json.loads(line)
            made[each["notice_id"]] = each["attempt"]
            if each["outcome"] in FINAL:
                ended.add(each["notice_id"])
        return [(notice, made.get(notice.id, 0)) for notice in notices if notice.id not in ended]

    def firing(self, destination: str) -> Sequence[Alert]:
        return []

    def record(self, deliveries: Sequence[Delivery]) -> None:
        lines = "".join(json.dumps({**asdict(each), "at": each.at.isoformat()}) + "\n" for each in deliveries)
        # One write: a killed process leaves all of it or nothing.
        handle = os.open(self._deliveries, os.O_WRONLY | os.O_APPEND)
        os.write(handle, lines.encode())
        os.close(handle)


def main() -> None:
    folder, url = Path(sys.argv[1]), sys.argv[2]
    poster = Poster(Guard.allowing(["127.0.0.1"]))
    sender = Webhook(lambda: url, lambda: ["secret"], poster)
    lanes = {"there": Lane(sender, 6000)}
    Deliverer(lanes, Files(folder), poll_s=0.05, backoff=lambda _: 0.02).start()
    print("delivering", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
