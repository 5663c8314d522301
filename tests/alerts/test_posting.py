from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from alerts.conftest import Receiver
from promptspan_server.alerts.destinations.posting import Poster, classify, retry_after_s
from promptspan_server.alerts.outgoing import Guard

if TYPE_CHECKING:
    from pathlib import Path

JSON = {"content-type": "application/json"}
LOCAL = Poster(Guard.allowing(["127.0.0.1"]))


def test_a_post_arrives_under_the_name_of_its_host(receiver: Receiver) -> None:
    guard = Guard(hosts=frozenset({"hooks.internal"}), resolve=lambda _host, _port: ["127.0.0.1"])
    outcome = Poster(guard).post(f"http://hooks.internal:{receiver.port}/a?b=c", b"{}", JSON)
    assert outcome.kind == "delivered"
    (got,) = receiver.got
    assert got.path == "/a?b=c"
    assert got.headers["host"] == f"hooks.internal:{receiver.port}"
    assert got.body == b"{}"


def test_a_name_that_resolves_differently_afterwards_gains_nothing(receiver: Receiver) -> None:
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    guard = Guard(hosts=frozenset({"hooks.internal"}), resolve=rebinding)
    assert Poster(guard).post(f"http://hooks.internal:{receiver.port}/", b"", JSON).kind == "delivered"
    assert len(asked) == 1


def test_nothing_is_sent_inside_without_leave(receiver: Receiver) -> None:
    for url in (receiver.url, f"https://127.0.0.1:{receiver.port}", f"https://localhost:{receiver.port}"):
        outcome = Poster(Guard()).post(url, b"{}", JSON)
        assert outcome.kind == "retry"
        assert "allow_internal" in outcome.detail
    assert receiver.got == []


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.answers(302, headers={"location": f"{receiver.url}/elsewhere"})
    outcome = LOCAL.post(receiver.url, b"{}", JSON)
    assert outcome.kind == "retry"
    assert "redirect" in outcome.detail
    assert [request.path for request in receiver.got] == ["/"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, "delivered"),
        (202, "delivered"),
        (204, "delivered"),
        (301, "retry"),
        (400, "refused"),
        (401, "retry"),
        (403, "retry"),
        (404, "retry"),
        (413, "refused"),
        (422, "refused"),
        (429, "retry"),
        (500, "retry"),
        (503, "retry"),
    ],
)
def test_a_status_says_what_to_do(status: int, kind: str) -> None:
    assert classify(status, {}).kind == kind


def test_a_page_with_status_200_is_no_acceptance() -> None:
    outcome = classify(200, {}, "<html>please log in", lambda _status, said: said == "ok")
    assert outcome.kind == "retry"


NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("5", 5),
        ("3600", 3600),
        ("86400", 3600),
        ("9" * 40, 3600),
        ("-3", None),
        ("soon", None),
        ("", None),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0),
        ("1.5", None),
        ("²", None),
    ],
)
def test_retry_after_is_read_and_capped(value: str, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


def test_the_receivers_wish_to_wait_is_passed_on(receiver: Receiver) -> None:
    receiver.answers(429, headers={"retry-after": "7"})
    assert LOCAL.post(receiver.url, b"{}", JSON).after_s == 7


def test_an_answer_does_not_carry_secrets_or_controls_back(receiver: Receiver) -> None:
    receiver.answers(500, body=b"bad token s3cret\x1b[31m\n" + b"x" * 100_000)
    outcome = LOCAL.post(f"{receiver.url}/hidden-path", b"{}", JSON, secrets=("s3cret",))
    assert "s3cret" not in outcome.detail
    assert "hidden-path" not in outcome.detail
    assert "\x1b" not in outcome.detail
    assert len(outcome.detail) <= 300


def test_a_receiver_that_drips_meets_the_deadline() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            peer, _ = server.accept()
            with peer:
                while not stop.wait(0.05):
                    with suppress(OSError):
                        peer.sendall(b"H")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        poster = Poster(LOCAL.guard, deadline_s=0.4)
        outcome = poster.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", JSON)
        took_s = time.monotonic() - began
        stop.set()
        thread.join()
    assert outcome.kind == "retry"
    assert took_s < 5


def test_no_listener_is_a_reason_to_try_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert LOCAL.post(f"http://127.0.0.1:{port}/", b"{}", JSON).kind == "retry"


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "//x", "http://", "https://[::1", "http://x:99999/", "javascript:1"]
)
def test_what_is_no_address_is_said(url: str) -> None:
    outcome = LOCAL.post(url, b"{}", JSON)
    assert outcome.kind == "retry"
    assert outcome.detail


def test_tls_is_checked_against_the_name_though_the_address_is_pinned(tmp_path: Path) -> None:
    certificate = certified(tmp_path, "hooks.internal")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    asked: list[str | None] = []
    context.sni_callback = lambda _sock, name, _context: asked.append(name)
    hosts = frozenset({"hooks.internal", "other.internal"})
    guard = Guard(hosts=hosts, resolve=lambda _host, _port: ["127.0.0.1"])
    with Receiver().serving(context) as receiver:
        trusting = Poster(guard, certificate)
        good = trusting.post(f"https://hooks.internal:{receiver.port}/", b"{}", JSON)
        wrong_name = trusting.post(f"https://other.internal:{receiver.port}/", b"{}", JSON)
        unknown = Poster(guard).post(f"https://hooks.internal:{receiver.port}/", b"{}", JSON)
    assert good.kind == "delivered"
    assert asked[0] == "hooks.internal"
    assert wrong_name.kind == unknown.kind == "retry"
    assert "TLS" in wrong_name.detail
    assert "TLS" in unknown.detail
    assert len(receiver.got) == 1


def certified(folder: Path, name: str) -> Path:
    """Write a key and a certificate for a name."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
