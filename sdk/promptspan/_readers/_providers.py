"""The GenAI conventions' names for those whom client libraries call by names of their own."""

from __future__ import annotations

_WELL_KNOWN = {
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "anthropic_bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "vertex_ai_beta": "gcp.vertex_ai",
    "google_vertexai": "gcp.vertex_ai",
    "google_anthropic_vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
    "together": "together_ai",
    "fireworks_ai": "fireworks",
    "cohere_chat": "cohere",
    "ollama_chat": "ollama",
    "hosted_vllm": "vllm",
    "watsonx": "ibm.watsonx.ai",
    "text-completion-openai": "openai",
}


def well_known(name: str | None) -> str:
    """The conventions' name of a provider that LiteLLM or LangChain call ``name``; empty for ``None``."""
    lower = (name or "").lower()
    return _WELL_KNOWN.get(lower, lower)
