"""A prompt as a thing with a name, a version and a template."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._context import current_call
from ._git import commit_of
from ._kinds import is_dict, is_list

if TYPE_CHECKING:
    import os

# Only a plain name in double braces is a placeholder. All other braces (JSON, code) stand for themselves.
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_INCLUDE = re.compile(r"\{\{>\s*([^{}]+?)\s*\}\}")
_FRONT_MATTER = re.compile(
    r"\A(?:\ufeff)?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
_KEYS = frozenset({"name", "version", "owner", "description", "model", "variables", "share_template"})
_MAX_INCLUDES = 8
_VERSION_LENGTH = 12


class PromptError(ValueError):
    """A prompt's file or its variables are not as they should be."""


@dataclass(frozen=True)
class Prompt:
    """A named, versioned template.

    Two prompts with one name and different versions are compared with each other on the dashboard. A prompt
    without a version gets one from its template, so a changed template never hides behind an old version.

    Attributes:
        name: What the prompt is called, everywhere.
        template: Text with ``{{variable}}`` placeholders; other braces stand for themselves.
        version: Given, else the first 12 digits of ``template_hash``; empty without a template.
        owner: Who is asked about it.
        description: What it is for.
        model: The model that it was written for.
        variables: Names of the placeholders; found in the template if not given.
        share_template: Whether the template's text may be sent (it is code, not a user's data).
        file: Where it was read from, empty if it was not.
        git_commit: Commit of the working tree that the file is in, empty if it is in none.
        template_hash: SHA-256 of the template in hexadecimal digits, empty without a template.
    """

    name: str
    template: str = field(default="", repr=False)
    version: str = ""
    owner: str = ""
    description: str = field(default="", repr=False)
    model: str = ""
    variables: tuple[str, ...] = ()
    share_template: bool = True
    file: str = field(default="", repr=False, compare=False)
    git_commit: str = field(default="", repr=False, compare=False)
    template_hash: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Complete what was not given.

        Raises:
            PromptError: The name is empty, or the declared variables are not those of the template.
        """
        if not self.name.strip():
            raise PromptError("a prompt needs a name")
        found = placeholders(self.template)
        declared = tuple(self.variables)
        if self.template and declared and (unknown := sorted(set(found) - set(declared))):
            raise PromptError(
                f"prompt {self.name!r}: the template uses {_listed(unknown)}, which it does not declare"
            )
        digest = template_hash(self.template) if self.template else ""
        set_field = object.__setattr__  # the way of a frozen dataclass to complete itself
        set_field(self, "version", str(self.version) if self.version else digest[:_VERSION_LENGTH])
        set_field(self, "variables", declared or found)
        set_field(self, "template_hash", digest)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Prompt:
        """Read a prompt from a text file with YAML front matter.

        The front matter may have ``name`` (default: the file's name without its ending), ``version``,
        ``owner``, ``description``, ``model``, ``variables`` (list of names) and ``share_template``. The body
        is the template. ``{{> other.md}}`` puts the body of another file in its place, relative to this one;
        it is part of the template, and so of its hash. The version is given in quotes, or follows from the
        template; the commit is that of the git repository around the file, if there is one.

        Raises:
            PromptError: The file cannot be read or is not a prompt; the message names the file and the
                reason.
        """
        file = Path(path)
        front, body = _read_file(file)
        if unknown := sorted(set(front) - _KEYS):
            raise PromptError(
                f"{file}: unknown front matter {_listed(unknown)}; known are {_listed(sorted(_KEYS))}"
            )
        variables = _variables(file, front.get("variables"))
        share = front.get("share_template", True)
        if not isinstance(share, bool):
            raise PromptError(f"{file}: share_template must be true or false")
        try:
            return cls(
                name=_scalar(file, front, "name") or file.stem,
                template=_include(file, body, (file.resolve(),)),
                version=_scalar(file, front, "version"),
                owner=_scalar(file, front, "owner"),
                description=_scalar(file, front, "description"),
                model=_scalar(file, front, "model"),
                variables=variables,
                share_template=share,
                file=str(file),
                git_commit=commit_of(file),
            )
        except PromptError as error:
            message = str(error)
            raise PromptError(message if message.startswith(str(file)) else f"{file}: {message}") from None

    def render(self, **variables: object) -> str:
        """Fill the template in.

        Inside a decorated function the variables are noted on its span (sent only where content capture is
        on), and the span belongs to this prompt if its decorator named none.

        Raises:
            PromptError: A variable is missing, or one is given that the template does not have.
        """
        given, wanted = set(variables), set(self.variables)
        problems: list[str] = []
        if missing := sorted(wanted - given):
            problems.append(f"missing {_listed(missing)}")
        if unknown := sorted(given - wanted):
            problems.append(f"unknown {_listed(unknown)}")
        if problems:
            expected = _listed(sorted(wanted)) if wanted else "none"
            which = f"prompt {self.name!r} version {self.version!r}"
            which = f"{self.file}: {which}" if self.file else which
            raise PromptError(f"{which}: {'; '.join(problems)} (its variables: {expected})")
        values = {name: str(value) for name, value in variables.items()}
        # One pass over the template: braces inside a value are never read as placeholders.
        text = _PLACEHOLDER.sub(lambda match: values[match.group(1)], self.template)
        call = current_call()
        if call is not None:
            call.note_prompt(self, values, text)
        return text


def template_hash(template: str) -> str:
    """SHA-256 of a template, in hexadecimal digits. Line endings do not count."""
    return hashlib.sha256(template.replace("\r\n", "\n").encode("utf-8", "surrogatepass")).hexdigest()


def placeholders(template: str) -> tuple[str, ...]:
    """The names in a template's placeholders, each once, in their order."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(template)))


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PromptError(f"{file}: no such prompt file") from None
    except UnicodeDecodeError as error:
        raise PromptError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise PromptError(f"{file}: cannot be read ({error.strerror})") from None


def _read_file(file: Path) -> tuple[dict[str, Any], str]:
    content = _read_text(file)
    match = _FRONT_MATTER.match(content)
    if match is None:
        if content.lstrip("\ufeff").startswith("---"):
            raise PromptError(f"{file}: the front matter has no closing line '---'")
        return {}, content.strip()
    import yaml  # late: only who reads prompt files pays for it

    try:
        front: Any = yaml.safe_load(match.group(1))
    except yaml.YAMLError as error:
        raise PromptError(f"{file}: the front matter is not YAML ({_one_line(error)})") from None
    if front is None:
        front = {}
    if not is_dict(front):
        raise PromptError(f"{file}: the front matter must be a list of 'key: value' lines")
    body = content[match.end() :].strip()
    if not body:
        raise PromptError(f"{file}: there is no template after the front matter")
    return {str(key): value for key, value in front.items()}, body


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _scalar(file: Path, front: dict[str, Any], key: str) -> str:
    value = front.get(key)
    if value is None:
        return ""
    if isinstance(value, (dict, list, bool)):
        raise PromptError(f"{file}: {key} must be a text")
    if isinstance(value, float):
        # YAML reads 1.10 as the number 1.1: another version than the one that was written.
        raise PromptError(f"{file}: write {key} in quotes, YAML would change its digits as a number")
    return str(value).strip()


def _variables(file: Path, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    names: list[Any] = (
        list(value) if is_dict(value) or is_list(value) else [None]
    )  # a dictionary describes them
    if not all(isinstance(name, str) for name in names):
        raise PromptError(f"{file}: variables must be a list of names")
    return tuple(names)


def _include(file: Path, body: str, chain: tuple[Path, ...]) -> str:
    def included(match: re.Match[str]) -> str:
        name = match.group(1)
        target = (file.parent / name).resolve()
        if target in chain:
            round_ = " -> ".join(each.name for each in (*chain[chain.index(target) :], target))
            raise PromptError(f"{file}: includes itself: {round_}")
        if len(chain) > _MAX_INCLUDES:
            raise PromptError(f"{file}: more than {_MAX_INCLUDES} templates inside each other")
        try:
            inner = _read_file(target)[1]
        except PromptError as error:
            raise PromptError(f"{file}: it includes {name}: {error}") from None
        return _include(target, inner, (*chain, target))

    return _INCLUDE.sub(included, body)


class SentTemplates:
    """Remembers which templates went out, so that their text is sent now and then and not with every call.

    Asked only where spans are built, on one thread.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._sent: dict[tuple[str, str, str], float] = {}

    def due(self, prompt: Prompt, now_s: float) -> bool:
        """Whether the text goes with this call; if so, it counts as sent at ``now_s`` (monotonic)."""
        key = (prompt.name, prompt.version, prompt.template_hash)
        last = self._sent.get(key)
        if last is not None and now_s - last < self._every_s:
            return False
        self._sent[key] = now_s
        return True
