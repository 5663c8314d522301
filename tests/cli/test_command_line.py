from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .conftest import COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., subprocess.CompletedProcess[str]]

FREE = ("--clickhouse-port=0", "--otlp-port=0", "--otlp-grpc-port=0", "--dashboard-port=0")


def says(result: subprocess.CompletedProcess[str], text: str) -> None:
    """One clear line on stderr, nothing on stdout, exit code 2."""
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("promptspan: ")
    assert text in lines[0]


def test_the_version_is_that_of_the_distribution(promptspan: Run) -> None:
    result = promptspan("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("promptspan 0.")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("up", "--help"), ("prices",), ("query", "-h")])
def test_help_goes_to_stdout_and_succeeds(promptspan: Run, arguments: tuple[str, ...]) -> None:
    result = promptspan(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage: promptspan" in result.stdout


def test_help_has_no_escape_codes_in_a_pipe_nor_with_no_color(promptspan: Run) -> None:
    assert "\x1b" not in promptspan("--help").stdout
    assert "\x1b[3" not in promptspan("--help", NO_COLOR="1", FORCE_COLOR="1").stdout


def test_help_loads_nothing_heavy(environment: dict[str, str]) -> None:
    code = (
        "import sys\n"
        "from promptspan_server.cli.app import invoke\n"
        "invoke(['--help'])\n"
        "heavy = {'streamlit', 'chdb', 'clickhouse_connect', 'plotly', 'httpx', 'pandas', 'grpc'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stderr == ""
    assert result.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nonsense",), "No such command 'nonsense' (promptspan --help tells more)"),
        (("up", "--nonsense"), "No such option: --nonsense (promptspan up --help tells more)"),
        (("up", "--otlp-port", "many"), "--otlp-port"),
        (("query",), "Missing argument"),
        (("query", "SELECT 1", "--format", "xml"), "xml"),
        (("query", "SELECT 1", "--limit", "0"), "--limit"),
        (("query", " ; "), "the statement is empty"),
        (("query", "SELECT 1 FORMAT CSV"), "--format table|json|csv"),
        (("query", "SELECT 1", "--param", "x"), "NAME=VALUE"),
        (("query", "SELECT 1", "--param", "x=1"), "{x:Type}"),
        (("prices", "nonsense"), "No such command 'nonsense'"),
    ],
)
def test_a_wrong_command_line_gets_one_clear_line(
    promptspan: Run, arguments: tuple[str, ...], text: str
) -> None:
    says(promptspan(*arguments), text)


@pytest.mark.parametrize(("command", "missing"), [("up", "chdb"), ("up", "streamlit"), ("demo", "grpc")])
def test_up_without_the_local_extra_names_it(
    environment: dict[str, str], tmp_path: Path, command: str, missing: str
) -> None:
    says(without(missing, environment, tmp_path, command, *FREE), "pip install 'promptspan[local]'")


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_the_thin_sdk_alone_says_which_extra_the_command_line_needs(
    environment: dict[str, str], tmp_path: Path, missing: str
) -> None:
    result = without(missing, environment, tmp_path, "doctor")
    says(
        result,
        f"the command line needs the server extra ({missing} is missing): pip install 'promptspan[local]'",
    )


def without(
    package: str, environment: dict[str, str], directory: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line where a package is not installed, as far as imports can tell."""
    code = (
        "import importlib.abc, sys\n"
        "class Absent(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from promptspan_server.cli import main\n"
        "main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**environment, "PROMPTSPAN_DATA_DIR": str(directory / "data")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "option", ["--clickhouse-port", "--otlp-port", "--otlp-grpc-port", "--dashboard-port"]
)
def test_a_port_in_use_is_named_with_the_option_that_changes_it(
    promptspan: Run, tmp_path: Path, option: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        others = [free for free in FREE if not free.startswith(option)]
        result = promptspan("up", f"--data-dir={tmp_path / 'data'}", *others, f"{option}={port}")
    says(result, f"port {port} on 127.0.0.1 is in use")
    assert option in result.stderr
    assert not (tmp_path / "data").exists(), "nothing was begun"


def test_two_interfaces_on_one_port_are_refused(promptspan: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    result = promptspan("up", f"--data-dir={tmp_path}", f"--otlp-port={port}", f"--clickhouse-port={port}")
    says(result, f"--clickhouse-port and --otlp-port are both {port}")


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_number_that_is_no_port_is_refused(promptspan: Run, tmp_path: Path, port: str) -> None:
    others = ("--clickhouse-port=0", "--otlp-grpc-port=0", "--dashboard-port=0")
    result = promptspan("up", f"--data-dir={tmp_path}", *others, f"--otlp-port={port}")
    says(result, f"--otlp-port {port} is not a port")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_an_address_beyond_loopback_needs_a_token(promptspan: Run, tmp_path: Path, host: str) -> None:
    says(promptspan("up", f"--data-dir={tmp_path}", f"--host={host}", *FREE), "set a token first")


@pytest.mark.parametrize("token", ["", "two words", "tab\t", "é"])
def test_a_token_that_headers_cannot_carry_is_refused(promptspan: Run, tmp_path: Path, token: str) -> None:
    says(promptspan("up", f"--data-dir={tmp_path}", "--host=0.0.0.0", f"--token={token}", *FREE), "token")


def test_an_address_of_another_machine_is_refused(promptspan: Run, tmp_path: Path) -> None:
    result = promptspan("up", f"--data-dir={tmp_path}", "--host=192.0.2.7", "--token=secret", *FREE)
    says(result, "--host 192.0.2.7 is not an address of this machine")


def test_a_data_directory_that_cannot_be_made_is_refused(promptspan: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    says(promptspan("up", f"--data-dir={tmp_path / 'file' / 'data'}", *FREE), "--data-dir")


@pytest.mark.parametrize(
    ("command", "dsn", "text"),
    [
        (("query", "SELECT 1"), "127.0.0.1:8123", "scheme"),
        (("migrate",), "mysql://127.0.0.1/x", "mysql://"),
        (("doctor",), "http://127.0.0.1:many/x", "port"),
        (("prices", "list"), "http://", "host"),
    ],
)
def test_a_dsn_that_cannot_be_read_is_explained(
    promptspan: Run, command: tuple[str, ...], dsn: str, text: str
) -> None:
    says(promptspan(*command, f"--dsn={dsn}"), text)


@pytest.mark.parametrize(
    "command", [("query", "SELECT 1"), ("migrate",), ("prices", "sync"), ("prices", "list")]
)
def test_a_store_that_is_not_there_is_one_line_without_the_password(
    promptspan: Run, command: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    result = promptspan(*command, f"--dsn=http://reader:hunter2@127.0.0.1:{port}/default")
    says(result, f"127.0.0.1:{port}")
    assert "promptspan up" in result.stderr
    assert "hunter2" not in result.stderr


def test_debugging_shows_where_a_missing_package_was_wanted(
    environment: dict[str, str], tmp_path: Path
) -> None:
    result = without("typer", {**environment, "PROMPTSPAN_DEBUG": "1"}, tmp_path, "doctor")
    assert "Traceback" in result.stderr


def test_a_reader_that_has_seen_enough_is_no_error(environment: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [*COMMAND, "--help"], stdout=write, stderr=subprocess.PIPE, env=environment, check=False
    )
    os.close(write)
    assert b"Traceback" not in result.stderr
