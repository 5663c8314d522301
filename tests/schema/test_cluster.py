"""The schema of a cluster. No cluster runs here: the engine parses every statement and makes every table, and
in one process, over a cluster of one node, spans go through the Distributed tables to rows and money."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from promptspan_server.ingest.landing import land
from promptspan_server.pricing.rollup import recompute
from promptspan_server.pricing.sync import sync_prices
from promptspan_server.store.chdb_binding import connect
from promptspan_server.store.cluster import Cluster
from promptspan_server.store.directory import DataDirectory
from promptspan_server.store.engine import Engine, escape_param
from promptspan_server.store.executor import HandleExecutor
from promptspan_server.store.migrate import MigrationError, load_migrations, migrate, script, statements
from promptspan_server.store.split import split_statements
from schema.bodies import Span, traces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from promptspan_server.store.engine import Handle

CLUSTER = Cluster("many", "spread")
SERVERS = """<clickhouse>
  <tcp_port>9000</tcp_port>
  <macros><shard>1</shard><replica>a</replica></macros>
  <remote_servers><many><shard>
    <internal_replication>true</internal_replication>
    <replica><host>localhost</host><port>9000</port></replica>
  </shard></many></remote_servers>
  <zookeeper><implementation>testkeeper</implementation></zookeeper>
</clickhouse>"""
# What the profile of every user on a cluster sets: docs/scaling.md.
SETTINGS = {"distributed_foreground_insert": "1", "distributed_product_mode": "global"}

# In a process of its own, which ends without a farewell: replicas do not stop in the embedded engine.
MAKE_REPLICAS = """
import os, sys
from promptspan_server.store.chdb_binding import connect
connection = connect(sys.argv[1])
connection.query("CREATE DATABASE spread", "Null", params={})
connection.query("USE spread", "Null", params={})
for statement in sys.stdin.read().split("\\0"):
    connection.query(statement, "Null", params={})
engines = "SELECT engine, count() FROM system.tables WHERE database = 'spread' GROUP BY 1 ORDER BY 1"
found = connection.query(engines, "CSV", params={})
print(found.bytes().decode(), flush=True)
os._exit(0)
"""


def without_ddl_queue(statement: str) -> str:
    """ON CLUSTER is the one thing that needs other servers."""
    return statement.replace(CLUSTER.clause, "")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine as the only node of a cluster."""
    directory = DataDirectory.lock(tmp_path_factory.mktemp("node"))
    (directory.path / "engine.xml").write_text(re.sub(r"\s*<zookeeper>.*</zookeeper>", "", SERVERS))
    with Engine(directory, connect(directory.address)) as node:
        with node.handle() as handle:
            handle.query("CREATE DATABASE spread")
        yield node


class OneNode(HandleExecutor):
    """Runs what is meant for a cluster on one node: nobody to copy to, nobody to tell."""

    def command(self, sql: str, params: Any = None) -> None:
        alone = without_ddl_queue(sql)
        plain = re.sub(r"ENGINE = Replicated(\w+)\('[^']*', '[^']*'(?:, )?", r"ENGINE = \1(", alone)
        super().command(plain.replace(" replicated_dedup", " non_replicated_dedup"), params)


def test_every_statement_is_understood_by_the_engine(engine: Engine) -> None:
    rendered = split_statements(script(CLUSTER))
    assert len(rendered) > 60
    with engine.handle() as handle:
        kinds = {handle.effect(statement) for statement in rendered}
        assert {kind for kind, _ in kinds}.isdisjoint({"UNKNOWN"}), kinds
        assert {count for _, count in kinds} == {1}
        made = [statement for statement in rendered if statement.startswith("CREATE")]
        assert len(made) > 30
        for statement in made:
            assert "ON CLUSTER many" in formatted(handle, statement)


def formatted(handle: Handle, statement: str) -> str:
    found = handle.query("SELECT formatQuery({q:String})", "TabSeparatedRaw", {"q": escape_param(statement)})
    return found.data.decode()


def test_every_replicated_and_distributed_table_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "engine.xml").write_text(SERVERS)
    rendered = [without_ddl_queue(statement) for statement in split_statements(script(CLUSTER))]
    made = [statement for statement in rendered if statement.startswith("CREATE")]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            MAKE_REPLICAS,
            f"{tmp_path / 'engine'}?config-file={tmp_path / 'engine.xml'}",
        ],
        input="\0".join(made),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    engines = dict(line.split(",") for line in done.stdout.replace('"', "").split())
    assert engines["Distributed"] == "6"
    assert set(engines) == {
        "Distributed",
        "MaterializedView",
        "Null",
        "ReplicatedAggregatingMergeTree",
        "ReplicatedMergeTree",
        "ReplicatedReplacingMergeTree",
        "View",
    }


def test_spans_go_through_the_distributed_tables_to_rows_and_money(engine: Engine) -> None:
    with engine.handle({"database": "spread", **SETTINGS}) as handle:
        handle.query("USE spread")
        node = OneNode(handle)
        assert len(migrate(node, cluster=CLUSTER)) == len(load_migrations())
        sync_prices(node)
        calls = [
            Span(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.model": "gpt-4o-mini",
                    "gen_ai.usage.input_tokens": 1_000_000,
                    "gen_ai.usage.output_tokens": 0,
                    "gen_ai.output.messages": "[]",
                    "gen_ai.input.messages": '[{"role":"user"}]',
                    "gen_ai.response.id": f"r{number}",
                }
            )
            for number in range(50)
        ]
        twin = Span(
            {**calls[0].attributes, "gen_ai.provider.name": "openai"},
            scope="another",
            trace_id=calls[0].trace_id,
            start_ns=calls[0].start_ns,
        )
        body = traces(*calls, twin)
        for number in range(3):
            land(handle, "traces", [body], f"cluster {number}")
        recompute(node, settle_s=60, interval_s=0)
        [(price,)] = node.rows(
            """SELECT DISTINCT input_usd_per_mtok FROM price_keys
            WHERE price_id = 'openai/gpt-4o-mini' AND tier = '' AND tenant = ''"""
        )
        [costs] = node.rows("SELECT count(), countIf(billable), sumIf(cost_usd, billable) FROM llm_costs")
        assert costs == (51, 50, 50 * price)
        assert node.rows("SELECT sum(calls), sum(cost_usd) FROM llm_hourly") == [(50, 50 * price)]
        for table in ("llm_calls", "llm_calls_local", "llm_texts", "spans"):
            assert node.rows(f"SELECT count(), uniqExact(span_id) FROM {table} FINAL") == [(51, 51)]
        engines = {
            str(name) for (name,) in node.rows("SELECT engine FROM system.tables WHERE database = 'spread'")
        }
        assert "Distributed" in engines


def test_a_cluster_and_a_server_are_not_taken_for_each_other(engine: Engine) -> None:
    with engine.handle() as handle:
        handle.query("CREATE DATABASE single")
        handle.query("USE single")
        node = HandleExecutor(handle)
        migrate(node)
        with pytest.raises(MigrationError, match="of one server"):
            migrate(node, cluster=Cluster("many", "single"))


@pytest.mark.parametrize("name", ["", "a b", "x`; DROP TABLE y", "1st"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a cluster"):
        Cluster(name, "default")


def test_a_kind_of_statement_that_nobody_thought_of_is_refused() -> None:
    with pytest.raises(ValueError, match="not known on a cluster: ALTER TABLE spans"):
        statements("ALTER TABLE spans ADD COLUMN x Int8;", CLUSTER)
