"""YAML files of the user's, read into pydantic models; every error names the file and the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from promptspan_server.pricing.yaml_file import SafeUniqueLoader, reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


Model = TypeVar("Model", bound=BaseModel)


class DocumentError(ValueError):
    """A file cannot be used. The message has one line for each mistake: `file:line: what is wrong`."""


def read_document(path: Path, model: type[Model]) -> Model:
    """Read a file.

    Raises:
        DocumentError: It cannot be read, is no YAML, or does not fit the model.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    return parse_document(text, model, str(path))


def parse_document(text: str, model: type[Model], name: str) -> Model:
    """Read a text that was in the file called `name`.

    Raises:
        DocumentError: It is no YAML, or does not fit the model.
    """
    try:
        root = yaml.compose(text, Loader=SafeUniqueLoader)
        data: Any = yaml.load(text, Loader=SafeUniqueLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark is not None else 1
        raise DocumentError(f"{name}:{line}: {error.problem or 'this is no YAML'}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DocumentError(f"{name}: this is no YAML ({str(error).splitlines()[0]})") from error
    try:
        return model.model_validate({} if data is None else data)
    except ValidationError as error:
        lines = [
            f"{name}:{_line(root, each['loc'])}: {_path(each['loc'])}{reason(each, model)}"
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise DocumentError("\n".join(dict.fromkeys(lines))) from error


def _line(root: yaml.Node | None, path: Sequence[int | str]) -> int:
    """The line, from 1, of the deepest node on a path that exists."""
    node, line = root, (root.start_mark.line + 1 if root is not None else 1)
    for step in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            pair = next((each for each in node.value if each[0].value == step), None)
            if pair is None:
                continue  # a tag of a union, or a key that is missing
            node = pair[1]
            line = pair[0].start_mark.line + 1
            continue
        else:
            continue
        line = node.start_mark.line + 1
    return line


def _path(path: Sequence[int | str]) -> str:
    return f"{'.'.join(map(str, path))}: " if path else ""
