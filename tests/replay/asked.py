"""What a request asked for, read from the bodies and paths of the APIs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import unquote

from replay.recordings import prompt_text

Endpoint = Literal[
    "chat_completions",
    "responses",
    "embeddings",
    "messages",
    "generate_content",
    "converse",
    "invoke",
    "mistral",
    "cohere",
    "ollama_chat",
    "ollama_generate",
    "ollama_embed",
]
PROVIDERS: dict[Endpoint, str] = {
    "chat_completions": "openai",
    "responses": "openai",
    "embeddings": "openai",
    "messages": "anthropic",
    "generate_content": "google",
    "converse": "bedrock",
    "invoke": "bedrock",
    "mistral": "mistral",
    "cohere": "cohere",
    "ollama_chat": "ollama",
    "ollama_generate": "ollama",
    "ollama_embed": "ollama",
}


class BadRequestError(Exception):
    """The body is not one that the API takes; the text goes into the error's message."""


@dataclass(frozen=True, slots=True)
class Asked:
    endpoint: Endpoint
    model: str
    text: str
    texts: tuple[str, ...]
    stream: bool
    include_usage: bool
    encoding: str

    @property
    def provider(self) -> str:
        return PROVIDERS[self.endpoint]


def read_request(endpoint: Endpoint, body: object, *, path: str) -> Asked:
    if not isinstance(body, dict):
        raise BadRequestError("We could not parse the JSON body of your request.")
    fields = cast("dict[str, Any]", body)
    model, streams = _from_path(endpoint, path)
    model = model or fields.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequestError("you must provide a model parameter")
    if endpoint == "messages" and not isinstance(fields.get("max_tokens"), int):
        raise BadRequestError("max_tokens: Field required")
    texts = _texts(endpoint, fields)
    if not any(texts):
        raise BadRequestError("Missing required parameter: 'messages'.")
    options: dict[str, Any] = fields.get("stream_options") or {}
    return Asked(
        endpoint=endpoint,
        model=model,
        text=prompt_text(*texts),
        texts=tuple(texts),
        stream=streams or (bool(fields.get("stream")) and endpoint not in ("embeddings", "ollama_embed")),
        include_usage=bool(options.get("include_usage")),
        encoding=str(fields.get("encoding_format") or "float"),
    )


def _from_path(endpoint: Endpoint, path: str) -> tuple[str, bool]:
    """Model and whether to stream, where an API has them in the path."""
    if endpoint == "generate_content":
        model, _, method = path.rpartition("/")[2].partition(":")
        return model, method == "streamGenerateContent"
    if endpoint in ("converse", "invoke"):
        _, _, model, method = unquote(path).split("/", 3)
        return model, method.endswith("-stream")
    return "", False


def _texts(endpoint: Endpoint, fields: dict[str, Any]) -> list[str]:
    if endpoint in ("embeddings", "ollama_embed"):
        return _strings(fields.get("input"))
    if endpoint == "ollama_generate":
        return [str(fields.get("prompt") or "")]
    if endpoint == "generate_content":
        said = [_content(content.get("parts")) for content in _objects(fields.get("contents"))]
        system: dict[str, Any] = fields.get("systemInstruction") or {}
        return [_content(system.get("parts")), *said]
    if endpoint == "responses":
        asked = fields.get("input")
        said = (
            [asked] if isinstance(asked, str) else [_content(item.get("content")) for item in _objects(asked)]
        )
        return [_content(fields.get("instructions")), *said]
    said = [_content(message.get("content")) for message in _objects(fields.get("messages"))]
    return [_content(fields.get("system")), *said]


def _content(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in _objects(content) if "text" in part)


def _objects(value: object) -> list[dict[str, Any]]:
    found = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in found if isinstance(item, dict)]


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    found = cast("list[object]", value) if isinstance(value, list) else []
    return [str(item) for item in found]
