"""A part under test control: it says, does and refuses what its JSON argument tells it."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any


class _Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        del format, args


def main() -> None:
    plan = json.loads(sys.argv[1])
    if plan.get("ignores_term"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "log" in plan:

        def note(number: int, _frame: object) -> None:
            with Path(plan["log"]).open("a") as log:
                log.write(f"{plan['name']} {signal.Signals(number).name}\n")
            sys.exit(0)

        signal.signal(signal.SIGTERM, note)
        signal.signal(signal.SIGINT, note)
    if plan.get("starts_another"):
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(plan["starts_another"]).write_text(str(other.pid))
    for line in plan.get("stderr", []):
        print(line, file=sys.stderr)
    for line in plan.get("stdout", []):
        print(line)
    if "exits_at_once" in plan:
        sys.exit(plan["exits_at_once"])
    if "asked_at" in plan and not plan.get("is_silent"):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", plan["asked_at"]), _Health)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    if "announces" in plan:
        print(json.dumps({"event": "ready", "pid": os.getpid(), **plan["announces"]}))
    while True:
        if "breaks_when" in plan and Path(plan["breaks_when"]).exists():
            print(plan.get("last_words", "out of luck"), file=sys.stderr)
            sys.exit(plan.get("exit_code", 3))
        time.sleep(0.02)


if __name__ == "__main__":
    main()
