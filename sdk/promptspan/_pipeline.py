"""From the caller's path to the network: a queue, a writer thread that builds and keeps spans, a sender thread.

    submit(note) -> queue -> [writer: build, encode] -> store (spool on disk, or memory) -> [sender] -> backend

``submit`` only appends to a deque. Both threads are daemons and start with the first note.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from ._buffer import MemoryStore
from ._encode import encode_resource, encode_span, framed
from ._sender import OtlpSender
from ._stats import Ledger, Stats

if TYPE_CHECKING:
    from ._buffer import Batch, Store
    from ._span import FinishedSpan, Note
    from ._transport_config import TransportConfig

_COLLECT_S = 0.010  # the writer lets notes gather so long; the spool has them within 20 ms
_CHUNK = 64  # notes between two writes to the store
_BUSY_S = 0.0002  # the writer keeps the interpreter at most so long while others may want it
_BREATH_S = 0.00005

_log = logging.getLogger("promptspan")
_pipelines: weakref.WeakSet[Pipeline] = weakref.WeakSet()
_fork_hook = threading.Lock()
_fork_hooked = False


class Pipeline:
    """Takes notes of finished calls and sees their spans to the backend, in the background.

    Args:
        config: Where to, and within which bounds.
    """

    def __init__(self, config: TransportConfig) -> None:
        """Prepare; starts nothing and opens nothing.

        Raises:
            ValueError: The endpoint is not an http(s) URL.
        """
        self._config = config
        self._closed = False
        self._reset()
        _pipelines.add(self)
        _hook_fork()

    def _reset(self) -> None:
        """A state without threads, files, locks or notes: at the start, and in a forked child."""
        config = self._config
        self._queue: deque[Note] = deque()
        self._overflow: deque[None] = deque()
        self._max_bytes = -1 if self._closed else config.queue_max_bytes
        # Submitters write the one and the writer the other; slips of unlocked sums end when the queue is empty.
        self._bytes_in = 0
        self._bytes_out = 0
        self._asleep = True
        self._latch = threading.Lock()
        self._latch.acquire()
        self._starting = threading.RLock()
        self._started = False
        self._inline = False
        self._writer_ends = False
        self._sender_ends = False
        self._hurry = 0
        self._sender_idle = True
        self._changed = threading.Condition()
        self._ledger = Ledger(lambda: len(self._queue) + len(self._overflow))
        self._instance = os.urandom(8).hex()
        self._store, self._way = self._open()
        self._writer: threading.Thread | None = None
        self._sender: threading.Thread | None = None

    def _open(self) -> tuple[Store[Any], OtlpSender]:
        config = self._config
        resource = {
            "service.instance.id": self._instance,
            **config.resource,
            "promptspan.sdk.instance": self._instance,
        }
        fixed = encode_resource(resource)
        store: MemoryStore[bytes] = MemoryStore(
            config.queue_max_bytes,
            self._ledger.own,
            lambda: fixed + encode_resource(self._ledger.attributes()),
        )
        return store, OtlpSender(config, self._ledger, self._pause, self._set_aside)

    def submit(self, note: Note) -> None:
        """Hand over a note: O(1), never waits, never raises. Over the bound, the newest are lost and counted."""
        try:
            size = note.size_bytes
            if self._bytes_in - self._bytes_out + size > self._max_bytes:
                self._turn_away()
            else:
                self._bytes_in += size
                self._queue.append(note)
            if self._asleep:
                self._wake_writer()
        except Exception:
            _log.exception("promptspan: a span could not be handed over")

    def _turn_away(self) -> None:
        if self._closed:
            own = self._ledger.own
            with own.lock:
                own.enter(1, "hands")
                own.drop(1, "hands", "shutdown")
        else:
            self._overflow.append(None)

    def _wake_writer(self) -> None:
        self._asleep = False
        if self._inline:
            self._drain()
            self._asleep = True
            return
        if not self._started:
            self._start()
        try:
            self._latch.release()
        except RuntimeError:  # another submitter was first
            return

    def _start(self) -> None:
        with self._starting:
            if self._started or self._closed:
                return
            self._started = True
            self._writer = threading.Thread(target=self._write_forever, name="promptspan-writer", daemon=True)
            self._sender = threading.Thread(target=self._send_forever, name="promptspan-sender", daemon=True)
            self._writer.start()
            self._sender.start()
            atexit.register(self._at_exit)

    # The writer's thread

    def _write_forever(self) -> None:
        while not self._writer_ends:
            self._asleep = True
            if not self._queue and not self._overflow:
                self._latch.acquire()
            self._asleep = False
            if not self._hurry:
                time.sleep(_COLLECT_S)
            self._drain()
        self._drain()

    def _drain(self) -> None:
        """Build and keep all that is in the queue."""
        while True:
            notes = self._take()
            if not notes:
                return
            items: list[Any] = []
            sizes: list[int] = []
            woke = time.perf_counter()
            for note in notes:
                item = self._built(note)
                if item is not None:
                    items.append(item)
                    sizes.append(len(item))
                if time.perf_counter() - woke > _BUSY_S and not self._writer_ends:
                    time.sleep(_BREATH_S)
                    woke = time.perf_counter()
            if items:
                self._store.append(items, sizes)
                self._tell_sender()

    def _take(self) -> list[Note]:
        own = self._ledger.own
        queue, overflow = self._queue, self._overflow
        with own.lock:
            notes = [queue.popleft() for _ in range(min(len(queue), _CHUNK))]
            own.enter(len(notes), "hands")
            lost = len(overflow)
            for _ in range(lost):
                overflow.popleft()
            own.enter(lost, "hands")
            own.drop(lost, "hands", "queue_full")
        self._bytes_out += sum(note.size_bytes for note in notes)
        if not queue:
            self._bytes_out = self._bytes_in
        return notes

    def _built(self, note: Note) -> bytes | None:
        own = self._ledger.own
        try:
            span: FinishedSpan | None = note.build()
            if span is None:
                own.forget(1, "hands")
                return None
            return framed(encode_span(span))
        except Exception:
            own.drop(1, "hands", "build_failed")
            _log.exception("promptspan: a span could not be built")
            return None

    def _tell_sender(self) -> None:
        if self._sender_idle or len(self._store) >= self._config.batch_max_spans:
            with self._changed:
                self._sender_idle = False
                self._changed.notify_all()

    # The sender's thread

    def _send_forever(self) -> None:
        _suppress_instrumentation()
        config = self._config
        while not self._sender_ends:
            with self._changed:
                if not len(self._store):
                    self._sender_idle = True
                    self._changed.wait_for(lambda: not self._sender_idle or self._sender_ends)
                    continue
                self._changed.wait_for(
                    lambda: self._sender_ends or self._hurry or len(self._store) >= config.batch_max_spans,
                    config.linger_s,
                )
            while not self._sender_ends and (
                batch := self._store.batch(config.batch_max_spans, self._way.max_bytes)
            ):
                self._deliver(batch)
        self._way.close()

    def _deliver(self, batch: Batch[Any]) -> None:
        try:
            self._way.deliver(batch)
        except Exception:
            _log.exception("promptspan: a batch could not be sent")
            self._pause(self._config.retry_max_s)
        with self._changed:
            self._changed.notify_all()

    def _pause(self, seconds: float) -> bool:
        """Wait between two attempts; a flush cuts it short once. False when the sender has to stop."""
        with self._changed:
            asked = self._hurry
            self._changed.wait_for(lambda: self._sender_ends or self._hurry > asked, seconds)
        return not self._sender_ends

    def _set_aside(self, span: bytes, reason: str) -> None:
        _log.warning(
            "promptspan: the receiver refuses one span (%s, %d bytes), it is left out", reason, len(span)
        )

    # Ends

    def flush(self, timeout_s: float) -> bool:
        """Send now what was submitted before; true if all of it was settled within ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        goal = self._ledger.stats().emitted
        if self._ledger.settled() >= goal:
            return True
        if not self._started:
            self._wake_writer()
        with self._changed:
            self._hurry += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(
                    lambda: self._ledger.settled() >= goal, max(0.0, deadline - time.monotonic())
                )
            finally:
                self._hurry -= 1

    def shutdown(self, timeout_s: float) -> bool:
        """Stop taking notes, keep what is there, send what ``timeout_s`` seconds allow; true if nothing is left."""
        self._closed = True
        self._max_bytes = -1
        self._finish(timeout_s)
        stats = self._ledger.stats()
        return not stats.queued and not stats.spooled

    def _finish(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        with self._starting:
            writer, sender = self._writer, self._sender
            atexit.unregister(self._at_exit)
        if writer is None or sender is None:
            return
        self._writer_ends = True
        self._wake_writer()
        writer.join(timeout_s)
        if not self._way.failing:
            self.flush(deadline - time.monotonic())
        with self._changed:
            self._sender_ends = True
            self._changed.notify_all()
        sender.join(min(0.1, max(0.0, deadline - time.monotonic())))

    def _at_exit(self) -> None:
        self._finish(self._config.exit_timeout_s)
        if self._writer is None or not self._writer.is_alive():
            self._inline = True  # what later exit handlers emit is kept on their own thread

    def stats(self) -> Stats:
        """Where all spans are now; the sums agree."""
        return self._ledger.stats()

    def _after_fork(self) -> None:
        # The parent sends what it has. Its notes are kept here unread: dropping them could run their finalizers.
        self._inherited = (self._queue, self._store, self._way)
        self._reset()


def _suppress_instrumentation() -> None:
    """What the application does to trace its own HTTP calls is not for ours."""
    from opentelemetry import context

    context.attach(context.set_value("suppress_instrumentation", True))


def _hook_fork() -> None:
    global _fork_hooked  # noqa: PLW0603  # one hook a process, and hooks cannot be taken back
    with _fork_hook:
        if _fork_hooked or not hasattr(os, "register_at_fork"):
            return
        _fork_hooked = True

    def after_in_child() -> None:
        for pipeline in list(_pipelines):
            pipeline._after_fork()  # noqa: SLF001

    os.register_at_fork(after_in_child=after_in_child)


_ = sys
