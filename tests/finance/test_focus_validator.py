"""The FinOps Foundation's own validator, in an environment of its own, on what the export writes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from finance.charges import RATES, TERMS, group
from promptspan_server.finance.currency import Conversion, parse_rates
from promptspan_server.finance.focus import Charges
from promptspan_server.finance.focus_export import FOCUS_TABLE
from promptspan_server.finance.table_files import writing

pytestmark = pytest.mark.long

_VALIDATOR = "focus-validator>=2.2,<2.3"
# It is built for numpy 1, which newer ones of pyarrow refuse.
_WITH = "pyarrow<21"
# What providers of models support: the other conditions are about what they do not sell.
_APPLIES = (
    "ACCOUNT_NAMING_SUPPORTED,MULTIPLE_PRICING_CATEGORIES_SUPPORTED,NEGOTIATED_PRICING_SUPPORTED,"
    "PUBLIC_PRICE_LIST_SUPPORTED,USAGE_MEASUREMENT_SUPPORTED,UNIT_PRICING_SUPPORTED,SUB_ACCOUNT_SUPPORTED,"
    "TAGGING_SUPPORTED"
)


def _python() -> str | None:
    versions = Path.home() / ".pyenv" / "versions"
    found = [str(path) for path in sorted(versions.glob("3.1[2-9]*/bin/python"))]
    for name in (*found, "python3.12", "python3.13", "python3.14", sys.executable):
        python = shutil.which(name)
        if (
            python
            and subprocess.run(
                [python, "-c", "import sys, venv; sys.exit(sys.version_info < (3, 12))"],
                capture_output=True,
                check=False,
            ).returncode
            == 0
        ):
            return python
    return None


@pytest.fixture(scope="session")
def validator() -> Path:
    """The environment's bin directory, made once and kept beside ours."""
    python = _python()
    if python is None:
        pytest.skip("focus-validator needs Python 3.12 or newer, and there is none on this machine")
    uv = Path(sys.prefix) / "bin" / "uv"
    environment = Path(sys.prefix) / "focus"
    if not (environment / "bin" / "focus-validator").exists():
        for command in (
            [uv, "venv", "--quiet", "--python", python, environment],
            [uv, "pip", "install", "--quiet", "--python", environment / "bin" / "python", _VALIDATOR, _WITH],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                shutil.rmtree(environment, ignore_errors=True)
                pytest.skip(f"focus-validator cannot be installed here: {done.stderr.strip()[-300:]}")
    return environment / "bin"


def _failed(validator: Path, file: Path) -> dict[str, str]:
    """Rules that a file breaks, with what is said about each."""
    # It looks for a file of its own below the directory that it is started in.
    (rules,) = validator.parent.glob("lib/python*/site-packages/focus_validator/rules")
    done = subprocess.run(
        [
            validator / "focus-validator",
            *("--data-file", file, "--validate-version", "1.2", "--block-download"),
            *("--applicability-criteria", _APPLIES),
        ],
        cwd=rules.parents[1],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-2000:]
    total = re.search(r"Total: (\d+) \| Pass: (\d+) \| Fail: (\d+)", said)
    assert total is not None, said[-2000:]
    assert int(total[2]) > 200
    failed = dict(re.findall(r"(\S+): FAIL\s+\((.*)\)", said))
    assert len(failed) == int(total[3])
    return failed


ROWS = [
    group(input=1000, output=10, feature="=cmd()", prompt='a"b\r\nc', team="search"),
    group(rate="r-contract", calls=2, input=1_000_001, cache_write_1h=500_000, reasoning=3),
    group(1, rate="r-own", input=7, output=3),
    group(2, status="reported", calls=3, cost_usd=Decimal("0.1234"), reported=3),
    group(2, status="unpriced", calls=3, input=5),
    group(3, rate="gone", cost_usd=Decimal("0.1"), priced=1),
]
BACK = [replace(row, calls=-row.calls, input=-row.input, cost_usd=-(row.cost_usd or 0)) for row in ROWS[:1]]


@pytest.mark.parametrize("name", ["focus.csv", "focus.parquet"])
def test_the_validator_finds_no_error(validator: Path, tmp_path: Path, name: str) -> None:
    rates = parse_rates("currency: EUR\nrates: {2026-10: 0.92}")
    with writing(tmp_path / name, FOCUS_TABLE) as file:
        closed = replace(TERMS, currency="EUR", convert=Conversion(rates), revision=1)
        assert file.write(Charges(RATES, closed).of(ROWS)) > len(ROWS)
        assert file.write(Charges(RATES, replace(closed, revision=2)).of(BACK))
    # InvoiceId is null or it is not: one of these alternatives fails always, and the rule above both passes.
    assert set(_failed(validator, tmp_path / name)) <= {"InvoiceId-C-005-C"}


def test_the_validator_does_find_errors(validator: Path, tmp_path: Path) -> None:
    path = tmp_path / "focus.csv"
    with writing(path, FOCUS_TABLE) as file:
        file.write(Charges(RATES, TERMS).of(ROWS))
    path.write_text(path.read_text().replace(",Usage,", ",Something,"))
    assert "ConsumedQuantity-C-004-C" in _failed(validator, path)
