"""docker-compose.yml without an engine: read by Compose's own loader, each command run as a process.

Each mounted file is read by the program that it is for.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from collector.collectors import BINARY, CACHE, REPOSITORY, TOKEN, built, free_ports
from collector.tls import terminated
from e2e.bodies import model_call, request
from e2e.running import until

if TYPE_CHECKING:
    from collections.abc import Generator

    from collector.conftest import Backend

LOADER = CACHE / "bin" / "compose-model"
SECRETS = {
    "PROMPTSPAN_TOKEN": TOKEN,
    **{
        f"CLICKHOUSE_{user}_PASSWORD": f"secret-of-{user.lower()}"
        for user in ("MIGRATOR", "WRITER", "BOOKKEEPER", "READER", "ALERTER")
    },
}
ONE_SHOT = {"certificates", "migrations"}
# Stands for the image's own users.xml, which has a user without a password.
IMAGE_USERS = """<clickhouse>
<profiles><default/></profiles>
<quotas><default/></quotas>
<users><default>
  <password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
  <access_management>1</access_management>
</default></users>
</clickhouse>"""
IMAGE_CONFIG = """<clickhouse>
<http_port>8123</http_port>
<tcp_port>9000</tcp_port>
<users_config>HERE/users.xml</users_config>
<user_directories><users_xml><path>HERE/users.xml</path></users_xml></user_directories>
</clickhouse>"""
# In a process of its own: a process can have one engine, and this one ends without a farewell.
ASK_ENGINE = """
import json, os, sys
from promptspan_server.store.chdb_binding import connect
connection = connect(sys.argv[1])
ask = lambda sql: connection.query(sql, "TabSeparatedRaw", params={}).bytes().decode()
print(json.dumps([ask(sql) for sql in json.load(sys.stdin)]), flush=True)
os._exit(0)
"""


def load(**environment: str) -> subprocess.CompletedProcess[str]:
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("PROMPTSPAN", "CLICKHOUSE"))
    }
    return subprocess.run(
        [built(LOADER), REPOSITORY / "docker-compose.yml"],
        capture_output=True,
        text=True,
        env=own | environment,
        timeout=30,
        check=False,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    done = load(**SECRETS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for _ in range(2):  # the second time it finds what it made
        done = subprocess.run(
            ["sh", REPOSITORY / "collector-config" / "certificates.sh", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return folder


def test_without_secrets_nothing_starts() -> None:
    done = load()
    assert done.returncode != 0
    for name in SECRETS:
        assert f"required variable {name} is missing a value" in done.stderr


def test_every_container_is_bounded_watched_and_of_a_fixed_version(services: dict[str, Any]) -> None:
    assert set(services) == {
        "certificates",
        "clickhouse",
        "migrations",
        "collector",
        "ledger",
        "alerts",
        "dashboard",
    }
    for name, service in services.items():
        assert int(service["mem_limit"]) > 0
        tag = service["image"].rpartition(":")[2]
        assert tag.replace(".", "").isdigit(), service["image"]
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", []))
        if name not in {"clickhouse", "certificates"}:
            assert service["cap_drop"] == ["ALL"]
            assert service["read_only"]
        for mount in service["volumes"]:
            if mount["type"] == "bind":
                assert Path(mount["source"]).exists()
                assert mount["read_only"]
    given = {
        name: [value for value in service.get("environment", {}).values() if "secret-of" in value]
        for name, service in services.items()
    }
    # Each has its own user's password and no other; the server knows all.
    assert len(given.pop("clickhouse")) == 5
    assert {name: values for name, values in given.items() if values} == {
        "migrations": ["https://migrator:secret-of-migrator@clickhouse:8443/default"],
        "collector": ["secret-of-writer"],
        "ledger": ["https://bookkeeper:secret-of-bookkeeper@clickhouse:8443/default"],
        "alerts": ["https://alerter:secret-of-alerter@clickhouse:8443/default"],
        "dashboard": ["https://reader:secret-of-reader@clickhouse:8443/default"],
    }


def asked(folder: Path, users: str, *questions: str) -> list[str]:
    """What the engine answers with the server's configuration."""
    (folder / "users.xml").write_text(IMAGE_USERS)
    (folder / "config.xml").write_text(IMAGE_CONFIG.replace("HERE", str(folder)))
    for name, text in (("config.d", server_file("server.xml")), ("users.d", users)):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "promptspan.xml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", ASK_ENGINE, f"{folder / 'data'}?config-file={folder / 'config.xml'}"],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        env=os.environ | SECRETS,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def server_file(name: str) -> str:
    return (REPOSITORY / "collector-config" / "clickhouse" / name).read_text()


def test_the_engine_reads_the_servers_configuration_and_gives_users_what_they_need(tmp_path: Path) -> None:
    removal = '<default remove="1"/>'
    users = server_file("users.xml")
    assert removal in users
    names = ("migrator", "writer", "bookkeeper", "reader", "alerter")
    # The embedded engine speaks as `default`, which the file takes away.
    found = asked(
        tmp_path,
        users.replace(removal, ""),
        "SELECT name FROM system.users WHERE name != 'default' ORDER BY name",
        "SELECT value FROM system.merge_tree_settings WHERE name = 'fsync_after_insert'",
        "SHOW CREATE PROFILE promptspan_read",
        *(f"SHOW GRANTS FOR {name}" for name in names),
    )
    assert found[0].split() == sorted(names)
    assert found[1].strip() == "1"
    assert "readonly = 2" in found[2]
    assert "max_execution_time = 30. MAX 30." in found[2]
    grants = dict(zip(names, found[3:], strict=True))
    assert "GRANT SHOW COLUMNS, SELECT, INSERT ON default.otel_traces TO writer" in grants["writer"]
    assert grants["writer"].count("GRANT") == 2
    assert "INSERT" not in grants["reader"]
    for name in ("reader", "alerter"):
        assert "GRANT SELECT ON default.* TO" in grants[name]
    written = re.findall(r"GRANT INSERT ON default\.(\w+) TO", grants["alerter"])
    assert {table for table in written if not table.startswith("alert_")} == {"markers"}
    assert {
        line.split(" ON ")[1].split(" TO")[0]
        for line in grants["bookkeeper"].splitlines()
        if "INSERT" in line
    } == {
        "default.hourly_rows",
        "default.prompt_hour_rows",
        "default.arm_hour_rows",
        "default.hour_states",
        "default.llm_call_corrections",
        "default.price_names_seen",
    }


