from __future__ import annotations

import pytest

from promptspan_server.alerts.outgoing import ForbiddenAddressError, Guard, UnknownHostError

INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fc00::1",
    "fe80::1%eth0",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:0:0:0:0:80ff:fffe",
]
METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
]


def resolving(*answers: str) -> Guard:
    return Guard(resolve=lambda _host, _port: answers)


@pytest.mark.parametrize("address", [*INSIDE, *METADATA])
def test_an_address_inside_is_refused_however_its_name_looks(address: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        resolving(address).checked("hooks.example", 443)


@pytest.mark.parametrize("address", METADATA)
def test_no_allow_list_opens_a_metadata_service(address: str) -> None:
    wide = Guard.allowing(["0.0.0.0/0", "::/0", "hooks.example"])
    guard = Guard(wide.networks, wide.hosts, lambda _host, _port: [address])
    with pytest.raises(ForbiddenAddressError, match="metadata"):
        guard.checked("hooks.example", 80)


def test_one_inside_address_among_public_ones_is_enough() -> None:
    with pytest.raises(ForbiddenAddressError):
        resolving("93.184.215.14", "10.0.0.1").checked("hooks.example", 443)


def test_public_addresses_pass() -> None:
    public = ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    assert resolving(*public).checked("Hooks.Example.", 443) == list(public)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1"])
def test_odd_spellings_of_loopback_are_resolved_and_refused(host: str) -> None:
    with pytest.raises((ForbiddenAddressError, UnknownHostError)):
        Guard().checked(host, 80)


def test_the_allow_list_takes_networks_and_names() -> None:
    guard = Guard.allowing(["127.0.0.1", "10.0.0.0/8", "Alertmanager.Internal"])
    guard.check_address("127.0.0.1")
    guard.check_address("10.200.1.1")
    guard.check_address("192.168.1.1", "alertmanager.internal")
    with pytest.raises(ForbiddenAddressError, match="allow_internal"):
        guard.check_address("127.0.0.2")
    with pytest.raises(ForbiddenAddressError):
        guard.check_address("192.168.1.1", "other.internal")
    assert guard.is_allowed_inside("alertmanager.internal")
    assert not guard.is_allowed_inside("hooks.example")


@pytest.mark.parametrize("entry", ["", "http://x", "10.0.0.0/99", "1.2.3", "a b", "169.254.169.254", "x/y"])
def test_an_entry_that_is_no_place_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Guard.allowing([entry])


def test_a_name_without_addresses_is_no_reason_to_give_up() -> None:
    with pytest.raises(UnknownHostError):
        resolving().checked("hooks.example", 443)
