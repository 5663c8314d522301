"""How the dashboard is started: every Streamlit option in one place, given as arguments.

A `.streamlit/config.toml` is looked up in the working directory and the home directory, so an installed
package cannot bring one; arguments win over both.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from promptspan_server.ui.theme import theme_options

if TYPE_CHECKING:
    from collections.abc import Sequence

APP = Path(__file__).with_name("server.py")
OTLP_VARIABLE = "PROMPTSPAN_OTLP_ENDPOINT"
DEFAULT_OTLP_ENDPOINT = "http://127.0.0.1:4318"


def streamlit_args(port: int, host: str = "127.0.0.1", allowed_hosts: Sequence[str] = ()) -> list[str]:
    """Build the command that serves the dashboard.

    The child reads from its environment `PROMPTSPAN_CLICKHOUSE_URL` (where the data is),
    `PROMPTSPAN_OTLP_ENDPOINT` (shown on the page of an empty store) and `PROMPTSPAN_TOKEN` (asked for before
    anything is shown).

    Args:
        port: Port to listen on; Streamlit takes no 0.
        host: Address to bind.
        allowed_hosts: Names by which browsers may address it, besides the host itself and loopback: protects
            against DNS rebinding. Empty with a non-loopback host lets any name through, for proxies.

    Returns:
        An argument list for `subprocess`, beginning with this interpreter.
    """
    options: dict[str, str | int] = {
        "global.developmentMode": "false",
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.runOnSave": "false",
        "server.enableWebsocketCompression": "true",
        "server.maxUploadSize": 1,
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": "false",
        "client.toolbarMode": "minimal",
        "runner.magicEnabled": "false",
        "runner.postScriptGC": "false",
        "logger.level": "warning",
        **theme_options(),
    }
    if allowed_hosts or host in ("127.0.0.1", "localhost", "::1"):
        # Streamlit takes a list as a repeated option.
        names = ("127.0.0.1", "localhost", "[::1]", "::1", *allowed_hosts)
        hosts = [part for name in names for part in ("--server.allowedHosts", name)]
    else:
        hosts = []
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *flags, *hosts]
