"""Runs a module so that it never outlives the process that started it.

`python -m promptspan_server.cli.tether MODULE ARGUMENTS...` behaves as `python -m MODULE ARGUMENTS...`. The
starter keeps the write end of this process's standard input open and writes nothing; however the starter
ends, SIGKILL too, the kernel closes that end and the read here returns. Unlike PR_SET_PDEATHSIG this needs
no Linux, is not bound to the thread that forked, and leaves time for a clean stop.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

_GRACE_S = 10.0


def _follow_starter() -> None:
    while os.read(0, 4096):
        pass
    # Nobody reads our output any more; a log line must not turn the clean stop into a BrokenPipeError.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _main() -> None:
    module = sys.argv[1]
    del sys.argv[1]
    threading.Thread(target=_follow_starter, name="tether", daemon=True).start()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
