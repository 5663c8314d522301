"""Tells one `apprise` service, in a process of its own.

    python -m promptspan_server.alerts.destinations.apprise_child   (one JSON object on stdin, one on stdout)

`apprise` speaks a hundred services' protocols with its own connections, so the guard stands where they all
pass: at the interpreter's `socket.connect`, which sees the very address. A process of its own also gives a
deadline to services that have none, and keeps the library (80 MB) out of the evaluator.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from promptspan_server.alerts.outgoing import ForbiddenAddressError, Guard

if TYPE_CHECKING:
    from promptspan_server.alerts.outgoing import Network


def _guarded(guard: Guard) -> None:
    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in {"socket.connect", "socket.sendto"}:
            return
        address = arguments[1]
        if not isinstance(address, tuple):
            raise ForbiddenAddressError("sockets of this machine are not destinations")
        host = str(cast("tuple[Any, ...]", address)[0])
        try:
            guard.check_address(host)
        except ValueError:
            raise ForbiddenAddressError(f"{host} would be resolved where nobody checks it") from None

    # It cannot be taken off again, not even by a plugin.
    sys.addaudithook(check)


def _with_named(guard: Guard) -> Guard:
    """Here addresses are checked without their names, so names that are allowed count as their addresses."""
    found: list[Network] = list(guard.networks)
    for host in guard.hosts:
        with contextlib.suppress(OSError):
            found.extend(ipaddress.ip_network(each) for each in guard.resolve(host, 0))
    return replace(guard, networks=tuple(found))


def main() -> int:
    """Send what stdin holds."""
    asked: dict[str, Any] = json.load(sys.stdin)
    import apprise

    said: list[str] = []
    logger = logging.getLogger("apprise")
    logger.addHandler(_Kept(said))
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    asset = apprise.AppriseAsset(plugin_paths=None)
    asset.http_redirects = False
    service: Any = apprise.Apprise(asset=asset)
    if not service.add(asked["url"]):
        _answer(known=False, sent=False, said="apprise knows no such address")
        return 0
    _guarded(_with_named(Guard.allowing(asked["allow_internal"])))
    kind = apprise.NotifyType.SUCCESS if asked["resolved"] else apprise.NotifyType.FAILURE
    sent = service.notify(
        body=asked["body"], title=asked["title"], notify_type=kind, body_format=apprise.NotifyFormat.TEXT
    )
    _answer(known=True, sent=bool(sent), said="; ".join(said))
    return 0


class _Kept(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())


def _answer(*, known: bool, sent: bool, said: str) -> None:
    print(json.dumps({"known": known, "sent": sent, "said": said[:2000]}))  # noqa: T201 - the answer


if __name__ == "__main__":
    sys.exit(main())
