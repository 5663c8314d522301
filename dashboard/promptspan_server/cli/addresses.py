from __future__ import annotations

import errno
import ipaddress
import os
import socket

from promptspan_server.cli.failure import CommandError


def is_loopback(host: str) -> bool:
    """Tell whether every address that `host` stands for is reachable from this machine only.

    Raises:
        CommandError: The name cannot be resolved.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise CommandError(f"--host {host}: {error.strerror or error}") from error
    return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)


def local_address(host: str) -> str:
    """Return where a process on this machine reaches a server that binds `host`."""
    if host in ("", "0.0.0.0"):  # noqa: S104
        return "127.0.0.1"
    return "::1" if host == "::" else host


def url(host: str, port: int, scheme: str = "http") -> str:
    """Build `scheme://host:port`, with brackets around an IPv6 address."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def require_free(host: str, port: int, option: str) -> None:
    """Check that `port` can be bound; 0 asks for any free port and always can.

    Raises:
        CommandError: It is taken, forbidden, or `host` is no address of this machine. The line names the
            port and the option that changes it.
    """
    if not 0 <= port <= 65535:
        raise CommandError(f"{option} {port} is not a port (0 to 65535)")
    reason = _binding_fails(host, port)
    if reason is None:
        return
    if reason == errno.EADDRINUSE:
        raise CommandError(
            f"port {port} on {host} is in use (is promptspan running already?); "
            f"{option} chooses another, 0 any free one"
        )
    if reason == errno.EADDRNOTAVAIL:
        raise CommandError(f"--host {host} is not an address of this machine")
    raise CommandError(
        f"port {port} on {host} cannot be used: {os.strerror(reason)} ({option} chooses another)"
    )


def is_free(host: str, port: int) -> bool:
    """Tell whether `port` can be bound right now."""
    return _binding_fails(host, port) is None


def free_port(host: str) -> int:
    """Return a port that is free right now.

    For programs that cannot be told to choose themselves. Another process may take it in between; whoever
    binds it second says so.
    """
    with _socket(host) as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port


def _binding_fails(host: str, port: int) -> int | None:
    try:
        with _socket(host) as listener:
            # As servers do: a port whose last connections are in TIME_WAIT is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(1)
    except OSError as error:
        return error.errno or errno.EADDRNOTAVAIL
    return None


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
