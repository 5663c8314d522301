"""Where notices may go: addresses are checked after their names are resolved, and connected to as checked.

An address from a configuration file could make this process knock at its own network: at a cloud's metadata
service, at a database, at the store. So an address inside of it is refused unless the file allows it by name
or network, and a metadata service always. The check is of the very address that is connected to, so a name
that resolves differently a moment later (rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What answers with a machine's credentials: AWS, Azure and Google (IPv4, IPv6), ECS, Alibaba, Azure's wire
# server, Oracle. Link-local as a whole, as nobody receives alerts there.
_METADATA: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class ForbiddenAddressError(Exception):
    """The address is inside, and not allowed; the message says what to do."""


class UnknownHostError(Exception):
    """The name does not resolve, at least now."""


def _system_resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


@dataclass(frozen=True)
class Guard:
    """Decides where a connection may lead.

    Attributes:
        networks: Inside networks that are allowed.
        hosts: Names, in lower case, that may resolve to inside addresses.
        resolve: Host and port to addresses; raises OSError if there are none.
    """

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    resolve: Callable[[str, int], Iterable[str]] = field(default=_system_resolve, repr=False)

    @classmethod
    def allowing(cls, entries: Iterable[str]) -> Guard:
        """Read an allow list of networks, addresses and host names.

        Raises:
            ValueError: An entry is none of them, or reaches a metadata service.
        """
        networks: list[Network] = []
        hosts: set[str] = set()
        for entry in entries:
            try:
                network = ipaddress.ip_network(entry.strip(), strict=False)
            except ValueError:
                hosts.add(_host_name(entry))
                continue
            if any(network.version == bad.version and network.subnet_of(bad) for bad in _METADATA):  # pyright: ignore[reportArgumentType]
                raise ValueError(f"{entry} is where clouds keep credentials: nothing is sent there") from None
            networks.append(network)
        return cls(tuple(networks), frozenset(hosts))

    def is_allowed_inside(self, host: str) -> bool:
        """Whether a host is on the list by name or by the address it is."""
        try:
            address = _embedded(ipaddress.ip_address(host.strip("[]")))
        except ValueError:
            return host.lower().rstrip(".") in self.hosts
        return self._listed(address)

    def checked(self, host: str, port: int) -> list[str]:
        """Resolve a host and return its addresses, each of which may be connected to.

        Raises:
            ForbiddenAddressError: One of them may not.
            UnknownHostError: There is none.
        """
        name = host.strip("[]").rstrip(".").lower()
        try:
            found = list(dict.fromkeys(self.resolve(name, port)))
        except (OSError, UnicodeError) as error:
            raise UnknownHostError(f"{name} does not resolve") from error
        if not found:
            raise UnknownHostError(f"{name} does not resolve")
        for text in found:
            self.check_address(text, name)
        return found

    def check_address(self, text: str, name: str = "") -> None:
        """Refuse one address.

        Args:
            text: The address, perhaps with a zone (`fe80::1%eth0`).
            name: The host that resolved to it.

        Raises:
            ForbiddenAddressError: It may not be connected to.
        """
        address = _embedded(ipaddress.ip_address(text.partition("%")[0]))
        shown = f"{name} ({address})" if name and name != text else str(address)
        if any(address.version == network.version and address in network for network in _METADATA):
            raise ForbiddenAddressError(f"{shown} is link-local or a metadata service: nothing is sent there")
        if address.is_global and not address.is_multicast:
            return
        if self._listed(address) or name in self.hosts:
            return
        raise ForbiddenAddressError(
            f"{shown} is an address inside a network: put it under allow_internal if it is meant"
        )

    def _listed(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.networks)


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or address


def _host_name(entry: str) -> str:
    name = entry.strip().rstrip(".").lower()
    labels = name.split(".")
    if not name or not all(label and label.replace("-", "").replace("_", "").isalnum() for label in labels):
        raise ValueError(f"{entry!r} is no network, address or host name")
    if labels[-1].isdigit():
        raise ValueError(f"{entry!r} is no network, address or host name")
    return name
