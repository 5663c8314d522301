"""What each API answers with: where it is, in whose words, and its bodies, whole and streamed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from promptspan_server.demo.chat_completions import completion, completion_chunks
from promptspan_server.demo.messages import message, message_events
from promptspan_server.demo.recording import RecordedUsage, estimate_tokens
from replay import bedrock_api, cohere_api, google_api, ollama_api
from replay.responses_api import embeddings, response, response_events
from replay.sse import data_event, named_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from promptspan_server.demo.recording import Recording
    from replay.asked import Asked, Endpoint

# OpenAI's words are their own.
_WORDS: dict[str, dict[str, str]] = {
    "openai": {},
    "mistral": {},
    "ollama": {},
    "anthropic": {
        "stop": "end_turn",
        "length": "max_tokens",
        "content_filter": "refusal",
        "tool_calls": "tool_use",
    },
    "bedrock": {
        "stop": "end_turn",
        "length": "max_tokens",
        "content_filter": "content_filtered",
        "tool_calls": "tool_use",
    },
    "google": {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "tool_calls": "STOP"},
    "cohere": {
        "stop": "COMPLETE",
        "length": "MAX_TOKENS",
        "content_filter": "ERROR_TOXIC",
        "tool_calls": "TOOL_CALL",
    },
}
_TO_OPENAI = {words: reason for reason, words in _WORDS["anthropic"].items()}
ID_PREFIX: dict[Endpoint, str] = {
    "chat_completions": "chatcmpl-",
    "responses": "resp_",
    "embeddings": "embd-",
    "messages": "msg_",
    "invoke": "msg_bdrk_",
}
_MEDIA_TYPES: dict[Endpoint, str] = {
    "converse": bedrock_api.EVENT_STREAM,
    "invoke": bedrock_api.EVENT_STREAM,
    "ollama_chat": ollama_api.LINES,
    "ollama_generate": ollama_api.LINES,
}


def in_words_of(provider: str, reason: str) -> str:
    reason = _TO_OPENAI.get(reason, reason)
    return _WORDS[provider].get(reason, reason)


def media_type(endpoint: Endpoint) -> str:
    """Of a streamed answer."""
    return _MEDIA_TYPES.get(endpoint, "text/event-stream")


def headers(asked: Asked, recording: Recording, response_id: str) -> dict[str, str]:
    found = {"x-request-id": f"req_{response_id}", "request-id": f"req_{response_id}"}
    if asked.provider == "bedrock":
        found["x-amzn-requestid"] = response_id
        if asked.endpoint == "invoke":
            found |= bedrock_api.invoked_headers(recording.usage)
    return found


def embedded_usage(asked: Asked) -> RecordedUsage:
    return RecordedUsage(input_tokens=sum(map(estimate_tokens, asked.texts)), output_tokens=0)


def whole(asked: Asked, recording: Recording, response_id: str) -> dict[str, Any]:
    created = int(time.time())
    match asked.endpoint:
        case "messages":
            return message(recording, response_id=response_id)
        case "responses":
            return response(recording, response_id=response_id, created=created)
        case "embeddings":
            tokens = embedded_usage(asked).input_tokens
            return embeddings(asked.texts, model=asked.model, input_tokens=tokens, encoding=asked.encoding)
        case "generate_content":
            return google_api.generated(recording, response_id=response_id)
        case "converse":
            return bedrock_api.converse(recording)
        case "invoke":
            return bedrock_api.invoked(recording, response_id=response_id)
        case "cohere":
            return cohere_api.chat(recording, response_id=response_id)
        case "ollama_chat" | "ollama_generate":
            return ollama_api.answered(recording, generate=asked.endpoint == "ollama_generate")
        case "ollama_embed":
            tokens = embedded_usage(asked).input_tokens
            return ollama_api.embedded(asked.texts, model=asked.model, input_tokens=tokens)
        case "chat_completions" | "mistral":
            return completion(recording, response_id=response_id, created=created)


def events(asked: Asked, recording: Recording, response_id: str) -> list[bytes]:
    created = int(time.time())
    match asked.endpoint:
        case "messages":
            return _named(message_events(recording, response_id=response_id))
        case "responses":
            return _named(response_events(recording, response_id=response_id, created=created))
        case "generate_content":
            return [
                data_event(each) for each in google_api.generated_pieces(recording, response_id=response_id)
            ]
        case "converse":
            return list(bedrock_api.converse_events(recording))
        case "invoke":
            return list(bedrock_api.invoked_events(recording, response_id=response_id))
        case "cohere":
            return _named(cohere_api.chat_events(recording, response_id=response_id))
        case "ollama_chat" | "ollama_generate":
            return list(ollama_api.answered_lines(recording, generate=asked.endpoint == "ollama_generate"))
        case _:
            chunks = completion_chunks(
                recording,
                response_id=response_id,
                created=created,
                include_usage=asked.include_usage or asked.endpoint == "mistral",
            )
            return [*(data_event(chunk) for chunk in chunks), b"data: [DONE]\n\n"]


def _named(found: Iterable[dict[str, Any]]) -> list[bytes]:
    return [named_event(event) for event in found]
