"""What the transport side needs to know, in one frozen object made by ``configure()``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace.export import SpanExporter

    from ._span import AttributeValue, FinishedSpan, Note


def default_spool_dir() -> Path | None:
    """Where spans wait for the network: ``$XDG_STATE_HOME/promptspan/spool``, or in ``~/.local/state``.

    ``None`` where there is no home directory: a container's bare uid.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        root = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return root / "promptspan" / "spool"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportConfig:
    """How spans leave the process.

    Attributes:
        endpoint: Base URL of an OTLP/HTTP receiver; ``/v1/traces`` is appended.
        headers: Sent with every request, for example ``Authorization``.
        resource: What describes this process (``service.name`` and so on).
        spool_dir: Root of the disk spool; ``None`` keeps spans in memory only.
        spool_max_bytes: Size at which the oldest spooled segments are dropped, and counted.
        queue_max_bytes: Bound of the spans in memory, by the notes' own guess of their size.
        exporter: Another way out: spans go to this exporter instead of to ``endpoint``.
        timeout_s: Longest time that one request may take in all, connection and reply included.
        compression: Of the request's body.
        linger_s: How long the first span of a batch waits for others.
        batch_max_spans: Most spans in a request.
        batch_max_bytes: Size at which a request is full; receivers refuse bodies over 4 MB.
        retry_initial_s: First pause after a failure; doubles with each further one.
        retry_max_s: Longest pause that is chosen here; a receiver's ``Retry-After`` may ask for up to 60 s.
        exit_timeout_s: Longest time that the end of the process waits for the network.
        look_ahead: Called with the notes that are built next.
        mirror: Called with each span in the background, after it is safe: for the application's own provider.
        sdk_version: Said to the receiver, in the scope and the user agent.
    """

    endpoint: str = "http://127.0.0.1:4318"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    resource: Mapping[str, AttributeValue] = field(default_factory=dict[str, "AttributeValue"])
    spool_dir: Path | None = field(default_factory=default_spool_dir)
    spool_max_bytes: int = 256_000_000
    queue_max_bytes: int = 64_000_000
    exporter: SpanExporter | None = None
    timeout_s: float = 10.0
    compression: Literal["gzip", "none"] = "gzip"
    linger_s: float = 0.5
    batch_max_spans: int = 1_000
    batch_max_bytes: int = 1_000_000
    retry_initial_s: float = 0.25
    retry_max_s: float = 30.0
    exit_timeout_s: float = 1.2
    look_ahead: Callable[[list[Note]], object] | None = None
    mirror: Callable[[FinishedSpan], object] | None = None
    sdk_version: str = ""
