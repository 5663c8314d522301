"""The same SQL for a cluster of ClickHouse servers: several shards, each of one or more replicas.

A table with a `trace_id` is sharded by it: `name_local` holds a shard's rows, `name` is a `Distributed` table
over all shards. So all spans of a trace are on one shard, and a span that is sent twice meets itself there.
Every other table (prices, aliases, the ledger, ...) is small and whole on every node. Landing tables store
nothing and are on every node, so a Collector may insert into any.

The servers' macros `shard` and `replica` name the replicas, as ClickHouse's documentation has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from promptspan_server.store.executor import Executor

LOCAL = "_local"

_TABLE = re.compile(
    r"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>\w+)(?P<columns>\s*\(.*\))\s*"
    r"\nENGINE\s*=\s*(?P<engine>\w+)(?:\((?P<arguments>[^)]*)\))?(?P<rest>.*)\Z",
    re.DOTALL,
)
_VIEW = re.compile(
    r"CREATE\s+(?P<kind>MATERIALIZED\s+VIEW|VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>\w+)(?P<rest>.*)\Z",
    re.DOTALL,
)
_HAS_TRACE = re.compile(r"^\s*trace_id\s", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the statements are to run.

    Attributes:
        name: The cluster in the servers' `remote_servers`.
        database: The database in which everything lives, on every node.

    Raises:
        ValueError: A name that is none.
    """

    name: str
    database: str

    def __post_init__(self) -> None:
        for what, name in (("cluster", self.name), ("database", self.database)):
            if not _NAME.match(name):
                raise ValueError(f"{name!r} is no name of a {what}")

    @property
    def clause(self) -> str:
        """`ON CLUSTER ...`."""
        return f"ON CLUSTER `{self.name}`"

    def render(self, statement: str) -> list[str]:
        """Render one statement of a migration.

        Args:
            statement: CREATE TABLE, CREATE [MATERIALIZED] VIEW or INSERT, as in the files.

        Returns:
            The statements to run on one node, in order.

        Raises:
            ValueError: A statement of another kind: nobody has said what it means on a cluster.
        """
        table = _TABLE.match(statement)
        if table is not None:
            return self._tables(table)
        view = _VIEW.match(statement)
        if view is not None:
            kind, name = view["kind"], view["name"]
            return [f"CREATE {kind} IF NOT EXISTS {name} {self.clause}{view['rest']}"]
        if statement.lstrip().upper().startswith("INSERT "):
            # Into a table that every node has whole: replication takes it there.
            return [statement]
        raise ValueError(f"not known on a cluster: {statement.strip().splitlines()[0]}")

    def _tables(self, table: re.Match[str]) -> list[str]:
        name, columns, engine = table["name"], table["columns"], table["engine"]
        if not engine.endswith("MergeTree"):
            return [
                f"CREATE TABLE IF NOT EXISTS {name} {self.clause}{columns}\nENGINE = {engine}{table['rest']}"
            ]
        sharded = _HAS_TRACE.search(columns) is not None
        stored = name + LOCAL if sharded else name
        where, replica = ("{shard}", "{replica}") if sharded else ("all", "{shard}-{replica}")
        arguments = [f"'/clickhouse/tables/{where}/{self.database}/{stored}'", f"'{replica}'"]
        if table["arguments"]:
            arguments.append(table["arguments"])
        rest = table["rest"].replace("non_replicated_deduplication_window", "replicated_deduplication_window")
        local = (
            f"CREATE TABLE IF NOT EXISTS {stored} {self.clause}{columns}\n"
            f"ENGINE = Replicated{engine}({', '.join(arguments)}){rest}"
        )
        if not sharded:
            return [local]
        over = (
            f"CREATE TABLE IF NOT EXISTS {name} {self.clause} AS {stored}\n"
            f"ENGINE = Distributed(`{self.name}`, `{self.database}`, {stored}, cityHash64(trace_id))"
        )
        return [local, over]


def alter(executor: Executor, table: str) -> str:
    """The beginning of an ALTER that reaches what is stored of a table, on one server and on a cluster.

    Args:
        executor: The store.
        table: A table's name in the files of SQL.

    Returns:
        `ALTER TABLE name`, or for a sharded table `ALTER TABLE name_local ON CLUSTER ...`.
    """
    found = executor.rows(
        "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
        {"name": table},
    )
    spread = re.match(r"Distributed\('([^']+)'", str(found[0][0])) if found else None
    return f"ALTER TABLE {table}{LOCAL} ON CLUSTER `{spread[1]}`" if spread else f"ALTER TABLE {table}"
