"""Files that users write in YAML, and what is said about a wrong one: the line, the field, the reason."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.composer import Composer, ComposerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)


def parse_yaml(model: type[Model], text: str, name: str, error: type[ValueError] = ValueError) -> Model:
    """Read a file's text as a model. Numbers with a point reach the model as text, digit for digit.

    Args:
        model: What the file holds.
        text: YAML.
        name: What to call the file in messages.
        error: The class to raise.

    Raises:
        ValueError: (as `error`) Not YAML, or a field is wrong: `FILE:LINE: FIELD: reason`.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        data: Any = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark
        raise error(f"{name}:{mark.line + 1 if mark else 1}: {wrong.problem}") from wrong
    except yaml.YAMLError as wrong:
        raise error(f"{name}:1: {' '.join(str(wrong).split())}") from wrong
    try:
        return model.model_validate({} if data is None else data)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise error(f"{name}:{_line(node, first['loc'])}: {field}: {reason(first, model)}") from wrong


def reason(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Say what is wrong with a field; of one that does not exist, which one may be meant."""
    if error["type"] == "extra_forbidden":
        meant = get_close_matches(str(error["loc"][-1]), _fields(model), n=1)
        return "there is no such field" + (f"; {meant[0]} is one" if meant else "")
    return error["msg"].removeprefix("Value error, ")


def _fields(model: type[BaseModel]) -> list[str]:
    """The names of the fields of a model and of all that are in it."""
    schema = model.model_json_schema(by_alias=True)
    return sorted(
        {name for each in (schema, *schema.get("$defs", {}).values()) for name in each.get("properties", {})}
    )


class UniqueKeys(Composer):
    """Of a YAML loader, before it: a key that is there twice is an error, not the last one winning unsaid."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Read one mapping.

        Raises:
            yaml.MarkedYAMLError: A key is in it twice; the mark is the second's.
        """
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                raise ComposerError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add((key.tag, key.value))
        return node


class SafeUniqueLoader(UniqueKeys, yaml.SafeLoader):
    """What `yaml.safe_load` reads, each key once."""


class _Loader(SafeUniqueLoader):
    """Numbers stay decimal: a float would not be the number that was typed."""


def _as_typed(_loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(node.value).replace("_", "")


_Loader.add_constructor("tag:yaml.org,2002:float", _as_typed)


def _line(node: Any, path: Sequence[int | str]) -> int:
    line = 1
    for part in path:
        if node is None:
            break
        if isinstance(node, yaml.MappingNode):
            entries = [(key, value) for key, value in node.value if key.value == part]
            if not entries:
                return line
            line, node = entries[0][0].start_mark.line + 1, entries[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
