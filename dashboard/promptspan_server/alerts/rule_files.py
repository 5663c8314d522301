"""Reading rules: the built-in ones, then the user's directory, each error with its file and line."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from promptspan_server.alerts.destinations.config import FILE
from promptspan_server.alerts.documents import DocumentError, parse_document, read_document
from promptspan_server.alerts.kept_files import KeptFiles
from promptspan_server.alerts.rules import Policy, RuleFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from promptspan_server.alerts.rules import Inhibition, Rule

RULES_VARIABLE = "PROMPTSPAN_ALERT_RULES"
_BUILT_IN = "builtin.yaml"


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules that hold.

    Attributes:
        rules: Enabled ones, by name.
        policy: How alerts become notices.
        inhibitions: What mutes what.
    """

    rules: Mapping[str, Rule]
    policy: Policy
    inhibitions: tuple[Inhibition, ...]


def rules_directory(given: Path | None, environment: Mapping[str, str] | None = None) -> Path | None:
    """Choose the user's directory: `given`, `PROMPTSPAN_ALERT_RULES`, or none."""
    named = (os.environ if environment is None else environment).get(RULES_VARIABLE)
    return given or (Path(named) if named else None)


def load_rules(directory: Path | None = None) -> RuleBook:
    """Read the rules.

    Args:
        directory: The user's; the built-in rules alone without it.

    Raises:
        DocumentError: The directory or a file cannot be read, or says something that is no rule.
    """
    text = (files("promptspan_server.alerts") / _BUILT_IN).read_text("utf-8")
    built_in = parse_document(text, RuleFile, _BUILT_IN)
    rules: dict[str, Rule] = {rule.name: rule for rule in built_in.rules}
    inhibitions = list(built_in.inhibit)
    policy: Policy | None = None
    defined: dict[str, str] = {}
    for path in _listed(directory) if directory is not None else ():
        found = read_document(path, RuleFile)
        for rule in found.rules:
            place = f"{path}:{_line_of(path, rule.name)}"
            if rule.name in defined:
                raise DocumentError(
                    f"{place}: the rule {rule.name} is defined in {defined[rule.name]} already;"
                    " give one of them another name"
                )
            defined[rule.name] = place
            rules[rule.name] = rule
        if found.notify is not None and policy is not None:
            raise DocumentError(f"{path}: `notify` is in another file already; keep one of them")
        policy = found.notify or policy
        inhibitions += found.inhibit
    enabled = {name: rule for name, rule in rules.items() if rule.enabled}
    return RuleBook(enabled, policy or Policy(), tuple(inhibitions))


class RuleFiles(KeptFiles[RuleBook]):
    """The rules as their files say now; as they said before, while a file is wrong.

    Args:
        directory: The user's; the built-in rules alone without it.

    Raises:
        DocumentError: The files are wrong at the start, when there are no rules before to hold on to.
    """

    def __init__(self, directory: Path | None) -> None:
        super().__init__(
            lambda: _listed(directory) if directory is not None else (), lambda: load_rules(directory)
        )

    @property
    def book(self) -> RuleBook:
        """The rules that hold."""
        return self.kept


def _listed(directory: Path) -> Sequence[Path]:
    if not directory.is_dir():
        raise DocumentError(f"{directory} is no directory of rules; make it, or unset {RULES_VARIABLE}")
    # Destinations are configured beside the rules, in a file of their own.
    return sorted(
        path
        for path in directory.iterdir()
        if path.suffix in (".yaml", ".yml") and path.name != FILE and path.is_file()
    )


def _line_of(path: Path, name: str) -> int:
    """The last line that gives this name to a rule."""
    says = re.compile(rf"name:\s*[\"']?{re.escape(name)}\b")
    lines = path.read_text("utf-8").splitlines()
    return max((number for number, line in enumerate(lines, 1) if says.search(line)), default=1)
