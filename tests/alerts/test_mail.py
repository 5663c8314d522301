from __future__ import annotations

import ssl
from contextlib import contextmanager
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from alerts.examples import hostile, notice
from alerts.test_posting import certified
from promptspan_server.alerts.destinations.mail import Mail, Server
from promptspan_server.alerts.outgoing import Guard

if TYPE_CHECKING:
    from collections.abc import Generator
    from email.message import EmailMessage
    from pathlib import Path

GUARD = Guard(hosts=frozenset({"mail.internal"}), resolve=lambda _host, _port: ["127.0.0.1"])
TO = ["oncall@example.com", "second@example.com"]


class Postbox:
    """Keeps what it gets; answers as told."""

    def __init__(self) -> None:
        self.answer = "250 OK"
        self.got: list[EmailMessage] = []
        self.encrypted: list[bool] = []

    async def handle_DATA(  # noqa: N802 - the library calls it
        self, _server: Any, session: Any, envelope: Any
    ) -> str:
        self.encrypted.append(session.ssl is not None)
        if self.answer.startswith("250"):
            self.got.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.answer


@contextmanager
def serving(postbox: Postbox, **options: Any) -> Generator[int]:
    class Listening(Controller):
        def _create_server(self) -> Any:
            creating: Any = super()._create_server()
            return creating

        def _trigger_server(self) -> None:
            # The library connects to port 0 here; the port is known once it listens.
            listening: Any = self.server
            self.port: int = listening.sockets[0].getsockname()[1]
            super()._trigger_server()

    controller: Any = Listening(postbox, hostname="127.0.0.1", port=0, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certified(tmp_path_factory.mktemp("tls"), "mail.internal")


def served(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def authenticated(_server: SMTP, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    return AuthResult(success=data == LoginPassword(b"me", b"pass"), handled=False)


def mail(server: Server, **options: Any) -> Mail:
    return Mail(server, "alerts@example.com", TO, GUARD, **options)


def test_mail_goes_over_tls_with_a_login_and_an_id_that_stays(certificate: Path) -> None:
    postbox = Postbox()
    options = {
        "tls_context": served(certificate),
        "authenticator": authenticated,
        "auth_required": True,
        "auth_exclude_mechanism": ["LOGIN"],
    }
    with serving(postbox, require_starttls=True, **options) as port:
        server = Server("mail.internal", port, "starttls", "me", certificate)
        sender = mail(server, password=lambda: "pass")
        assert [sender.send(notice()).kind for _ in range(2)] == ["delivered", "delivered"]
        assert sender.send(notice(2)).kind == "delivered"
        wrong = mail(server, password=lambda: "w-r-o-n-g").send(notice())
    assert wrong.kind == "retry"
    assert "w-r-o-n-g" not in wrong.detail
    first, again, second = postbox.got
    assert postbox.encrypted == [True, True, True]
    assert first["message-id"] == again["message-id"] != second["message-id"]
    assert first["references"] == second["references"]
    assert first["subject"] == "Page: error-rate · inbox-summary"
    assert first["to"] == "oncall@example.com, second@example.com"
    plain = first.get_body(("plain",))
    page = first.get_body(("html",))
    assert plain is not None
    assert page is not None
    assert "8.3 % against 1 %" in plain.get_content()
    assert 'href="https://promptspan.example/incident?id=3f2a9c"' in page.get_content()


def test_a_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    other = certified(tmp_path, "other.internal")
    postbox = Postbox()
    with serving(postbox, tls_context=served(other)) as port:
        outcome = mail(Server("mail.internal", port, "starttls", ca_file=other)).send(notice())
    assert outcome.kind == "retry"
    assert "certificate" in outcome.detail.lower()
    assert postbox.got == []


def test_hostile_names_add_no_header_and_no_markup() -> None:
    postbox = Postbox()
    with serving(postbox) as port:
        assert mail(Server("mail.internal", port, "none")).send(hostile()).kind == "delivered"
    (got,) = postbox.got
    assert got["bcc"] is None
    page = got.get_body(("html",))
    assert page is not None
    assert "<script" not in page.get_content()


@pytest.mark.parametrize(("answer", "kind"), [("451 later", "retry"), ("554 never", "refused")])
def test_a_mail_server_may_ask_for_later_or_say_never(answer: str, kind: str) -> None:
    postbox = Postbox()
    postbox.answer = answer
    with serving(postbox) as port:
        assert mail(Server("mail.internal", port, "none")).send(notice()).kind == kind


def test_mail_without_tls_stays_inside() -> None:
    outside = Guard(resolve=lambda _host, _port: ["93.184.215.14"])
    sender = Mail(Server("mail.example", 25, "none"), "a@example.com", TO, outside)
    outcome = sender.send(notice())
    assert outcome.kind == "retry"
    assert "allow_internal" in outcome.detail
