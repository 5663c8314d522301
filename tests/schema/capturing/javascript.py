"""Runs vercel.mjs: `python -m schema.capturing.javascript FOLDER MODE OUT.json`; FOLDER has its packages.

In FOLDER: `npm install ai @ai-sdk/openai @ai-sdk/anthropic @ai-sdk/otel zod @opentelemetry/sdk-trace-node
@opentelemetry/exporter-trace-otlp-proto`. MODE is `new`, or `legacy` for the attributes of packages/ai.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from schema.capturing import scenarios as made
from schema.capturing.double import Double
from schema.capturing.replies import Reply
from schema.capturing.run import billed

_SCRIPT = Path(__file__).with_name("vercel.mjs")
_REPLIES = {
    "chat": [made.MINI],
    "chat_cached_reasoning": [made.O4],
    "chat_stream": [made.STREAMED],
    "chat_tool_loop": [made.TOOL, made.AFTER_TOOL],
    "chat_error_429": [Reply(status=429)],
    "responses": [made.RESPONSE],
    "embeddings": [made.EMBEDDED],
    "anthropic": [made.CLAUDE],
    "anthropic_cached": [made.CACHED],
    "anthropic_stream": [made.CACHED_5M],
}


class _Receiver(BaseHTTPRequestHandler):
    """Takes OTLP/protobuf; Node sends it in chunks."""

    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        body = b""
        while size := int(self.rfile.readline() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        self.bodies.append(body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        pass


def main() -> None:
    folder, mode, out = sys.argv[1:]
    script = shutil.copy(_SCRIPT, folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sink = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    name = Path(out).stem
    double = Double()
    captures: dict[str, Any] = {}
    for scenario, replies in _REPLIES.items():
        _Receiver.bodies.clear()
        double.play(replies, hashlib.sha256(f"{name}{scenario}".encode()).hexdigest()[:20])
        subprocess.run(["node", script, double.url, sink, mode, scenario], check=True, timeout=60)
        request = ExportTraceServiceRequest()
        for body in _Receiver.bodies:
            request.MergeFromString(body)
        captures[scenario] = {
            "otlp": base64.b64encode(request.SerializeToString()).decode(),
            "calls": [billed(record) for record in double.billed],
            "expected_calls": None,
            "ending": "",
        }
    versions = {
        package: json.loads((Path(folder) / "node_modules" / package / "package.json").read_text())["version"]
        for package in ("ai", "@ai-sdk/otel")
    }
    text = json.dumps({"setup": name, "versions": versions, "captures": captures}, indent=1)
    Path(out).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
