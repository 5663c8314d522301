"""What a question to the store is: parameters in, bound SQL, typed rows out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = TypeVar("Row")
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Query(ABC, Generic[Row]):
    """One question. A subclass is a frozen dataclass: its fields are the parameters, and make it hashable.

    The SQL is text of ours with `{name:Type}` in the place of every value, bounded in time and in rows.
    """

    @abstractmethod
    def sql(self) -> str:
        """The question's text. Values never appear in it."""

    @abstractmethod
    def parameters(self) -> Mapping[str, Any]:
        """The values that the text names."""

    @abstractmethod
    def row(self, values: Sequence[Any]) -> Row:
        """Read one row of the answer, in the order of the SELECT."""


def from_micros(value: int) -> datetime:
    """Read microseconds since the epoch: so every time leaves the store, free of zones and driver types."""
    return EPOCH + timedelta(microseconds=value)


def from_micros_or_none(value: int | None) -> datetime | None:
    """As `from_micros`, where the store may know no time."""
    return None if value is None else from_micros(value)
