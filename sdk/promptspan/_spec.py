"""All that is known of a decorated function before it is called: worked out once, at decoration."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from . import _attributes as a
from ._guard import Guard
from ._host import is_client
from ._kinds import is_dict
from ._prompt import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._span import AttributeValue, Shared

_SIGNATURE = Guard("signature")
_CLIENT = Guard("client of a function")
_NO_PARAMETER = -1
_MODEL_NAMES = ("model", "model_id", "modelId", "model_name")
_TRIES = 8


class Spec:
    """The static facts of one decorated function.

    Attributes:
        function: The undecorated function.
        function_name: Its qualified name.
        parameters: Names of the parameters, where each argument has the name at its place or its own.
        prompt: The prompt that the decorator names, if any.
        prompt_name: What the calls are shown under.
        capture: Whether the decorator allows content, where the configuration does.
        expect_json: Whether the answers should be JSON.
        operation: GenAI operation name that the decorator names, or empty.
        looks_for_client: Whether ``client_of`` may find one.
        model_at: Place of the parameter that names the model, -1 if it has none.
        model_name: Name of that parameter.
        identity: Attributes that tell whose call it is; also put on other instrumentations' spans inside.
        static: All attributes that do not change from call to call, without ``identity``.
        kinds: Name and shared attributes of the spans so far, by all that decides them.
        signature: Of the function, or ``None`` if it has none.
    """

    __slots__ = (
        "_client_at",
        "_client_names",
        "_client_tries",
        "capture",
        "expect_json",
        "function",
        "function_name",
        "identity",
        "kinds",
        "looks_for_client",
        "model_at",
        "model_name",
        "operation",
        "parameters",
        "prompt",
        "prompt_name",
        "signature",
        "static",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        prompt: Prompt | str | None,
        name: str | None,
        version: str | None,
        feature: str | None,
        tenant: str | None,
        tags: Sequence[str],
        variant: str | None,
        attempt: int | None,
        cached: bool | None,
        fallback_of: str | None,
        operation: str | None,
        capture_content: bool,
        expect_json: bool,
    ) -> None:
        self.function = function
        qualname: str = getattr(function, "__qualname__", type(function).__name__)
        self.function_name = f"{getattr(function, '__module__', '')}.{qualname}"
        self.prompt = prompt if isinstance(prompt, Prompt) else None
        given = prompt.name if isinstance(prompt, Prompt) else prompt
        self.prompt_name = name or given or qualname.rsplit("<locals>.", 1)[-1]
        self.capture = capture_content
        self.expect_json = expect_json
        self.operation = operation or ""
        self.identity = _present(
            {
                a.GEN_AI_PROMPT_NAME: self.prompt_name,
                a.GEN_AI_PROMPT_VERSION: str(version) if version else self.prompt and self.prompt.version,
                a.PROMPTSPAN_PROMPT_TEMPLATE_HASH: self.prompt and self.prompt.template_hash,
                a.PROMPTSPAN_FEATURE: feature,
                a.PROMPTSPAN_TENANT: tenant,
            }
        )
        self.static = _present(
            {
                a.CODE_FUNCTION_NAME: self.function_name,
                a.PROMPTSPAN_PROMPT_OWNER: self.prompt and self.prompt.owner,
                a.PROMPTSPAN_PROMPT_GIT_COMMIT: self.prompt and self.prompt.git_commit,
                a.PROMPTSPAN_TAGS: tuple(str(tag) for tag in tags),
                a.PROMPTSPAN_VARIANT: variant,
                a.PROMPTSPAN_ATTEMPT: attempt,
                a.PROMPTSPAN_CACHED: cached,
                a.PROMPTSPAN_FALLBACK_OF: fallback_of,
            }
        )
        self.kinds: dict[tuple[Any, ...], tuple[str, Shared]] = {}
        self.signature: inspect.Signature | None = None
        self.parameters: tuple[str, ...] | None = None
        self.model_at = _NO_PARAMETER
        self.model_name = _MODEL_NAMES[0]
        with _SIGNATURE:
            self._read_signature()
        self._client_names = _names_in(function)
        self._client_tries = _TRIES
        self.looks_for_client = bool(self._client_names)
        self._client_at: tuple[Any, str] | None = None

    def _read_signature(self) -> None:
        try:
            self.signature = inspect.signature(self.function)
        except (TypeError, ValueError):  # some callables of C have none
            return
        parameters = self.signature.parameters
        self.model_name = next((name for name in _MODEL_NAMES if name in parameters), _MODEL_NAMES[0])
        for index, parameter in enumerate(parameters.values()):
            if parameter.name == self.model_name and parameter.kind is not parameter.KEYWORD_ONLY:
                self.model_at = index
        named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
        if {parameter.kind for parameter in parameters.values()} <= named:
            self.parameters = tuple(parameters)

    def client_of(self, args: tuple[Any, ...]) -> Any:
        """The provider's client that the function uses, where its own code names it; only its host is read.

        Looked for in the globals, the closure and the attributes of the first argument (``self``), without
        running any code of theirs. Found once, it is only looked up again.
        """
        known = self._client_at
        if known is not None:
            fields, name = known
            # A closure's cell, the globals, or the instance that is called now.
            return fields.get(name) if fields is not None else _instance_fields(args).get(name)
        self._client_tries -= 1
        self.looks_for_client = self._client_tries > 0
        with _CLIENT:
            return self._find_client(args)
        return None

    def _find_client(self, args: tuple[Any, ...]) -> Any:
        cells = _Cells(self.function)
        for fields, kept in (
            (_instance_fields(args), None),
            (cells, cells),
            (getattr(self.function, "__globals__", {}), getattr(self.function, "__globals__", {})),
        ):
            found = [name for name in self._client_names if is_client(fields.get(name))]
            if len(found) == 1:  # with two clients nobody knows which one will be called
                self._client_at = (kept, found[0])
                self.looks_for_client = True
                return fields.get(found[0])
            if found:
                return None
        return None


def _present(attributes: dict[str, Any]) -> dict[str, AttributeValue]:
    return {key: value for key, value in attributes.items() if value not in (None, "", ())}


def _names_in(function: Callable[..., Any]) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    return () if code is None else tuple(dict.fromkeys((*code.co_freevars, *code.co_names)))


class _Cells:
    """The variables that a function has from the functions around it."""

    __slots__ = ("_cells",)

    def __init__(self, function: Any) -> None:
        cells: tuple[Any, ...] = getattr(function, "__closure__", None) or ()
        names = function.__code__.co_freevars if cells else ()
        self._cells: dict[str, Any] = dict(zip(names, cells, strict=False))

    def get(self, name: str) -> Any:
        try:
            return self._cells[name].cell_contents
        except (KeyError, ValueError):  # none of them, or not filled yet
            return None


def _instance_fields(args: tuple[Any, ...]) -> dict[str, Any]:
    if not args:
        return {}
    try:
        fields = object.__getattribute__(args[0], "__dict__")  # a proxy's own: nothing is loaded by this
    except Exception:  # noqa: BLE001  # without one, or a property of somebody else's
        return {}
    return fields if is_dict(fields) else {}
