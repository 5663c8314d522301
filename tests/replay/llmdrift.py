from __future__ import annotations

import csv
import gzip
import io
from typing import TYPE_CHECKING

from promptspan_server.demo.recording import RecordedUsage, Recording, estimate_tokens

if TYPE_CHECKING:
    from pathlib import Path


def load_llmdrift(shared_data: Path, dataset: str) -> list[Recording]:
    """The recorded calls of one data set of the study; the model's date is the version.

    Output tokens are the recorded ones. The input was not counted then, so a stable estimate is billed.
    """
    path = shared_data / "llmdrift" / f"{dataset}.csv.gz"
    with gzip.open(path, "rb") as compressed:
        rows = list(csv.DictReader(io.StringIO(compressed.read().decode("utf-8"), newline="")))
    return [_recording(dataset, row) for row in rows]


def _recording(dataset: str, row: dict[str, str]) -> Recording:
    model = row["model"].rpartition("/")[2]
    latency_ms = float(row["latency"]) * 1000
    return Recording(
        prompt=dataset,
        version=model,
        id=row["id"],
        provider="openai",
        request_model=model,
        response_model=model,
        system="",
        input=row["query"],
        answer=row["answer"],
        usage=RecordedUsage(
            input_tokens=estimate_tokens(row["query"]) + 7, output_tokens=int(row["answer_token"])
        ),
        latency_ms=latency_ms,
        ttft_ms=latency_ms / 4,
        finish_reason="stop",
    )
