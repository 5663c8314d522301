"""From the caller's path to the network: a queue, a writer thread that builds and keeps, a sender thread.

    submit(note) -> queue -> [writer: build, encode] -> store (disk, or memory) -> [sender] -> backend

``submit`` only appends to a deque. Both threads are daemons and start with the first note.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ._buffer import MemoryStore
from ._encode import encode_resource, encode_span, framed
from ._export import ExporterWay
from ._guard import without_words
from ._process import forget_exit, not_while_forking, send_at_exit, watch_forks
from ._sender import OtlpSender
from ._spool import Spool
from ._spool_folder import spool_folder
from ._stats import Ledger, Stats

if TYPE_CHECKING:
    from ._buffer import Batch, Store, Way
    from ._span import FinishedSpan, Note
    from ._transport_config import TransportConfig

_COLLECT_S = 0.014  # the writer lets notes gather so long; the spool has them within 20 ms
_CHUNK = 64  # notes between two writes to the store
_BUSY_S = 0.001  # the writer keeps the interpreter at most so long while others may want it
_BREATH_S = 0.00005
_LAST_WAIT_S = 0.25

_log = logging.getLogger("promptspan")


class Pipeline:
    """Takes notes of finished calls and sees their spans to the backend, in the background.

    Args:
        config: Where to, and within which bounds.
    """

    def __init__(self, config: TransportConfig) -> None:
        """Prepare; starts nothing and opens nothing.

        Raises:
            ValueError: The endpoint is not an http(s) URL, or a header holds a line break.
        """
        self._config = config
        self._closed = False
        self._reset()
        watch_forks(self)

    def _reset(self) -> None:
        """A state without threads, files, locks or notes: at the start, and in a forked child."""
        self._queue: deque[Note] = deque()
        self._overflow: deque[None] = deque()
        self._max_bytes = -1 if self._closed else self._config.queue_max_bytes
        # Submitters add to the one, the writer to the other; what unlocked sums miss is mended at each lull.
        self._bytes_in = 0
        self._bytes_out = 0
        self._asleep = True
        self._latch = threading.Lock()
        self._latch.acquire()
        self._starting = threading.RLock()
        self._started = False
        self._inline = False
        self._writer: threading.Thread | None = None
        self._sender: threading.Thread | None = None
        self._writer_ends = False
        self._sender_ends = False
        self._changed = threading.Condition()
        self._sender_idle = True
        self._hurry = 0  # flushes that wait now
        self._flushes = 0  # flushes so far
        self._ledger = Ledger(lambda: len(self._queue) + len(self._overflow))
        self._store, self._way = self._open()

    def _open(self) -> tuple[Store, Way]:
        config, ledger = self._config, self._ledger
        instance = os.urandom(8).hex()
        resource = {"service.instance.id": instance, **config.resource, "promptspan.sdk.instance": instance}
        fixed = encode_resource(resource)
        memory: MemoryStore[Any] = MemoryStore(
            config.queue_max_bytes,
            ledger.own,
            lambda sending: fixed + encode_resource(ledger.attributes(sending)),
        )
        if config.exporter is not None:
            return memory, ExporterWay(config.exporter, resource, config.sdk_version)
        store: Store = memory
        if config.spool_dir is not None:
            root, service = config.spool_dir, str(config.resource.get("service.name", ""))
            store = Spool(
                lambda: spool_folder(root, service, config.endpoint),
                config.spool_max_bytes,
                ledger,
                fixed,
                memory,
            )
        return store, OtlpSender(config, ledger, self._pause, store.set_aside)

    # The caller's thread

    def submit(self, note: Note) -> None:
        """Hand over a note: O(1), never waits or raises. Over the bound the newest is lost and counted."""
        try:
            size = note.size_bytes
            if self._bytes_in - self._bytes_out + size > self._max_bytes:
                self._turn_away()
            else:
                self._bytes_in += size
                self._queue.append(note)
            if self._asleep:
                self._wake_writer()
        except Exception:  # noqa: BLE001  # the host never pays for our mistakes
            _log.exception("promptspan: a span could not be handed over")

    def _turn_away(self) -> None:
        if self._closed:
            with self._ledger.lock:
                self._ledger.own.enter(1, "hands")
                self._ledger.own.drop(1, "hands", "shutdown")
        else:
            self._overflow.append(None)

    def _wake_writer(self) -> None:
        self._asleep = False
        if not self._started:
            self._start()
        if self._inline:
            self._drain_safely()
            self._asleep = True
            return
        try:
            self._latch.release()
        except RuntimeError:  # another submitter was first
            return

    def _start(self) -> None:
        with self._starting:
            if self._started or self._closed:
                return
            self._started = True
            writer = threading.Thread(target=self._write_forever, name="promptspan-writer", daemon=True)
            sender = threading.Thread(target=self._send_forever, name="promptspan-sender", daemon=True)
            try:
                writer.start()
                self._writer = writer
                sender.start()
                self._sender = sender
            except RuntimeError:  # the interpreter is ending, or the system has no thread left
                self._inline = self._writer is None
            send_at_exit(self._at_exit)

    # The writer's thread

    def _write_forever(self) -> None:
        busy = False
        due = 0.0
        while not self._writer_ends:
            if not busy:  # else more will come, and nobody has to be woken for it
                self._asleep = True
                if not self._queue and not self._overflow:
                    self._latch.acquire()
                self._asleep = False
                due = time.monotonic() + _COLLECT_S
            if not self._hurry:
                time.sleep(max(0.0, due - time.monotonic()))
            due = time.monotonic() + _COLLECT_S
            busy = self._drain_safely(once=True)
        self._drain_safely()

    def _drain_safely(self, *, once: bool = False) -> bool:
        """Keep what is in the queue; whether there was any.

        Args:
            once: Leave what comes meanwhile for the next time: a few notes cost nearly as much as many, with
                caches gone cold.
        """
        found = False
        try:
            while notes := self._take():
                found = True
                self._keep(notes)
                if once and len(notes) < _CHUNK:
                    break
            if self._hurry:  # what was dropped here, the sender never tells
                with self._changed:
                    self._changed.notify_all()
        except BaseException as exc:  # noqa: BLE001  # all that stands between the application and silence
            _log.error("promptspan: spans could not be kept: %s", without_words(exc))
        return found

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

    def _keep(self, notes: list[Note]) -> None:
        """Build, encode and store; other threads get the interpreter in between."""
        spans: list[FinishedSpan] = []
        items: list[Any] = []
        sizes: list[int] = []
        since = time.perf_counter()
        last = notes[-1]
        self._look_ahead(notes)
        for note in notes:
            with not_while_forking():
                built = self._built(note)
            if built is not None:
                span, item = built
                spans.append(span)
                items.append(item)
                sizes.append(len(item) if type(item) is bytes else note.size_bytes)
            if note is not last and time.perf_counter() - since > _BUSY_S and not self._writer_ends:
                time.sleep(_BREATH_S)
                since = time.perf_counter()
        if not items:
            return
        with not_while_forking():
            self._store.append(items, sizes)
        if self._sender_idle or len(self._store) >= self._config.batch_max_spans:
            with self._changed:
                self._sender_idle = False
                self._changed.notify_all()
        self._mirror(spans)

    def _built(self, note: Note) -> tuple[FinishedSpan, Any] | None:
        own = self._ledger.own
        try:
            span = note.build()
            if span is None:
                own.forget(1, "hands")
                return None
            return span, (span if self._config.exporter is not None else framed(encode_span(span)))
        except BaseException as exc:  # noqa: BLE001  # whatever it is, this thread goes on
            own.drop(1, "hands", "build_failed")
            _log.error("promptspan: a span could not be built: %s", without_words(exc))
            return None

    def _look_ahead(self, notes: list[Note]) -> None:
        ahead = self._config.look_ahead
        if ahead is not None:
            with not_while_forking():
                ahead(notes)

    def _mirror(self, spans: list[FinishedSpan]) -> None:
        mirror = self._config.mirror
        if mirror is not None:
            try:
                for span in spans:
                    mirror(span)
            except BaseException as exc:  # noqa: BLE001  # the application's processors may raise anything
                _log.error("promptspan: the application's own provider took no span: %s", without_words(exc))

    # The sender's thread

    def _send_forever(self) -> None:
        _suppress_instrumentation()
        store, way, full = self._store, self._way, self._config.batch_max_spans
        try:
            while not self._sender_ends:
                while not self._sender_ends and (batch := self._next_batch(store, way)):
                    self._deliver(batch)
                with self._changed:
                    if not len(store):
                        self._sender_idle = True
                        self._changed.wait_for(
                            lambda: not self._sender_idle or self._sender_ends, store.rescan_s
                        )
                        self._sender_idle = False
                    if len(store):
                        self._changed.wait_for(
                            lambda: self._sender_ends or self._hurry or len(store) >= full,
                            self._config.linger_s,
                        )
        finally:
            way.close()
            store.close()
            with self._changed:
                self._changed.notify_all()

    def _next_batch(self, store: Store, way: Way) -> Batch[Any] | None:
        with not_while_forking():
            return store.batch(self._config.batch_max_spans, way.max_bytes)

    def _deliver(self, batch: Batch[Any]) -> None:
        try:
            self._way.deliver(batch)
        except BaseException:  # noqa: BLE001  # an exporter of the user's may raise anything
            _log.exception("promptspan: a batch could not be sent")
            self._pause(self._config.retry_max_s, may_hurry=True)
        with self._changed:
            self._changed.notify_all()

    def _pause(self, seconds: float, *, may_hurry: bool) -> bool:
        """Wait between two attempts; a flush may cut it short. False when the sender has to stop."""
        with not_while_forking():
            self._store.tell_trouble()
        with self._changed:
            self._changed.notify_all()
            asked = self._flushes
            self._changed.wait_for(
                lambda: self._sender_ends or (may_hurry and self._flushes > asked), seconds
            )
        return not self._sender_ends

    # Ends

    def flush(self, timeout_s: float) -> bool:
        """Send now what was submitted before; true if all of it was settled within ``timeout_s`` seconds."""
        return self._flush(time.monotonic() + timeout_s, patient=True)

    def _flush(self, deadline: float, *, patient: bool) -> bool:
        """Wait for the network; the impatient give up at the first failure, as the spool keeps the spans."""
        ledger, way = self._ledger, self._way
        goal = ledger.handed_over()
        if ledger.settled() >= goal:
            return True
        if not self._started:
            self._wake_writer()
        failures = way.failures
        with self._changed:
            self._hurry += 1
            self._flushes += 1
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: (
                    ledger.settled() >= goal
                    or (not patient and way.failures > failures)
                    or self._sender is None
                    or not self._sender.is_alive()
                ),
                max(0.0, deadline - time.monotonic()),
            )
            self._hurry -= 1
        return ledger.settled() >= goal

    def shutdown(self, timeout_s: float) -> bool:
        """Stop taking notes, keep what is there, send for ``timeout_s`` seconds; true if nothing is left."""
        self._closed = True
        self._max_bytes = -1
        self._finish(timeout_s)
        stats = self._ledger.stats()
        return not stats.queued and not stats.spooled

    def _finish(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        forget_exit(self._at_exit)
        writer, sender = self._writer, self._sender
        if writer is None:
            if self._inline and not self._sender_ends:
                self._send_inline(deadline)
            return
        self._writer_ends = True
        self._wake_writer()
        writer.join(timeout_s)
        durable = self._store.durable
        if not (durable and self._way.failures):
            self._flush(deadline, patient=not durable)
        with self._changed:
            self._sender_ends = True
            self._changed.notify_all()
        if sender is None:
            self._store.close()
        else:
            sender.join(_LAST_WAIT_S)  # it ends now, or with the request that it waits for
        self._tell_losses()

    def _tell_losses(self) -> None:
        """The last word on what no report will carry any more."""
        stats = self._ledger.stats()
        lost = {**stats.adopted.dropped}
        for reason, count in stats.dropped.items():
            lost[reason] = lost.get(reason, 0) + count
        if stats.queued:
            lost["not sent in time"] = stats.queued
        if lost:
            named = ", ".join(f"{count} {reason}" for reason, count in lost.items())
            _log.warning("promptspan: %d spans were lost: %s", sum(lost.values()), named)

    def _send_inline(self, deadline: float) -> None:
        """One try for each batch, on the thread that ends the process: no other could be started any more."""
        self._drain_safely()
        self._sender_ends = True
        while time.monotonic() < deadline and (
            batch := self._store.batch(self._config.batch_max_spans, self._way.max_bytes)
        ):
            waiting = len(self._store)
            self._deliver(batch)
            if len(self._store) >= waiting:  # the backend does not take it; a spool keeps it
                break
        self._way.close()
        self._store.close()

    def _at_exit(self) -> None:
        self._finish(self._config.exit_timeout_s)
        if self._writer is not None and not self._writer.is_alive():
            self._inline = self._asleep = True  # what later exit handlers emit is kept on their own thread

    def stats(self) -> Stats:
        """Where all spans are now; the sums agree."""
        return self._ledger.stats()

    def after_fork(self) -> None:
        """In a forked child: the parent sends what it has, this process starts with nothing."""
        # The parent's notes are kept unread: letting them go could run the application's finalizers here.
        self._inherited = (self._queue, self._store)
        self._store.abandon()
        self._way.abandon()
        self._reset()


def _suppress_instrumentation() -> None:
    """What the application does to trace its own HTTP calls is not for ours."""
    from opentelemetry import context

    context.attach(context.set_value("suppress_instrumentation", True))
