"""Calls that have begun and not ended: when the process ends, they are sent as they are then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._call import Call

_open: set[Call] = set()

call_began = _open.add
call_ended = _open.discard


def end_open_calls() -> None:
    """End what is still running or still being read; what it does from now on is not recorded any more."""
    for call in list(_open):
        call.abandoned()