def run(
    service: dict[str, Any], program: list[str | Path], replaced: dict[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """The container's command and environment as a process, with this machine's addresses and files."""

    def here(text: str) -> str:
        for there, instead in replaced.items():
            text = text.replace(there, instead)
        return text

    command: list[str] = service["command"] or []
    environment = {name: here(value) for name, value in service["environment"].items()}
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("PROMPTSPAN", "CLICKHOUSE"))
    }
    with log.open("ab") as output:
        return subprocess.Popen(
            [*program, *(here(argument) for argument in command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=own | environment | {name: value for name, value in replaced.items() if name.isupper()},
        )


@contextlib.contextmanager
def running(*arguments: Any) -> Generator[subprocess.Popen[bytes]]:
    process = run(*arguments)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def answers(url: str, verify: Any = True) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, trust_env=False, verify=verify).status_code == 200
    return False


@pytest.mark.long
def test_the_containers_commands_run_together_with_tls_between_them(
    store: Backend, services: dict[str, Any], certificates: Path, tmp_path: Path
) -> None:
    import ssl

    built(BINARY)
    promptspan = Path(sys.executable).with_name("promptspan")
    grpc_port, otlp_port, health_port, dashboard_port = free_ports(4)
    log = tmp_path / "log"
    with terminated(certificates, "clickhouse", store.clickhouse_port) as secure_port:
        replaced = {
            "clickhouse:8443": f"localhost:{secure_port}",
            "/certificates": str(certificates),
            # The local store has two users, and no passwords.
            "migrator:": "default:",
            "bookkeeper:": "default:",
            "writer": "default",
            "0.0.0.0:4317": f"127.0.0.1:{grpc_port}",
            "0.0.0.0:4318": f"127.0.0.1:{otlp_port}",
            "/etc/promptspan": str(REPOSITORY / "collector-config"),
            "PROMPTSPAN_QUEUE_DIR": str(tmp_path / "queue"),
            "HEALTH_ENDPOINT": f"127.0.0.1:{health_port}",
        }
        with running(services["migrations"], [promptspan], replaced, log) as migrations:
            assert migrations.wait(60) == 0, log.read_text()
        assert "already there" in log.read_text()

        # The image's own command: nothing is said about it in docker-compose.yml.
        collector = {**services["collector"], "command": image_command("collector-config/Dockerfile")}
        ledger = {**services["ledger"], "command": ["ledger", "--every", "1"]}
        dashboard = {
            **services["dashboard"],
            "command": [*services["dashboard"]["command"], "--port", str(dashboard_port)],
        }
        with (
            running(collector, [BINARY], replaced, log) as first,
            running(ledger, [promptspan], replaced, log) as second,
            running(dashboard, [promptspan], replaced, log) as third,
        ):
            until(lambda: answers(f"http://127.0.0.1:{health_port}/"), f"the Collector: {log}")
            trusting = ssl.create_default_context(cafile=certificates / "ca.crt")
            sent = httpx.post(
                f"https://localhost:{otlp_port}/v1/traces",
                content=request(*(model_call(7_000_000 + number, prompt="composed") for number in range(10))),
                headers={"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {TOKEN}"},
                verify=trusting,
                trust_env=False,
            )
            assert sent.status_code == 200, sent.text
            assert not answers(f"https://localhost:{otlp_port}/v1/traces"), "nobody else vouches for it"
            where = "WHERE prompt_name = 'composed'"
            until(lambda: store.value(f"SELECT count() FROM llm_calls {where}") == 10, f"calls: {log}")
            # The local store keeps its ledger by itself, too: whoever comes first does it.
            ledger_says = f"SELECT sum(calls) FROM llm_hourly {where}"
            until(lambda: store.value(ledger_says) == 10, f"the ledger: {log}", within_s=90)
            assert second.poll() is None
            until(
                lambda: answers(f"http://127.0.0.1:{dashboard_port}/_stcore/health"), f"the dashboard: {log}"
            )
            for process in (first, second, third):
                process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert [process.wait(30) for process in (first, second)] == [0, 0], log.read_text()
            assert third.wait(30) in (0, -signal.SIGTERM)
            assert time.monotonic() - began < 25


def image_command(dockerfile: str) -> list[str]:
    """The CMD of an image, a JSON array on one line."""
    lines = (REPOSITORY / dockerfile).read_text().splitlines()
    [command] = [line.removeprefix("CMD ") for line in lines if line.startswith("CMD ")]
    return json.loads(command)


@pytest.mark.parametrize("dockerfile", ["dashboard/Dockerfile", "collector-config/Dockerfile"])
def test_images_run_as_nobody_special_and_copy_only_what_there_is(dockerfile: str) -> None:
    lines = [line.strip() for line in (REPOSITORY / dockerfile).read_text().splitlines()]
    assert [line for line in lines if line.startswith("USER ")][-1].split()[1].isdigit()
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (REPOSITORY / source).exists(), source
