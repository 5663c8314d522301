from __future__ import annotations

import pytest

from promptspan_server.store.migrate import load_migrations
from promptspan_server.store.split import split_statements


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        ("-- only a comment; nothing", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\nSELECT 2;\n", ["SELECT 1", "SELECT 2"]),
        ("-- first\nSELECT 1; -- behind\n/* ; */ SELECT 2;;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' ; SELECT 2", ["SELECT ';'", "SELECT 2"]),
        (r"SELECT 'it\'s; one' ; SELECT 'it''s; two'", [r"SELECT 'it\'s; one'", "SELECT 'it''s; two'"]),
        ('SELECT "a;b", `c;d`; SELECT 2', ['SELECT "a;b", `c;d`', "SELECT 2"]),
        ("SELECT 1 -- here; not there\n, 2; SELECT 3", ["SELECT 1 -- here; not there\n, 2", "SELECT 3"]),
        ("SELECT 5 - 3, 6 / 2; SELECT 3", ["SELECT 5 - 3, 6 / 2", "SELECT 3"]),
        ("SELECT '--;' ; SELECT '/*' ; SELECT '*/'", ["SELECT '--;'", "SELECT '/*'", "SELECT '*/'"]),
        ("SELECT 1 /* open;", ["SELECT 1 /* open;"]),
    ],
)
def test_only_semicolons_that_end_statements_split(text: str, statements: list[str]) -> None:
    assert split_statements(text) == statements


def test_every_statement_we_ship_begins_with_a_verb() -> None:
    for migration in load_migrations():
        for statement in split_statements(migration.sql):
            assert statement.split()[0] in {"CREATE", "INSERT", "ALTER", "DROP"}, migration.name
