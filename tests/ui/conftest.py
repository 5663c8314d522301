from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import streamlit as st

from queries.live_store import LiveStore, running_store
from ui.seed import fill

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStore]:
    """A store process with two versions of a prompt in it."""
    with running_store(tmp_path_factory.mktemp("full")) as store:
        yield store


@pytest.fixture(scope="session")
def told(live: LiveStore) -> dict[str, Any]:
    """The rows of the store that tests look for."""
    return fill(live)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveStore]:
    """A store process without a call."""
    with running_store(tmp_path_factory.mktemp("empty")) as store:
        yield store


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without remembered answers and without the settings of others."""
    for name in ("PROMPTSPAN_CLICKHOUSE_URL", "PROMPTSPAN_TOKEN", "PROMPTSPAN_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def full(live: LiveStore, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> LiveStore:
    """The dashboard reads the store with calls."""
    monkeypatch.setenv("PROMPTSPAN_CLICKHOUSE_URL", live.dsn)
    assert os.environ["PROMPTSPAN_CLICKHOUSE_URL"] == live.dsn
    assert told
    return live
