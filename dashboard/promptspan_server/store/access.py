"""Who may speak to the store, on all its ports.

Without a token the store listens on loopback alone, and what it must fear is a page in the user's browser:
one whose name was rebound to 127.0.0.1 (its `Host` is not a loopback name), or one that posts across
origins (its `Origin` is not ours). With a token, everyone presents it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

USERS = ("default", "reader")


class DeniedError(Exception):
    """A request that may not go on.

    Attributes:
        status: HTTP status: 401 without credentials, 403 with wrong ones or from a foreign page.
        reason: One sentence.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one store process.

    Attributes:
        host: The address it listens on.
        token: What everyone must present; None for a store on loopback without one.
    """

    host: str
    token: str | None = None

    def check_page(self, headers: Mapping[str, str]) -> None:
        """Refuse what a browser sends on behalf of a foreign page.

        Raises:
            DeniedError: The `Host` is not ours, or the `Origin` is another's.
        """
        host = headers.get("host", "")
        if host and is_loopback(self.host) and not is_loopback(host_name(host)):
            raise DeniedError(
                403, f"The Host header names {host_name(host)!r}; this store answers to loopback names."
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise DeniedError(403, "Requests of pages from other origins are refused.")
        if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            raise DeniedError(403, "Requests of pages from other sites are refused.")

    def check_bearer(self, authorization: str | None) -> None:
        """Ask for `Authorization: Bearer TOKEN`, if there is a token.

        Raises:
            DeniedError: It is missing or wrong.
        """
        if self.token is None:
            return
        if not authorization:
            raise DeniedError(401, "A token is required: Authorization: Bearer <token>.")
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer" or not self._is_token(given.strip()):
            raise DeniedError(403, "The token is not the store's.")

    def user(self, headers: Mapping[str, str], params: Mapping[str, str]) -> str:
        """Who a request of the ClickHouse interface comes from.

        Credentials are read as ClickHouse reads them: `X-ClickHouse-User` and `-Key`, then
        `Authorization` (Basic or Bearer), then the parameters `user` and `password`.

        Returns:
            `default` or `reader`.

        Raises:
            DeniedError: Unknown user, or a missing or wrong password.
        """
        name, password = _credentials(headers, params)
        if self.token is not None:
            if not password:
                raise DeniedError(401, "Authentication failed: password is required.")
            if not self._is_token(password):
                raise DeniedError(403, f"{name}: Authentication failed: password is incorrect.")
        if name not in USERS:
            raise DeniedError(403, f"{name}: Authentication failed: there is no user with such name.")
        return name

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), (self.token or "").encode())


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    name = host.strip().strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(netloc: str) -> str:
    """The name in a `Host` header, without its port."""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0]
    return netloc.partition(":")[0] if netloc.count(":") == 1 else netloc


def _credentials(headers: Mapping[str, str], params: Mapping[str, str]) -> tuple[str, str]:
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user") or "default", headers.get("x-clickhouse-key", "")
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return params.get("user") or "default", given.strip()
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(given.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise DeniedError(403, "Authentication failed: the Authorization header is malformed.") from None
        name, _, password = decoded.partition(":")
        return name or "default", password
    if scheme:
        raise DeniedError(403, "Authentication failed: only Basic and Bearer are supported.")
    return params.get("user") or "default", params.get("password", "")
