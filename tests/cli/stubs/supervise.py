"""Runs a supervisor over the parts that its JSON argument describes, as the commands do."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from promptspan_server.cli.failure import CommandError
from promptspan_server.cli.part import Part
from promptspan_server.cli.supervisor import StopRequested, Supervisor


def _say(part: str, text: str) -> None:
    print(f"[{part}] {text}", file=sys.stderr, flush=True)


def main() -> int:
    plans: list[dict[str, Any]] = json.loads(sys.argv[1])
    # As from a terminal, also where the tests were started to outlive theirs (nohup).
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with Supervisor(_say) as supervisor:
            announced: list[Any] = []
            for plan in plans:
                part = Part(
                    name=plan["name"],
                    module="stub_part",
                    arguments=(json.dumps(plan),),
                    announces="announces" in plan,
                    health_url=f"http://127.0.0.1:{plan['asked_at']}/" if "asked_at" in plan else None,
                    speaks=plan.get("speaks", False),
                    start_s=plan.get("start_s", 20.0),
                    stop_s=plan.get("stop_s", 5.0),
                )
                print(json.dumps({"starting": part.name}), flush=True)
                announced.append(dict(supervisor.start(part)))
            print(json.dumps({"pids": supervisor.pids, "announced": announced}), flush=True)
            supervisor.watch()
    except StopRequested:
        return 0
    except CommandError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
