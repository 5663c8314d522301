"""HTTP to destinations: to checked addresses, within a deadline, without redirects, with a short answer."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import httpx

from promptspan_server.alerts.destinations.outcome import MAX_RETRY_AFTER_S, Outcome, told
from promptspan_server.alerts.outgoing import ForbiddenAddressError, Guard, UnknownHostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DEADLINE_S = 20.0
_CONNECT_S = 5.0
_MAX_REPLY_BYTES = 16 * 1024
# A message that is wrong stays wrong. Everything else of 4xx is a wrong address or key, which somebody mends.
_WRONG_MESSAGE = frozenset({400, 413, 415, 422})


def _any_success(status: int, _said: str) -> bool:
    return 200 <= status < 300


@dataclass(frozen=True, slots=True)
class Poster:
    """Posts to one address.

    Attributes:
        guard: Which addresses may be connected to.
        ca_file: Certificates to trust besides those of the system.
        deadline_s: For all of a request: connecting, sending, and reading the answer, in seconds.
    """

    guard: Guard
    ca_file: Path | None = None
    deadline_s: float = DEADLINE_S

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        secrets: tuple[str, ...] = (),
        accepts: Callable[[int, str], bool] = _any_success,
    ) -> Outcome:
        """POST a body.

        Args:
            url: Absolute; `https`, or `http` to what the allow list names.
            body: As it is sent.
            headers: With the content type.
            secrets: What must not come back in the detail, besides the address.
            accepts: Whether an answer of this status and text means that the receiver has it. A proxy's login
                page with status 200 does not.
        """
        outcome = self._post(url, body, headers, accepts)
        # The path of a webhook is its key.
        path = "/" + url.partition("://")[2].partition("/")[2]
        hidden = (url, *secrets, *([path] if len(path) > 1 else []))
        return Outcome(outcome.kind, told(outcome.detail, hidden), outcome.after_s)

    def _post(
        self, url: str, body: bytes, headers: Mapping[str, str], accepts: Callable[[int, str], bool]
    ) -> Outcome:
        try:
            target = httpx.URL(url)
        except (httpx.InvalidURL, TypeError, ValueError):
            return Outcome("retry", "the address is no URL")
        if target.scheme not in ("http", "https") or not target.host:
            return Outcome("retry", "the address is neither http:// nor https://")
        if target.scheme == "http" and not self.guard.is_allowed_inside(target.host):
            return Outcome("retry", "http:// would send this in the clear: use https://, or allow_internal")
        port = target.port or (443 if target.scheme == "https" else 80)
        try:
            address = self.guard.checked(target.host, port)[0]
            status, answered, said = asyncio.run(self._exchange(target, address, body, headers))
            return classify(status, answered, said, accepts)
        except (ForbiddenAddressError, UnknownHostError) as error:
            return Outcome("retry", str(error))
        except TimeoutError:
            return Outcome("retry", f"no answer within {self.deadline_s:.0f} s")
        except (httpx.HTTPError, OSError, ValueError) as error:
            return Outcome("retry", _reason(error))

    async def _exchange(
        self, target: httpx.URL, address: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], str]:
        context = ssl.create_default_context()
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
        # To the address that was checked, in the name of the host: TLS and the Host header keep the name.
        request = httpx.Request(
            "POST",
            target.copy_with(host=address),
            headers={**headers, "host": target.netloc.decode("ascii"), "user-agent": "promptspan"},
            content=body,
            extensions={
                "sni_hostname": target.host,
                "timeout": httpx.Timeout(self.deadline_s, connect=_CONNECT_S).as_dict(),
            },
        )
        if target.userinfo:
            request = next(httpx.BasicAuth(target.username, target.password).auth_flow(request))
        async with asyncio.timeout(self.deadline_s):
            async with httpx.AsyncHTTPTransport(verify=context, trust_env=False, retries=0) as transport:
                response = await transport.handle_async_request(request)
                said = b""
                try:
                    async for part in response.aiter_raw():
                        said += part
                        if len(said) >= _MAX_REPLY_BYTES:
                            break
                finally:
                    await response.aclose()
        return response.status_code, response.headers, said[:_MAX_REPLY_BYTES].decode("utf-8", "replace")


def classify(
    status: int,
    headers: Mapping[str, str],
    said: str = "",
    accepts: Callable[[int, str], bool] = _any_success,
) -> Outcome:
    """Read an answer."""
    detail = f"HTTP {status}" + (f": {said}" if said else "")
    if accepts(status, said):
        return Outcome("delivered", detail)
    if 200 <= status < 300:
        return Outcome("retry", f"{detail} (not the answer of this kind of receiver: check the address)")
    if 300 <= status < 400:
        return Outcome("retry", f"HTTP {status}: redirects are not followed; configure the final address")
    if status in _WRONG_MESSAGE:
        return Outcome("refused", detail)
    return Outcome("retry", detail, retry_after_s(headers.get("retry-after")))


def retry_after_s(value: str | None, now: datetime | None = None) -> float | None:
    """Read `Retry-After`: seconds or a date; None for what is neither. At most an hour."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=timezone.utc)
    seconds = (at - (now or datetime.now(timezone.utc))).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _reason(error: Exception) -> str:
    if isinstance(error, (httpx.ConnectTimeout, httpx.ReadTimeout, httpx.WriteTimeout)):
        return "no answer in time"
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or isinstance(error, ssl.SSLError):
        return f"TLS failed: {text}"
    if isinstance(error, httpx.ConnectError):
        return f"no connection: {text}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
