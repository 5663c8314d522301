"""Captured texts in the form of the GenAI conventions, redacted before they leave.

Everything that is text passes through ``Redactor.text`` here, and nothing else of a prompt or an answer
leaves a span.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring as _quoted
from typing import TYPE_CHECKING, Any

from . import _attributes as a
from ._hooks import Skipped
from ._kinds import is_dict, is_list, listed
from ._plain import Plain, cut, plain
from ._readers._chat_completions import content_part, message_parts
from ._readers._fields import get, text, text_part
from ._readers._messages import block_part
from ._reading import Message
from ._redaction import pseudonym

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._call import Call
    from ._redaction import Seen
    from ._screen import Screen
    from ._span import AttributeValue

WITHHELD = "[withheld: redact given to configure() gave no text]"
_ONLY_FOREIGN = frozenset({a.FLAG_INJECTION})
_MOST_MESSAGES = 500
# LangChain's messages have a type in place of a role.
_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_OWN_KEYS = frozenset({"type", "content", "id", "name", "arguments", "result"})
CONVERSATIONS = ("messages", "input", "contents", "prompt")


class Redactor:
    """Reads the texts of one span.

    Args:
        screen: The rules, and the user's own function; if that one fails, the text is withheld.
        clean: Texts that the rules have nothing against, as is known already.

    Attributes:
        found: Safety flags of what was seen so far.
    """

    __slots__ = ("_clean", "_scanner", "_screen", "_seen", "found")

    def __init__(self, screen: Screen, clean: frozenset[str] = frozenset()) -> None:
        self._screen = screen
        self._scanner = screen.scanner
        self._clean = clean
        self._seen: dict[str, Seen] = {}
        self.found: set[str] = set()

    def text(self, text: str) -> str:
        """``text`` as it may leave."""
        clean = self.look(text, foreign=False)
        hook = self._screen.redact
        if hook is None:
            return clean
        try:
            result = hook.ask(clean)
        except Skipped:
            result = None
        return result if isinstance(result, str) else WITHHELD

    def look(self, text: str, *, foreign: bool) -> str:
        """Take down what is in a text.

        Args:
            text: Any.
            foreign: Whether it came from outside: only then can it try to take over the model.

        Returns:
            The text as far as the rules let it leave.
        """
        if text in self._clean:
            return text
        seen = self._seen.get(text)
        if seen is None:
            seen = self._seen[text] = self._scanner.scan(text)
        if seen.flags:
            self.found |= seen.flags if foreign else seen.flags - _ONLY_FOREIGN
        return seen.text

    def name(self, name: str) -> str:
        """What tells calls apart, as it may leave: different things stay different."""
        clean = self._scanner.scan(name).text
        return name if clean == name else f"{clean}#{pseudonym(name)}"

    def own(self, text: str) -> str:
        """A text of the developer's own, a template: only secrets do not leave."""
        return self._scanner.without_secrets(text)

    def attribute(self, key: str, value: AttributeValue) -> AttributeValue:
        """The value of an attribute as it may leave."""
        if isinstance(value, str):
            return self.name(value) if key in a.IDENTITY_KEYS else self.text(value)
        if isinstance(value, (list, tuple)):
            each = self.name if key in a.IDENTITY_KEYS else self.text
            return tuple(each(item) if isinstance(item, str) else item for item in value)  # pyright: ignore[reportReturnType]
        return value

    def value(self, value: Any) -> Any:
        """Plain data with every text in it redacted."""
        if isinstance(value, str):
            return self.text(value)
        if is_list(value):
            return [self.value(item) for item in value]
        if is_dict(value):
            return {
                key if key in _OWN_KEYS else self.text(str(key)): self.value(item)
                for key, item in value.items()
            }
        return value

    def messages(self, messages: Iterable[Message]) -> str:
        """Messages as the JSON text of ``gen_ai.input.messages`` and ``gen_ai.output.messages``."""
        # Written here, as nearly all parts are a text: a JSON encoder takes longer to be made than to write.
        rows: list[str] = []
        for message in list(messages)[:_MOST_MESSAGES]:
            parts = ", ".join([self._part(part) for part in message.parts])
            row = f'{{"role": {_quoted(self.look(message.role, foreign=False))}, "parts": [{parts}]'
            if message.finish_reason:
                row += f', "finish_reason": {_quoted(message.finish_reason)}'
            rows.append(row + "}")
        return f"[{', '.join(rows)}]"

    def _part(self, part: dict[str, Any]) -> str:
        said = part.get("content")
        if type(said) is str and len(part) == 2 and part.get("type") == "text":
            return f'{{"type": "text", "content": {_quoted(self.text(cut(said)))}}}'
        return json.dumps(self.value(Plain().of(part)), ensure_ascii=False)


