"""Who is behind a host name: OpenAI-compatible gateways, Azure and others speak the same shapes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from ._kinds import is_dict, type_of

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
    ("fireworks.ai", "fireworks"),
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


# Where the clients of the providers keep the address that they talk to.
_ADDRESSES = (
    ("base_url",),  # openai, anthropic
    ("_api_client", "_http_options", "base_url"),  # google-genai
    ("meta", "endpoint_url"),  # boto3
    ("sdk_configuration", "server_url"),  # mistralai
    ("_client_wrapper", "_base_url"),  # cohere
    ("_client", "base_url"),  # ollama
)
# Pairs of names that tell the class of a client; nothing is called to find out.
_CLIENTS = (
    ("base_url", "chat"),
    ("base_url", "messages"),
    ("models", "aio"),
    ("converse", "invoke_model"),
    ("chat", "rerank"),
    ("chat", "generate"),
)


# Whose client it is tells who answers where the host does not (a proxy, a server of one's own).
_PACKAGES = {
    "mistralai": "mistral_ai",
    "cohere": "cohere",
    "ollama": "ollama",
    "botocore": "aws.bedrock",
    "groq": "groq",
    "together": "together_ai",
}


def is_client(value: Any) -> bool:
    """Whether ``value`` is a provider's client, judged by its class."""
    if value is None:
        return False
    kind = type_of(value)
    if any(hasattr(kind, one) and hasattr(kind, other) for one, other in _CLIENTS):
        return True
    fields = getattr(value, "__dict__", None)
    return is_dict(fields) and "sdk_configuration" in fields


def server_of(client: Any) -> Server | None:
    """The server that a provider's client talks to."""
    if client is None:
        return None
    for path in _ADDRESSES:
        found = client
        for name in path:
            found = getattr(found, name, None)
            if found is None:
                break
        else:
            return _server_at(str(found), type_of(client).__module__.partition(".")[0])
    return None


@lru_cache(maxsize=256)
def _server_at(url: str, package: str) -> Server | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    return Server(
        host, port or _DEFAULT_PORTS.get(parts.scheme), provider_of(host) or _PACKAGES.get(package, "")
    )


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
