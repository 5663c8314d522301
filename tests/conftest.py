from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import made_store

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure() -> None:
    """A shell gives what it starts in the background SIGINT (and `nohup` SIGHUP) as ignored, and so would
    every process of ours that a test starts and interrupts.
    """
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The recorded data beside the checkout; the test skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the recorded data is not beside this checkout (../shared/data)")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    os.environ[made_store.FOLDER] = str(
        (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made"
    )


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their place: some hold the time, and two workers must find the same tests."""
    return argname if isinstance(val, bytes) else None
