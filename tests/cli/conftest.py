from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

import made_store
from promptspan_server.cli import _run  # pyright: ignore[reportPrivateUsage]

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

DEADLINE_S = 90.0
_CLEARED = (
    "PROMPTSPAN_TOKEN",
    "PROMPTSPAN_CLICKHOUSE_URL",
    "PROMPTSPAN_DATA_DIR",
    "PROMPTSPAN_DEBUG",
    "PROMPTSPAN_SPOOL",
    "XDG_STATE_HOME",
    "FORCE_COLOR",
)


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Return when the condition holds; fail, naming it, when the deadline passes."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Tell whether the process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Running:
    """A command that runs in the background, with its output in files."""

    def __init__(self, command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
        self.out = directory / "out.txt"
        self.err = directory / "err.txt"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)

    @property
    def pid(self) -> int:
        return self.process.pid

    def json_lines(self) -> list[dict[str, Any]]:
        lines = self.out.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_for_json(self, key: str) -> dict[str, Any]:
        """Return the first JSON object on stdout that has the key."""

        self._wait_for(lambda: any(key in line for line in self.json_lines()), f"a JSON object with {key}")
        return next(line for line in self.json_lines() if key in line)

    def wait_for_text(self, text: str) -> None:
        """Return when stdout has the text."""
        self._wait_for(lambda: text in self.out.read_text(), text)

    def _wait_for(self, there: Callable[[], bool], what: str) -> None:
        def there_or_ended() -> bool:
            ended = self.process.poll() is not None
            return there() or ended

        wait_until(there_or_ended, f"{what} on stdout")
        if not there():
            pytest.fail(f"ended with {self.process.returncode} before {what}: {self.err.read_text()}")

    def wait(self) -> int:
        return self.process.wait(timeout=DEADLINE_S)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user's environment in which nothing of promptspan is set, with a home of its own."""
    values = {name: value for name, value in os.environ.items() if name not in _CLEARED}
    return {
        **values,
        "HOME": str(tmp_path / "home"),
        "XDG_DATA_HOME": str(tmp_path / "share"),
        "COLUMNS": "200",
    }


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., Running]]:
    """Start a command in the background; what is still running at the end is ended."""
    started: list[Running] = []

    def begin(*command: str, **extra: str) -> Running:
        directory = tmp_path / f"run{len(started)}"
        directory.mkdir()
        running = Running(command, directory, {**environment, **extra})
        started.append(running)
        return running

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.process.terminate()
            try:
                running.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()


@pytest.fixture
def promptspan(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line to its end, as the installed script does."""

    def run(
        *arguments: str, stdin: IO[bytes] | int | None = None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            stdin=stdin,
            capture_output=True,
            text=True,
            env={**environment, **extra},
            timeout=DEADLINE_S,
            check=False,
        )

    return run


@pytest.fixture
def inside(
    environment: dict[str, str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """As `promptspan`, in this process, which has loaded what it needs: a second sooner."""
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        with monkeypatch.context() as for_once:
            for name, value in extra.items():
                for_once.setenv(name, value)
            code = _run(arguments)
        said = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return run


COMMAND = (str(Path(sys.executable).with_name("promptspan")),)
FREE_PORTS = ("--clickhouse-port=0", "--otlp-port=0", "--otlp-grpc-port=0")


class LocalStore:
    """A running `promptspan up --no-dashboard` and where it listens."""

    def __init__(self, running: Running, data_dir: Path) -> None:
        self.running = running
        self.data_dir = data_dir
        self.ready = running.wait_for_json("clickhouse_port")
        self.reader = f"--dsn={self.ready['dsn']}"
        self.writer = self.reader.replace("//reader@", "//default@")
        self.endpoint = f"--endpoint={self.ready['otlp_endpoint']}"
        self.grpc_endpoint = f"--grpc-endpoint={self.ready['otlp_grpc_endpoint']}"

    def database(self, user: str, name: str) -> str:
        """The option that names another database of this store."""
        return f"--dsn=http://{user}@127.0.0.1:{self.ready['clickhouse_port']}/{name}"

    def send(self, **attributes: str | int) -> None:
        """Send one finished model call over OTLP/JSON; it is stored when this returns."""
        now = time.time_ns()
        span = {
            "traceId": os.urandom(16).hex(),
            "spanId": os.urandom(8).hex(),
            "name": "chat",
            "kind": 3,
            "startTimeUnixNano": str(now - 250_000_000),
            "endTimeUnixNano": str(now),
            "attributes": [_attribute(key, value) for key, value in attributes.items()],
        }
        resource = {"attributes": [_attribute("service.name", "cli-tests")]}
        body = {
            "resourceSpans": [
                {"resource": resource, "scopeSpans": [{"scope": {"name": "t"}, "spans": [span]}]}
            ]
        }
        request = urllib.request.Request(
            f"{self.ready['otlp_endpoint']}/v1/traces",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            assert reply.status == 200


def _attribute(key: str, value: str | int) -> dict[str, Any]:
    kind = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": key.replace("__", "."), "value": {kind: str(value)}}


@contextmanager
def _running_store(directory: Path) -> Generator[LocalStore]:
    data_dir = directory / "data"
    made_store.copy_to(data_dir)
    environment = {name: value for name, value in os.environ.items() if name not in _CLEARED}
    running = Running(
        [*COMMAND, "up", "--no-dashboard", "--no-alerts", "--json", f"--data-dir={data_dir}", *FREE_PORTS],
        directory,
        environment,
    )
    try:
        yield LocalStore(running, data_dir)
        assert running.stop() == 0
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


@pytest.fixture(scope="session")
def local_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStore]:
    """One store for the tests that do not mind what others put into it."""
    with _running_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStore]:
    """One store that nobody sends anything to."""
    with _running_store(tmp_path_factory.mktemp("empty")) as store:
        yield store


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[LocalStore]:
    """A store for one test alone."""
    with _running_store(tmp_path) as store:
        yield store
