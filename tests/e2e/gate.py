"""A way to the receiver that can be shut, and that can swallow the receiver's answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Gate:
    """Passes connections on to a port of this machine.

    Attributes:
        port: Where it listens; connections are refused while it is shut.
        swallow: How many answers are still to be thrown away, each with its connection.
    """

    def __init__(self, target_port: int, *, is_open: bool = True) -> None:
        self.swallow = 0
        self._target = target_port
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        if is_open:
            self.open()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for pump in (self._requests, self._answers):
                    threading.Thread(target=pump, args=(near, far), daemon=True).start()

    def _requests(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := near.recv(65_536):
                far.sendall(block)
            far.shutdown(socket.SHUT_WR)

    def _answers(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError), near, far:
            while block := far.recv(65_536):
                if self.swallow > 0:
                    self.swallow -= 1
                    near.shutdown(socket.SHUT_RDWR)
                    return
                near.sendall(block)
