"""`promptspan demo`: `up`, with an application that calls models and an incident to find."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptspan_server.cli.options import (
    ClickHousePortOption,
    DashboardPortOption,
    JsonOption,
    OtlpGrpcPortOption,
    OtlpPortOption,
)

if TYPE_CHECKING:
    from promptspan_server.cli.part import Part
    from promptspan_server.cli.stack import Running
    from promptspan_server.cli.voice import Voice

_STORY = """\
Staged: a support desk rolls out version 7 of its prompt inbox-summary beside version 6. A week of calls
is behind it. In half a minute version 7 gets half of the calls and goes wrong: longer and dearer answers,
errors, refusals. A minute later its alert fires (it is said here); its page shows what happened.

Or ask:  promptspan alerts list --dsn DSN
         promptspan query --dsn DSN \\
  "SELECT prompt_version, count(), countIf(status = 'error') AS errors, sum(cost_usd) AS usd FROM llm_costs
   WHERE billable AND prompt_name = 'inbox-summary' AND ts > now() - INTERVAL 10 MINUTE GROUP BY 1"
"""


def demo(
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            help="Where its data is kept, apart from yours. Default: ~/.local/share/promptspan/demo.",
            show_default=False,
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what earlier demos recorded there.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the dashboard.")] = False,
    otlp_port: OtlpPortOption = 4318,
    otlp_grpc_port: OtlpGrpcPortOption = 4317,
    clickhouse_port: ClickHousePortOption = 8123,
    dashboard_port: DashboardPortOption = 8501,
    as_json: JsonOption = False,
) -> None:
    """Show it all on replayed traffic, with a staged incident to find; Ctrl-C stops it.

    An application calls recorded models under `@traced_prompt`; nothing leaves this machine. Ports in use are
    replaced by free ones.
    """
    from promptspan_server.cli.stack import Stack, check, default_data_dir, start, with_free_ports
    from promptspan_server.cli.summary import print_json, print_summary
    from promptspan_server.cli.supervisor import StopRequested, Supervisor
    from promptspan_server.cli.voice import Voice

    voice = Voice()
    stack, taken = with_free_ports(
        Stack(
            data_dir=(data_dir or default_data_dir() / "demo").expanduser().absolute(),
            otlp_port=otlp_port,
            otlp_grpc_port=otlp_grpc_port,
            clickhouse_port=clickhouse_port,
            dashboard_port=dashboard_port,
        )
    )
    check(stack)
    if taken:
        voice.say("", f"In use, so others are taken: {', '.join(map(str, taken))}")
    if fresh:
        forget(stack.data_dir)
    try:
        with Supervisor(voice.say) as supervisor:
            running = start(stack, supervisor, voice)
            with voice.progress("Starting the application"):
                supervisor.start(_application(running))
            if as_json:
                print_json(running, supervisor.pids)
            else:
                print_summary(running, needs_token=False)
                _say_what_to_look_at(running)
            if not (no_browser or as_json):
                _open_browser(running, voice)
            supervisor.watch()
    except StopRequested:
        return


def _application(running: "Running") -> "Part":
    from promptspan_server.cli.part import Part

    return Part(
        name="demo",
        module="promptspan_server.demo",
        arguments=("--endpoint", running.otlp_endpoint),
        speaks=True,
        stop_s=4.0,  # its last spans are still to be sent
    )


def forget(data_dir: Path) -> None:
    """Remove what a store of ours recorded in a directory, and nothing else there.

    Raises:
        CommandError: A running store owns it, or it cannot be emptied.
    """
    import shutil

    from promptspan_server.cli.failure import CommandError
    from promptspan_server.store.directory import DataDirectory
    from promptspan_server.store.errors import StoreError

    # Only a directory that a store has locked before is one of ours, and only the engine's part of it goes.
    if not (data_dir / "store.pid").is_file():
        return
    try:
        directory = DataDirectory.lock(data_dir)
        try:
            shutil.rmtree(data_dir / "engine", ignore_errors=False)
        except FileNotFoundError:
            return
        finally:
            directory.unlock()
    except StoreError as error:
        raise CommandError(error.message) from error
    except OSError as error:
        raise CommandError(f"--fresh: {data_dir} cannot be emptied: {error.strerror or error}") from error


def _say_what_to_look_at(running: "Running") -> None:
    from rich.console import Console

    text = _STORY.replace("DSN", running.dsn)
    Console(soft_wrap=True, highlight=False, markup=False).print(text)


def _open_browser(running: "Running", voice: "Voice") -> None:
    import os
    import sys
    import webbrowser

    # Without a display a text browser would take over the terminal.
    has_display = sys.platform == "darwin" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    url = running.dashboard_url
    if url is None or not has_display:
        return
    try:
        opened = webbrowser.open(url)
    except webbrowser.Error:
        opened = False
    if not opened:
        voice.say("", f"No browser could be opened: the dashboard is at {url}")
