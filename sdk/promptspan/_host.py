"""Who is behind a host name: OpenAI-compatible gateways, Azure and others speak the same shapes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

# Well-known provider names of the GenAI conventions where there is one. Matched on the end of the host's
# name.
_PROVIDERS: tuple[tuple[str, str], ...] = (
    ("openrouter.ai", "openrouter"),
    ("openai.azure.com", "azure.ai.openai"),
    ("cognitiveservices.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("models.ai.azure.com", "azure.ai.inference"),
    ("models.github.ai", "azure.ai.inference"),
    ("api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("api.mistral.ai", "mistral_ai"),
    ("cohere.com", "cohere"),
    ("cohere.ai", "cohere"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "x_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("ml.cloud.ibm.com", "ibm.watsonx.ai"),
    ("together.xyz", "together_ai"),
    ("together.ai", "together_ai"),
    ("fireworks.ai", "fireworks_ai"),
)
_DEFAULT_PORTS = {"https": 443, "http": 80}


class Server:
    """The server of a call.

    Attributes:
        address: Host name.
        port: Port number, or ``None`` if unknown.
        provider: Whose host it is, or empty.
    """

    __slots__ = ("address", "port", "provider")

    def __init__(self, address: str, port: int | None, provider: str) -> None:
        self.address = address
        self.port = port
        self.provider = provider


def server_of(client: Any) -> Server | None:
    """The server that a provider's client talks to, by its ``base_url``."""
    url = getattr(client, "base_url", None)
    if url is None:
        return None
    return _server_at(str(url))


@lru_cache(maxsize=256)
def _server_at(url: str) -> Server | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    return Server(host, port or _DEFAULT_PORTS.get(parts.scheme), provider_of(host))


def provider_of(host: str) -> str:
    """The provider whose host this is, empty if unknown."""
    host = host.lower().rstrip(".")
    if host.startswith("bedrock") and host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return "aws.bedrock"
    return next(
        (name for end, name in _PROVIDERS if host == end or host.endswith("." + end) or _regional(host, end)),
        "",
    )


def _regional(host: str, end: str) -> bool:
    # Vertex has regional hosts: europe-west4-aiplatform.googleapis.com.
    return end == "aiplatform.googleapis.com" and host.endswith("-" + end)
