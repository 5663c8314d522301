"""What a statement may not do, whoever sends it.

The embedded engine runs with the rights of its process and has no users. `readonly = 1` stops writes and
settings, but in this engine it does not stop `INTO OUTFILE` (writes files), the scalar `file()` and
`DESCRIBE file()/url()` (read files, open connections), `SYSTEM ...`, `KILL` and `USE`. A store that holds
money must not be a way to the disk and the network of its machine, so this module refuses those.

The decision rests on the engine's own parser: `effect` says what a statement would do, and the rules look
at the text as the engine prints it back, in which comments, escapes and quoting styles are gone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from promptspan_server.store.engine import escape_param
from promptspan_server.store.errors import StoreError
from promptspan_server.store.sql_lexer import Token, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from promptspan_server.store.engine import Handle

# Scalar functions: they also run where only their name stands (`arrayMap(file, ...)`, `APPLY file`), so
# the bare name is refused.
_SCALARS = frozenset(
    {
        *("file", "eval"),
        *("aiclassify", "aiembed", "aiextract", "aifilter", "aigenerate", "airedact", "aisimilarity"),
        "aitranslate",
    }
)
# Table functions, table and database engines, dictionary sources and backup places that reach outside.
_OUTSIDE = frozenset(
    {
        *("arrowstream", "backup", "bigquery", "cassandra", "datalakecatalog", "disk"),
        *("azureblobstorage", "azureblobstoragecluster", "azurequeue", "gcs", "oss", "cosn"),
        *("deltalake", "deltalakecluster", "deltalakelocal", "deltalakes3", "deltalakes3cluster"),
        *("deltalakeazure", "deltalakeazurecluster", "hudi", "hudicluster"),
        *("executable", "executablepool", "executable_pool", "library", "python", "queryrunner"),
        *("filecluster", "filelog", "filesystem", "hdfs", "hdfscluster", "http"),
        *("iceberg", "icebergcluster", "iceberglocal", "iceberglocalcluster", "icebergs3"),
        *("icebergs3cluster", "icebergazure", "icebergazurecluster", "iceberghdfs", "iceberghdfscluster"),
        *("jdbc", "kafka", "materializedpostgresql", "mongo", "mongodb", "mysql", "nats", "odbc"),
        *("paimon", "paimoncluster", "paimonlocal", "paimons3", "paimons3cluster", "paimonazure"),
        *("paimonazurecluster", "paimonhdfs", "paimonhdfscluster", "postgresql", "rabbitmq", "redis"),
        *("prometheusquery", "prometheusqueryrange", "remote", "remotesecure", "ytsaurus"),
        *("s3", "s3cluster", "s3queue", "sqlite", "url", "urlcluster"),
    }
)
# Settings whose value is a path, an address, or SQL that no parser of ours sees.
_SETTINGS = re.compile(
    r"(?:format_template_|format_schema|format_avro_schema_registry|additional_(?:table|result)_filter"
    r"|allow_experimental_eval|rename_files_after|ai_function_)",
    re.IGNORECASE,
)
_SUSPECT = re.compile(
    r"\\|\b(?:outfile|infile|backup|restore|attach|clickhouse|"
    + "|".join(sorted(_SCALARS | _OUTSIDE))
    + r")\b|"
    + _SETTINGS.pattern,
    re.IGNORECASE,
)
_DENIED = 497
_READ_ONLY = 164


def check(handle: Handle, sql: bytes, params: Mapping[str, str], *, reading: bool, outside: bool) -> None:
    """Refuse a statement that its sender may not run.

    Args:
        handle: A session of the engine, for its parser.
        sql: The statement, without the data of an INSERT.
        params: Values of its parameters.
        reading: The sender may only read.
        outside: The owner of the store allowed files and connections (never for those who only read).

    Raises:
        StoreError: 164 READONLY, 497 ACCESS_DENIED, or 62 SYNTAX_ERROR where it does not parse.
    """
    text = sql.decode("utf-8", "backslashreplace")
    if reading:
        effect, count = handle.effect(text)
        if effect == "UNKNOWN" or count != 1:
            _canonical(handle, text)
            raise StoreError(62, "SYNTAX_ERROR", "Syntax error: not one statement.")
        if effect != "READ_ONLY":
            raise StoreError(_READ_ONLY, "READONLY", "Cannot execute query in readonly mode.")
    elif outside:
        return
    if _SUSPECT.search(text) or any(_SUSPECT.search(value) for value in params.values()):
        _check_names(_canonical(handle, text), params)


def check_settings(names: Iterable[str]) -> None:
    """Refuse settings of a request that reach outside the store.

    Raises:
        StoreError: 497 ACCESS_DENIED.
    """
    for name in names:
        if _SETTINGS.match(name):
            raise _denied(f"The setting {name}")


def values_may_compute(data: bytes) -> bool:
    """Whether the rows of an `INSERT ... VALUES` hold nothing that could call a refused function."""
    text = data.decode("latin-1")
    quoted_with_escape = "\\" in text and ("`" in text or '"' in text)
    return not quoted_with_escape and not _SUSPECT.search(text.replace("\\", " "))


def _canonical(handle: Handle, text: str) -> str:
    """The statement as the engine prints it; raises the engine's syntax error if it does not parse."""
    query = "SELECT formatQuerySingleLine({statement:String})"
    found = handle.query(query, "RawBLOB", {"statement": escape_param(text)})
    return found.data.decode("latin-1")


def _check_names(canonical: str, params: Mapping[str, str]) -> None:
    found = list(tokens(canonical))
    substituted = any(token.is_word("IDENTIFIER") for token in found)
    if substituted and any(_plain(value) in _SCALARS for value in params.values()):
        raise _denied("file()")
    first = found[0] if found else None
    if first is not None and first.is_word("BACKUP", "RESTORE"):
        raise _denied(first.text)
    if first is not None and first.is_word("ATTACH") and any(token.is_word("FROM") for token in found):
        raise _denied("ATTACH ... FROM")
    for position, token in enumerate(found):
        # The engine prints a name in quotes only where it declares it, so a quoted name calls nothing.
        if token.kind != "word":
            continue
        name = token.text.lower()
        before = found[position - 1] if position else None
        called = position + 1 < len(found) and found[position + 1].text == "("
        qualified = before is not None and before.text == "."
        alias = before is not None and before.is_word("AS")
        if name in {"outfile", "infile"} and before is not None and before.is_word("INTO", "FROM"):
            raise _denied(f"{before.text} {token.text}")
        if name in _SCALARS and (called or not (qualified or alias)):
            raise _denied(f"{token.text}()")
        if name in _OUTSIDE and called and not qualified:
            raise _denied(f"{token.text}()")
        if name == "clickhouse" and called and not _is_local(found[position + 2 :]):
            raise _denied("A dictionary that names a host or a query")
        if _SETTINGS.match(name):
            raise _denied(f"The setting {token.text}")


def _is_local(arguments: list[Token]) -> bool:
    # SOURCE(CLICKHOUSE(TABLE 'prices')): a table of this store, and nothing that is SQL or an address.
    end = next((n for n, token in enumerate(arguments) if token.text == ")"), 0)
    return all(
        token.kind == "string" or token.is_word("TABLE", "DB", "USER", "PASSWORD")
        for token in arguments[:end]
    )


def _plain(value: str) -> str:
    return value.strip().strip('`"').lower()


def _denied(what: str) -> StoreError:
    return StoreError(
        _DENIED,
        "ACCESS_DENIED",
        f"{what} reaches files or addresses outside the store and is refused here",
    )