def input_messages(call: Call, arguments: dict[str, Any]) -> list[Message]:
    """What the model was given, as far as the function's arguments or its rendered prompts show it."""
    system = text(arguments, "system") or text(arguments, "instructions")
    found: list[Message] = []
    for name in CONVERSATIONS:
        found = conversation(arguments.get(name))
        if found:
            break
    if not found and call.rendered:
        found = [_said("user", text) for text in call.rendered]
    if not found:
        return _arguments_as_message(arguments)
    if system:
        found.insert(0, _said("system", system))
    return found


def bound_arguments(call: Call) -> dict[str, Any]:
    """The snapshot of the call's arguments by name, without the instance or class of a method."""
    if call.args is None or call.kwargs is None:
        return {}
    names = call.spec.parameters
    if names is not None and len(call.args) <= len(names):
        named: dict[str, Any] = dict(zip(names, call.args, strict=False))
        named.update(call.kwargs)
        named.pop("self", None)
        named.pop("cls", None)
        return named
    signature = call.spec.signature
    if signature is None:
        return dict(call.kwargs)
    try:
        bound = signature.bind_partial(*call.args, **call.kwargs).arguments
    except TypeError:
        return dict(call.kwargs)
    named = {}
    for name, value in bound.items():
        if signature.parameters[name].kind is signature.parameters[name].VAR_KEYWORD:
            named.update(value)
        elif name not in ("self", "cls"):
            named[name] = value
    return named


def variables(call: Call, arguments: dict[str, Any]) -> Mapping[str, Any]:
    """The values of the prompt's variables: as rendered, else the arguments of the same names."""
    if call.variables is not None:
        return call.variables
    if call.prompt is None:
        return {}
    return {name: arguments[name] for name in call.prompt.variables if name in arguments}


def _said(role: str, text: str) -> Message:
    return Message(role=role, parts=(text_part(text),))


def conversation(value: Any) -> list[Message]:
    """Messages, if ``value`` is a conversation with a model or a prompt for one."""
    if isinstance(value, str):
        said = str.__str__(value)
        return [_said("user", said)] if said else []
    if not is_list(value):
        return []
    messages: list[Message] = []
    for entry in listed(value)[:_MOST_MESSAGES]:
        if isinstance(entry, str):
            messages.append(_said("user", str.__str__(entry)))
            continue
        role = text(entry, "role") or _ROLES.get(text(entry, "type") or "")
        if role is not None:
            messages.append(Message(role=role, parts=_parts(entry)))
    return messages


def _parts(entry: Any) -> tuple[dict[str, Any], ...]:
    if is_list(pieces := get(entry, "parts")):  # Google's
        return tuple(content_part(piece) for piece in listed(pieces))
    content = get(entry, "content")
    if is_list(content) and any(_is_block(block) for block in content):
        return tuple(block_part(block) for block in content)
    return message_parts(entry)


def _is_block(block: Any) -> bool:
    kind = get(block, "type")
    return isinstance(kind, str) and (kind.startswith("tool_") or kind == "thinking")


def _arguments_as_message(arguments: dict[str, Any]) -> list[Message]:
    shown = {name: value for name, value in arguments.items() if name != "model"}
    if not shown:
        return []
    if len(shown) == 1 and isinstance(only := next(iter(shown.values())), str):
        return [_said("user", str.__str__(only))]
    return [_said("user", json.dumps(plain(shown), ensure_ascii=False))]
