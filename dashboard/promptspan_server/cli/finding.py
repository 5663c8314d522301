from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Status(str, Enum):
    """How a check ended."""

    ok = "OK"
    warn = "WARN"
    fail = "FAIL"
    skip = "SKIP"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at.
        status: Whether it is as it should be; `skip` if it could not or need not be looked at.
        detail: What was found, one line.
        remedy: How to mend it, one line; empty if there is nothing to mend.
        unreachable: Something that was asked for does not answer at all.
    """

    check: str
    status: Status
    detail: str
    remedy: str = ""
    unreachable: bool = False

    @property
    def is_problem(self) -> bool:
        """Whether somebody should do something."""
        return self.status in (Status.warn, Status.fail)
