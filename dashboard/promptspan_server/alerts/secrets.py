"""Secrets by reference: `env:NAME` or `file:PATH`. Their values are read when used and written nowhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_BYTES = 64 * 1024


class MissingSecretError(Exception):
    """A secret is not where its reference points; the message names the reference alone."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A reference to a secret. Printing it shows the reference.

    Attributes:
        reference: `env:NAME` or `file:PATH`.
    """

    reference: str

    def __post_init__(self) -> None:
        kind, _, rest = self.reference.partition(":")
        if kind not in ("env", "file") or not rest.strip():
            # The text may be the secret itself, pasted: it is not repeated.
            raise ValueError("a secret is given as env:NAME or file:PATH, never as itself")

    def __str__(self) -> str:
        return self.reference

    def reveal(self, environment: Mapping[str, str] | None = None) -> str:
        """Read the value, without the white space around it.

        Raises:
            MissingSecretError: It is not there, or empty.
        """
        kind, _, rest = self.reference.partition(":")
        if kind == "env":
            value = (os.environ if environment is None else environment).get(rest, "")
        else:
            try:
                with Path(rest).expanduser().open("rb") as file:
                    value = file.read(_MAX_BYTES).decode("utf-8", "replace")
            except OSError as error:
                raise MissingSecretError(f"{self.reference} cannot be read ({error.strerror})") from error
        if not value.strip():
            raise MissingSecretError(f"{self.reference} is empty or not set")
        return value.strip()
