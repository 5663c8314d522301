"""E-mail over SMTP, with TLS.

One message a notice, its `Message-ID` made of the notice's id, so that a second copy is known as one;
messages about one group thread together.
"""

from __future__ import annotations

import hashlib
import smtplib
import socket
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Literal

from promptspan_server.alerts import texts
from promptspan_server.alerts.destinations.outcome import Outcome, told
from promptspan_server.alerts.outgoing import ForbiddenAddressError, UnknownHostError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from promptspan_server.alerts.notice import Notice
    from promptspan_server.alerts.outgoing import Guard

Tls = Literal["starttls", "tls", "none"]
_TIMEOUT_S = 20.0
_DOMAIN = "alerts.promptspan.invalid"  # RFC 2606: nobody's


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server.

    Attributes:
        host: Its name, which its certificate must carry.
        port: 587 for STARTTLS, 465 for TLS from the start.
        tls: `none` only where the guard allows the host by name or network.
        user: Empty to send without logging in.
        ca_file: Certificates to trust besides those of the system.
    """

    host: str
    port: int
    tls: Tls = "starttls"
    user: str = ""
    ca_file: Path | None = None


class Mail:
    """Tells people by e-mail."""

    def __init__(
        self,
        server: Server,
        sender: str,
        to: Sequence[str],
        guard: Guard,
        *,
        password: Callable[[], str] | None = None,
        title: str | None = None,
        text: str | None = None,
    ) -> None:
        """Tell people.

        Args:
            server: Who takes the mail.
            sender: Address it comes from.
            to: Addresses.
            guard: Which addresses may be connected to.
            password: Reads the user's password.
            title: A template in place of ours, for the subject.
            text: A template in place of ours; the message then has no HTML part.
        """
        self._server = server
        self._sender = sender
        self._to = list(to)
        self._guard = guard
        self._password = password
        self._title = title
        self._text = text

    def send(self, notice: Notice) -> Outcome:
        """See `Sender.send`."""
        server = self._server
        password = self._password() if self._password is not None else ""
        try:
            if server.tls == "none" and not self._guard.is_allowed_inside(server.host):
                return Outcome("retry", "tls: none would send this in the clear: see allow_internal")
            address = self._guard.checked(server.host, server.port)[0]
            refused = self._deliver(address, self.message(notice), password)
        except (ForbiddenAddressError, UnknownHostError) as error:
            return Outcome("retry", str(error))
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            # 4xx may pass, 5xx will not: RFC 5321, 4.2.1. 530 and 535 are about logging in, not this message.
            wrong = error.smtp_code >= 500 and error.smtp_code not in (530, 535)
            return Outcome("refused" if wrong else "retry", self._said(error, password))
        except (smtplib.SMTPException, OSError, ValueError) as error:
            return Outcome("retry", self._said(error, password))
        return Outcome("delivered", f"accepted; not for {', '.join(refused)}" if refused else "accepted")

    def message(self, notice: Notice) -> EmailMessage:
        """Build the message."""
        heading = texts.title(notice, self._title)
        thread = hashlib.sha256(notice.group_key.encode()).hexdigest()[:24]
        mail = EmailMessage()
        mail["Subject"] = heading
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._to)
        mail["Date"] = format_datetime(notice.created_at)
        mail["Message-ID"] = f"<{hashlib.sha256(notice.id.encode()).hexdigest()[:32]}@{_DOMAIN}>"
        mail["References"] = f"<group.{thread}@{_DOMAIN}>"
        # RFC 3834: no holiday replies, please.
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Promptspan-Notice"] = "".join(c for c in notice.id if c.isprintable())[:200]
        mail.set_content(texts.body(notice, self._text))
        if self._text is None:
            mail.add_alternative(texts.html(notice, heading), subtype="html")
        return mail

    def _deliver(self, address: str, mail: EmailMessage, password: str) -> list[str]:
        server = self._server
        context = ssl.create_default_context(cafile=server.ca_file)
        if server.ca_file is not None:
            context.load_default_certs()
        client = _Pinned(address, context if server.tls == "tls" else None, timeout=_TIMEOUT_S)
        client.connect(server.host, server.port)
        try:
            if server.tls == "starttls":
                client.starttls(context=context)
            if server.user:
                client.login(server.user, password)
            refused = client.send_message(mail, self._sender, self._to)
        except BaseException:
            client.close()
            raise
        try:
            client.quit()
        except (smtplib.SMTPException, OSError):
            client.close()  # the message is theirs already
        return sorted(refused)

    def _said(self, error: Exception, password: str) -> str:
        return told(f"{type(error).__name__}: {error}", (password,))


class _Pinned(smtplib.SMTP):
    """Connects to an address that was checked, in the name of the host."""

    def __init__(self, address: str, tls: ssl.SSLContext | None, *, timeout: float) -> None:
        self._address = address
        self._tls = tls
        super().__init__(timeout=timeout)

    def connect(
        self, host: str = "localhost", port: int = 0, source_address: Any = None
    ) -> tuple[int, bytes]:
        # STARTTLS checks the certificate against this name; the library sets it in its constructor alone.
        self._host = host
        return super().connect(host, port, source_address)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((self._address, port), timeout)
        return plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname=host)
