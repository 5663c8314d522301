"""Where each API puts its token counts, and which of them lie beside a total: rules as data, one reader.

A rule names paths in an API's usage object, first known first: ``a.b`` goes inside, ``a + b`` adds up what is
known, ``details[modality=AUDIO].count`` goes to the entries of a list. The result is inclusive, as in the
GenAI conventions, whatever the API does.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from promptspan._reading import Usage

from ._fields import as_count, count, fields_of, items, text, total

if TYPE_CHECKING:
    from collections.abc import Callable

    _Find = Callable[[list[Any]], int | None]

_FILTER = re.compile(r"(\w+)\[(\w+)=(\w+)\]\Z")


class Accounting:
    """The rules of one API.

    Args:
        beside_input: Buckets that the API does not count in its input, and that are added to it.
        beside_output: Buckets that it does not count in its output.
        buckets: Paths by the names of ``Usage``'s fields; a name of none is only added to its total.
    """

    __slots__ = ("_beside_input", "_beside_output", "_buckets", "_objects", "_only_added")

    def __init__(
        self,
        *,
        beside_input: tuple[str, ...] = (),
        beside_output: tuple[str, ...] = (),
        **buckets: str | tuple[str, ...],
    ) -> None:
        self._beside_input = beside_input
        self._beside_output = beside_output
        self._only_added = tuple(buckets.keys() - _FIELDS)
        # Each object is looked into once: where it lies (in which object, under which name), and by its place
        # here.
        self._objects: list[tuple[int, str]] = []
        self._buckets = tuple(
            (name, tuple(self._finder(path) for path in ((paths,) if isinstance(paths, str) else paths)))
            for name, paths in buckets.items()
        )

    def _finder(self, path: str) -> tuple[int, str, _Find | None]:
        """Where a path ends, or how what it names is worked out."""
        if " + " in path:
            terms = [self._finder(term) for term in path.split(" + ")]
            return 0, "", lambda objects: total(*(as_count(objects[at].get(last)) for at, last, _ in terms))
        *objects, last = path.split(".")
        at = 0
        for name in objects:
            if match := _FILTER.match(name):
                return 0, "", _of_entries(at, match[1], match[2], match[3], last)
            at = self._place(at, name)
        return at, last, None

    def _place(self, inside: int, name: str) -> int:
        if (inside, name) not in self._objects:
            self._objects.append((inside, name))
        return self._objects.index((inside, name)) + 1

    def read(self, usage: Any) -> Usage | None:
        """The counts of a usage object; ``None`` if neither total is in it."""
        if usage is None:
            return None
        objects = [fields_of(usage)]
        gets = [objects[0].get]
        for inside, name in self._objects:
            # The one may lie in the other.
            objects.append(fields_of(gets[inside](name)))
            gets.append(objects[-1].get)
        known: dict[str, int] = {}
        for name, finders in self._buckets:
            for at, last, find in finders:
                value = gets[at](last) if find is None else find(objects)
                if value is None:
                    continue
                if (found := as_count(value)) is not None:
                    known[name] = found
                    break
        tokens_in, tokens_out = known.get("input_tokens"), known.get("output_tokens")
        if tokens_in is None and tokens_out is None:
            return None
        if tokens_in is not None:
            for name in self._beside_input:
                known["input_tokens"] += known.get(name, 0)
        if tokens_out is not None:
            for name in self._beside_output:
                known["output_tokens"] += known.get(name, 0)
        for name in self._only_added:
            known.pop(name, None)
        return Usage(**known)  # pyright: ignore[reportArgumentType]  # its fields by their names


_FIELDS = frozenset(field.name for field in fields(Usage)) - {"estimated"}


def _of_entries(at: int, entries: str, key: str, value: str, last: str) -> _Find:
    return lambda objects: total(
        *(count(entry, last) for entry in items(objects[at], entries) if text(entry, key) == value)
    )
